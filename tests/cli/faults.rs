//! Divergence, full disks, readers that go away.

use crate::program::{Done, assert_tidy, bytes, checkpoint, command, folder, wgrad};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_diverging_run_names_its_step() {
    let dir = folder();
    let options = "--optimizer sgd --lr 1e30 --schedule constant --steps 20 --out run";
    let done = wgrad(dir.path(), &format!("train {options}"));
    let done =
        done.fails_with(1, &["the loss is ", " at step 2: training has diverged; start again with a lower --lr"]);
    assert!(!done.stderr.contains("checkpoint is"), "there is none: {done:#?}");
    let rows = std::fs::read_to_string(dir.path().join("run/metrics.csv")).unwrap();
    assert_eq!(rows.lines().count(), 3, "a header and two steps: {rows}");
    assert!(!dir.path().join("run/checkpoint.safetensors").exists());
}

/// The loss of the only step is that of the first weights; what its update makes of them must not be saved.
#[test]
fn weights_that_diverged_are_not_saved() {
    let dir = folder();
    let done = wgrad(dir.path(), "train --optimizer sgd --lr 1e38 --momentum 0 --steps 1 --out run");
    done.fails_with(1, &[" at step 1: training has diverged"]);
    assert!(!dir.path().join("run/checkpoint.safetensors").exists());
}

#[test]
fn the_last_good_checkpoint_survives_divergence() {
    let dir = folder();
    let run = dir.path().join("run");
    wgrad(
        dir.path(),
        "train --optimizer sgd --lr 0.01 --batch-size 64 --schedule multistep:1:1e30 --epochs 1 --out run",
    )
    .ends_with(0);
    let names = ["checkpoint.safetensors", "best.safetensors"];
    let before = names.map(|name| bytes(run.join(name)));
    let done = wgrad(dir.path(), "train --resume --epochs 3 --out run");
    done.fails_with(1, &[" at step 25: ", "the last good checkpoint is run/checkpoint.safetensors"]);
    assert!(before == names.map(|name| bytes(run.join(name))), "it was written again");
    assert_eq!(checkpoint(&run).step, 23);
    assert_tidy(&run);
}

/// No file may grow beyond 200 KB: what a full disk does to a checkpoint, without one.
#[cfg(unix)]
fn with_little_room(dir: &Path, arguments: &str) -> Done {
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$@\"";
    let mut command = Command::new("sh");
    command.current_dir(dir).args(["-c", script, "sh", env!("CARGO_BIN_EXE_wgrad")]).args(arguments.split_whitespace());
    command.output().unwrap().into()
}

#[test]
#[cfg(unix)]
fn a_checkpoint_that_does_not_fit_on_the_disk() {
    let dir = folder();
    let run = dir.path().join("run");
    let new = with_little_room(dir.path(), "train --steps 2 --out run");
    new.fails_with(1, &["run/checkpoint.safetensors: cannot write: "]);
    assert!(!run.join("checkpoint.safetensors").exists());
    assert_tidy(&run);
    wgrad(dir.path(), "train --steps 2 --schedule constant --out run --overwrite").ends_with(0);
    let before = bytes(run.join("checkpoint.safetensors"));
    let more = with_little_room(dir.path(), "train --resume --steps 4 --out run");
    more.fails_with(1, &["run/checkpoint.safetensors: cannot write: "]);
    assert_eq!(bytes(run.join("checkpoint.safetensors")), before);
    assert_tidy(&run);
    // With room again, it goes on as if nothing had been.
    wgrad(dir.path(), "train --resume --steps 4 --out run").ends_with(0);
    wgrad(dir.path(), "train --steps 4 --schedule constant --out whole").ends_with(0);
    let end = |run: &str| bytes(dir.path().join(run).join("checkpoint.safetensors"));
    assert_eq!(end("run"), end("whole"));
}

#[test]
#[cfg(target_os = "linux")]
fn metrics_on_a_full_disk() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("run")).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("run/metrics.csv")).unwrap();
    let done = wgrad(dir.path(), "train --steps 2 --out run --overwrite");
    done.fails_with(1, &["run/metrics.csv: cannot write: No space left on device"]);
    assert!(!dir.path().join("run/checkpoint.safetensors").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn results_on_a_full_disk() {
    let dir = folder();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let done: Done = command(dir.path(), "summary lenet5").stdout(full).output().unwrap().into();
    done.fails_with(1, &["standard output: cannot write: No space left on device"]);
}

#[test]
fn readers_that_go_away() {
    let dir = folder();
    for arguments in ["summary lenet5", "devices", "summary lenet5 --plan --json"] {
        let mut child = command(dir.path(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let done: Done = child.wait_with_output().unwrap().into();
        assert_eq!(done.ends_with(0).stderr, "");
    }
    // Nor does it matter whether anyone reads the messages.
    let mut child =
        command(dir.path(), "train --steps 2").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    Done::from(child.wait_with_output().unwrap()).ends_with(0);
}
