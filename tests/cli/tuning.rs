//! `wgrad tune` and the tables that it writes.

use crate::program::{command, folder, wgrad};
use serde_json::{Value, json};
use std::path::Path;

/// The kernels of a training step of LeNet-5, planned with this table.
fn kernels(dir: &Path, table: &str) -> Vec<String> {
    let done = command(dir, "profile lenet5 --batch 8 --repeat 1 --json").env("WGRAD_TUNING", table).output().unwrap();
    let profile: Value = serde_json::from_slice(&done.stdout).unwrap();
    let dispatches = profile["dispatches"].as_array().unwrap();
    dispatches.iter().map(|dispatch| dispatch["kernel"].as_str().unwrap().into()).collect()
}

#[test]
fn tables_are_written_and_obeyed() {
    let dir = folder();
    let measured = wgrad(dir.path(), "tune lenet5 --batch 8 --repeat 1 --out table.json --json").ends_with(0).json();
    let questions = measured["measured"].as_array().unwrap();
    for question in questions {
        let seconds = question["seconds"].as_array().unwrap();
        assert_eq!(seconds.len(), question["candidates"].as_array().unwrap().len());
        assert!(seconds.iter().all(|seconds| seconds.as_f64().unwrap() > 0.0), "{question}");
    }
    let mut table: Value = serde_json::from_slice(&std::fs::read(dir.path().join("table.json")).unwrap()).unwrap();
    let usual = kernels(dir.path(), "0");
    let last = |question: &Value| {
        (
            question["question"].as_str().unwrap().to_string(),
            question["candidates"].as_array().unwrap().last().unwrap().clone(),
        )
    };
    table["choices"] = questions.iter().map(last).collect();
    std::fs::write(dir.path().join("other.json"), table.to_string()).unwrap();
    let other = kernels(dir.path(), "other.json");
    if questions.is_empty() {
        return assert_eq!(usual, other);
    }
    assert_ne!(usual, other);
    // What was measured on another driver does not count.
    table["measured_on"]["driver"] = json!("another");
    std::fs::write(dir.path().join("other.json"), table.to_string()).unwrap();
    assert_eq!(usual, kernels(dir.path(), "other.json"));
}

#[test]
fn bad_tables_and_options() {
    let dir = folder();
    wgrad(dir.path(), "tune lenet5 --batch 0").fails_with(2, &["--batch"]);
    wgrad(dir.path(), "tune lenet5 no-such-network").fails_with(2, &["no-such-network"]);
    let off = command(dir.path(), "tune lenet5").env("WGRAD_TUNING", "0").output().unwrap();
    assert_eq!(off.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&off.stderr).contains("--out"));
    std::fs::write(dir.path().join("bad.json"), "{\"choices\": 3").unwrap();
    let bad = command(dir.path(), "bench lenet5").env("WGRAD_TUNING", "bad.json").output().unwrap();
    let stderr = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("bad.json") && stderr.contains("wgrad tune"), "{stderr}");
}
