//! `--amp`, wherever there is such an option.

use crate::program::{Done, command, folder, metrics, wgrad};
use wgrad::io::{HostTensor, TensorFile};

/// Whether the adapter that is taken by itself stores 16-bit numbers.
fn half(dir: &std::path::Path) -> bool {
    let devices = wgrad(dir, "devices --json").ends_with(0).json();
    let used = devices.as_array().unwrap().iter().find(|device| device["chosen"] == true).cloned();
    used.is_some_and(|device| device["features"].as_array().unwrap().iter().any(|name| name == "f16"))
}

#[test]
fn runs_in_16_bits_stop_go_on_and_are_evaluated() {
    let dir = folder();
    if !half(dir.path()) {
        return;
    }
    let options = "train --amp --optimizer sgd --lr 0.02 --seed 3";
    let whole = wgrad(dir.path(), &format!("{options} --steps 12 --out whole --json")).ends_with(0).json();
    assert_eq!((&whole["loss_scale"], &whole["skipped_steps"]), (&65536.0.into(), &0.into()));
    wgrad(dir.path(), &format!("{options} --steps 5 --out part")).ends_with(0);
    let text = wgrad(dir.path(), "train --resume --steps 12 --out part").ends_with(0).stdout;
    assert!(text.contains("loss scale 65536, 0 of 12 steps skipped"), "{text}");
    let files = ["whole", "part"].map(|run| crate::program::bytes(dir.path().join(run).join("checkpoint.safetensors")));
    assert!(files[0] == files[1], "the resumed run has another checkpoint");
    // A run without stays one without.
    wgrad(dir.path(), "train --steps 2 --out plain").ends_with(0);
    wgrad(dir.path(), "train --resume --amp --steps 4 --out plain")
        .fails_with(2, &["--amp is true, but the run in plain has false"]);
    assert_eq!(metrics(&dir.path().join("plain")).iter().filter(|row| row.contains("train")).count(), 2);

    let weights = "--weights whole/checkpoint.safetensors";
    let [half, full] = ["--amp", ""]
        .map(|amp| wgrad(dir.path(), &format!("eval {weights} --data digits --json {amp}")).ends_with(0).json());
    // Evaluations within a run are in 32 bits.
    let tested = whole["epochs"][0]["test_loss"].as_f64().unwrap();
    assert!((full["loss"].as_f64().unwrap() - tested).abs() < 1e-6 * tested, "{full} {tested}");
    let difference = half["loss"].as_f64().unwrap() / full["loss"].as_f64().unwrap() - 1.0;
    assert!(difference != 0.0 && difference.abs() < 1e-3, "{difference}");
    wgrad(dir.path(), "bench lenet5 --amp --steps 2 --json").ends_with(0);
    let memory = |amp: &str| wgrad(dir.path(), &format!("summary lenet5 --plan --json {amp}")).ends_with(0).json();
    let [half, full] = ["--amp", ""].map(|amp| memory(amp)["plan"]["activation_bytes"].as_u64().unwrap());
    assert!(half < full * 3 / 4, "{half} of {full}");
}

/// A checkpoint without the scale of its loss, or with one that cannot be, is refused by name.
#[test]
fn a_damaged_scale_is_refused() {
    let dir = folder();
    if !half(dir.path()) {
        return;
    }
    wgrad(dir.path(), "train --amp --steps 2 --out run").ends_with(0);
    let path = dir.path().join("run/checkpoint.safetensors");
    let whole = TensorFile::read(&path).unwrap();
    for (scale, complaint) in [
        (None, "optimizer.loss_scale"),
        (Some(vec![0.0, 1.0, 0.0]), "begins with 0; it must be the positive factor"),
        (Some(vec![f32::NAN, 1.0, 0.0]), "begins with NaN"),
        (Some(vec![1024.0]), "optimizer.loss_scale"),
    ] {
        let mut changed = TensorFile::new();
        changed.metadata = whole.metadata.clone();
        for (name, tensor) in whole.iter().filter(|(name, _)| *name != "optimizer.loss_scale") {
            changed.insert(name, tensor.clone()).unwrap();
        }
        if let Some(data) = scale {
            changed.insert("optimizer.loss_scale", HostTensor { shape: vec![data.len()], data }).unwrap();
        }
        changed.write(&path).unwrap();
        wgrad(dir.path(), "train --resume --steps 4 --out run").fails_with(2, &["checkpoint.safetensors", complaint]);
    }
}

#[test]
fn adapters_without_16_bits_say_so() {
    let dir = folder();
    let refused: Done = command(dir.path(), "--adapter gl train --amp --steps 1 --out run").output().unwrap().into();
    if refused.stderr.contains("no usable GPU adapter") {
        return;
    }
    refused.fails_with(2, &["does not store 16-bit floating point", "leave --amp out"]);
    assert!(!dir.path().join("run").exists(), "a run was begun");
}
