//! Runs that do not fit into memory are refused before they begin, with what would fit.

use crate::program::{Done, command, folder, wgrad};
use std::path::Path;

fn within(dir: &Path, bytes: u64, arguments: &str) -> Done {
    command(dir, arguments).env("WGRAD_MEMORY", bytes.to_string()).output().unwrap().into()
}

/// The whole memory of a run of `wgrad train`, which plans as `summary` does.
fn need(dir: &Path, options: &str) -> u64 {
    let plan = wgrad(dir, &format!("summary lenet5 --plan --json {options}")).json();
    plan["plan"]["peak_bytes"].as_u64().unwrap()
}

#[test]
fn a_run_that_does_not_fit_is_refused_with_what_would() {
    let dir = folder();
    let whole = need(dir.path(), "--batch 512");
    let train = "train --batch-size 512 --steps 1 --out run";
    let refused = within(dir.path(), whole - 1, train);
    let have = format!(" has {} bytes set by WGRAD_MEMORY; ", whole - 1);
    let refused = refused.fails_with(1, &[&format!("this run needs {whole} bytes of memory, but "), &have]);
    assert!(!dir.path().join("run").exists(), "a run was begun");
    // It says what would fit, to the byte.
    let again = need(dir.path(), "--batch 512 --recompute");
    assert!(again < whole && refused.stderr.contains(&format!("; --recompute needs {again};")), "{refused:#?}");
    let smaller = "--batch-size 256 --accumulate 2";
    let rest = refused.stderr.split_once(&format!("; {smaller} is the same step and needs ")).unwrap().1;
    let half: u64 = rest.trim().parse().unwrap();
    let options = format!("train {smaller} --steps 1 --out run");
    within(dir.path(), half - 1, &options).fails_with(1, &[&format!("this run needs {half} bytes")]);
    within(dir.path(), half, &options).ends_with(0);
    within(dir.path(), again, "train --batch-size 512 --recompute --steps 1 --out run2").ends_with(0);
    within(dir.path(), 1, "train --batch-size 512 --steps 1 --out run3")
        .fails_with(1, &["the least that --recompute, --amp or a smaller --batch-size"]);
}

#[test]
fn every_command_that_allocates_asks_first() {
    let dir = folder();
    wgrad(dir.path(), "train --steps 1 --out run").ends_with(0);
    let weights = "run/checkpoint.safetensors";
    for arguments in
        ["bench lenet5".to_string(), "profile lenet5".to_string(), format!("eval --weights {weights} --data digits")]
    {
        within(dir.path(), 4096, &arguments)
            .fails_with(1, &[" bytes of memory, but ", " has 4096 bytes set by WGRAD_MEMORY"]);
    }
}

#[test]
fn devices_tell_how_much_there_is() {
    let dir = folder();
    let devices = within(dir.path(), 123_456_789, "devices --json").json();
    assert!(devices.as_array().unwrap().iter().all(|device| device["memory_bytes"] == 123_456_789), "{devices}");
    let plain: Done = command(dir.path(), "devices").env("WGRAD_MEMORY", "2GiB").output().unwrap().into();
    assert!(plain.stdout.contains("2147483648 bytes set by WGRAD_MEMORY for all buffers"), "{plain:#?}");
    let wrong: Done = command(dir.path(), "train --steps 1").env("WGRAD_MEMORY", "much").output().unwrap().into();
    wrong.fails_with(2, &["WGRAD_MEMORY is \"much\"; expected bytes, or a number with KB, MB, GB, KiB, MiB or GiB"]);
}
