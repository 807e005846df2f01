//! Equal runs leave equal bytes, however they were cut in pieces.

use crate::program::{Done, assert_tidy, bytes, checkpoint, command, folder, metrics, wgrad};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[track_caller]
fn assert_equal(one: &Path, other: &Path) {
    assert_eq!(metrics(one), metrics(other));
    for name in ["checkpoint.safetensors", "best.safetensors"] {
        let files = [one, other].map(|run| run.join(name)).map(|path| path.exists().then(|| bytes(path)));
        assert!(files[0] == files[1], "{name} differ");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let dir = folder();
    let train = |out: &str| wgrad(dir.path(), &format!("train --epochs 1 --out {out}")).ends_with(0);
    train("a --seed 7");
    train("b --seed 7");
    train("c --seed 8");
    let run = |name: &str| dir.path().join(name);
    assert_equal(&run("a"), &run("b"));
    assert!(bytes(run("a/checkpoint.safetensors")) != bytes(run("c/checkpoint.safetensors")));
}

/// An optimizer with two states, a constant rate, and an end in the middle of an epoch.
#[test]
fn steps_in_two_goes() {
    let dir = folder();
    let options = "train --optimizer adamw --lr 0.001 --schedule constant --batch-size 32";
    wgrad(dir.path(), &format!("{options} --steps 50 --out whole")).ends_with(0);
    wgrad(dir.path(), &format!("{options} --steps 20 --out parts")).ends_with(0);
    wgrad(dir.path(), "train --resume --out parts --steps 47").ends_with(0);
    wgrad(dir.path(), "train --resume --out parts --steps 50 --lr 0.001").ends_with(0);
    assert_equal(&dir.path().join("whole"), &dir.path().join("parts"));
    let done = wgrad(dir.path(), "train --resume --out parts").ends_with(0);
    assert!(done.stderr.contains("is at its end, step 50"), "{done:#?}");
    assert_equal(&dir.path().join("whole"), &dir.path().join("parts"));
}

/// All that has state of its own: three states of the optimizer, averages, steps of several batches.
#[test]
fn every_option_in_two_goes() {
    let dir = folder();
    let options = "train --optimizer rmsprop --lr 0.001 --momentum 0.5 --centered --batch-size 16 --accumulate 3 \
                   --ema 0.9 --clip-norm 1 --freeze conv1 --decay weights --weight-decay 0.01 \
                   --label-smoothing 0.1 --class-weights balanced";
    wgrad(dir.path(), &format!("{options} --epochs 2 --out whole")).ends_with(0);
    wgrad(dir.path(), &format!("{options} --steps 17 --out parts")).ends_with(0);
    for other in ["accumulate 2", "ema 0.99", "clip-norm 2", "clip-value 1", "freeze conv2", "decay all", "alpha 0.9"] {
        let name = format!("--{}", other.split(' ').next().unwrap());
        let done = wgrad(dir.path(), &format!("train --resume --out parts --epochs 2 --{other}"));
        done.fails_with(2, &[&name, "but the run in parts has"]);
    }
    for other in ["label-smoothing 0.2", "class-weights equal"] {
        wgrad(dir.path(), &format!("train --resume --out parts --{other}"))
            .fails_with(2, &["but the run in parts has"]);
    }
    let same = "--accumulate 3 --ema 0.9 --clip-norm 1 --freeze conv1 --decay weights --class-weights balanced";
    wgrad(dir.path(), &format!("train --resume --out parts --epochs 2 {same}")).ends_with(0);
    assert_equal(&dir.path().join("whole"), &dir.path().join("parts"));

    // Whoever evaluates the checkpoint gets what the run said of itself: the averages' accuracy.
    let last = checkpoint(&dir.path().join("whole"));
    assert!(last.tensors.get("optimizer.average.fc1.weight").is_ok());
    assert!(last.tensors.get("optimizer.average.conv1.weight").is_err(), "what is frozen has no average");
    let accuracy = |file: &str| {
        let done = wgrad(dir.path(), &format!("eval --weights whole/{file} --data digits --json")).ends_with(0);
        serde_json::from_str::<serde_json::Value>(&done.stdout).unwrap()["accuracy"].as_f64()
    };
    assert_eq!(accuracy("best.safetensors"), last.best);
    // The second epoch is the better one here, so that the last weights are the best.
    assert_eq!(accuracy("checkpoint.safetensors"), last.best);
}

#[test]
fn a_longer_cosine_is_another_one() {
    let dir = folder();
    wgrad(dir.path(), "train --epochs 1 --batch-size 64 --schedule cosine --out run").ends_with(0);
    let done = wgrad(dir.path(), "train --resume --epochs 2 --out run").ends_with(0);
    assert!(done.stderr.contains("warning: the cosine schedule depends on the number of steps"), "{done:#?}");
    assert_eq!(checkpoint(&dir.path().join("run")).step, 46);
}

/// Two epochs of 719 steps, so that fast machines are not done with the second one before they hear a signal.
const LONG: &str = "train --batch-size 2 --epochs 2 --optimizer sgd --lr 0.01 --out";

/// Begins a long run and sends `signal` in the middle of its second epoch.
fn stopped(dir: &Path, out: &str, signal: &str) -> Done {
    let child = command(dir, &format!("{LONG} {out}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    let rows = || std::fs::read_to_string(dir.join(out).join("metrics.csv")).map_or(0, |text| text.lines().count());
    while rows() < 724 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the run does not come on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    child.wait_with_output().unwrap().into()
}

#[test]
#[cfg(unix)]
fn interrupted_and_killed_runs_resume_bit_for_bit() {
    let dir = folder();
    wgrad(dir.path(), &format!("{LONG} whole")).ends_with(0);
    let run = |name: &str| dir.path().join(name);
    assert_eq!((checkpoint(&run("whole")).step, checkpoint(&run("whole")).evaluated), (1438, 2));

    let done = stopped(dir.path(), "stopped", "INT").ends_with(130);
    assert!(done.stderr.contains("wgrad train --resume --out stopped"), "{done:#?}");
    let step = checkpoint(&run("stopped")).step;
    assert!(step > 719 && step < 1438, "not in the middle of an epoch: {step}");
    assert!(done.stderr.contains(&format!("stopped after step {step} of 1438")), "{done:#?}");
    assert_tidy(&run("stopped"));
    wgrad(dir.path(), "train --resume --out stopped").ends_with(0);
    assert_equal(&run("whole"), &run("stopped"));

    let done = stopped(dir.path(), "killed", "KILL");
    assert_eq!(done.status, None);
    assert_eq!(checkpoint(&run("killed")).step, 719);
    // The last of them may be cut off anywhere.
    let rows = String::from_utf8(bytes(run("killed").join("metrics.csv"))).unwrap();
    assert!(rows.lines().count() > 722, "there are rows behind the checkpoint");
    wgrad(dir.path(), "train --resume --out killed").ends_with(0);
    assert_equal(&run("whole"), &run("killed"));
}

/// A run that was killed before its first checkpoint begins anew.
#[test]
fn nothing_to_resume_from() {
    let dir = folder();
    wgrad(dir.path(), "train --steps 3 --out run").ends_with(0);
    let whole = bytes(dir.path().join("run/checkpoint.safetensors"));
    std::fs::remove_file(dir.path().join("run/checkpoint.safetensors")).unwrap();
    wgrad(dir.path(), "train --resume --out run").ends_with(0);
    assert_eq!(bytes(dir.path().join("run/checkpoint.safetensors")), whole);
    assert_eq!(metrics(&dir.path().join("run")).len(), 5);
}
