//! Compiled pipelines that are kept for later runs.

use crate::program::{command, folder};
use serde_json::Value;
use std::path::Path;

/// Runs with the user's folder in `dir`, and yields the files in which pipelines are kept.
fn kept(dir: &Path, pipelines: &str) -> Vec<String> {
    let mut run = command(dir, "profile lenet5 --batch 1 --repeat 1");
    let status = run.env("XDG_CONFIG_HOME", dir).env("WGRAD_PIPELINES", pipelines).output().unwrap().status;
    assert_eq!(status.code(), Some(0));
    let files = std::fs::read_dir(dir.join("wgrad").join("pipelines")).into_iter().flatten();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_variable_says_where() {
    let dir = folder();
    let devices = command(dir.path(), "devices --json").output().unwrap().stdout;
    let devices: Value = serde_json::from_slice(&devices).unwrap();
    let used = devices.as_array().unwrap().iter().find(|device| device["chosen"] == true).unwrap();
    let expected = usize::from(used["features"].as_array().unwrap().iter().any(|name| name == "pipeline cache"));
    assert!(kept(dir.path(), "0").is_empty() && !dir.path().join("0").exists());
    let file = dir.path().join("elsewhere.bin");
    assert!(kept(dir.path(), file.to_str().unwrap()).is_empty());
    assert_eq!(usize::from(file.exists()), expected);
    let files = kept(dir.path(), "");
    assert!(files.len() == expected && files.iter().all(|name| name.ends_with(".bin")), "{files:?}");
}
