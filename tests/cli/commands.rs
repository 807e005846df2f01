//! The commands beside `train`.

use crate::program::{bytes, command, folder, wgrad};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn help_and_version() {
    let dir = folder();
    for command in
        ["", "train", "eval", "predict", "data", "summary", "devices", "selftest", "profile", "bench", "tune"]
    {
        let done = wgrad(dir.path(), &format!("{command} --help")).ends_with(0);
        assert!(done.stdout.contains("Usage: wgrad") && done.stdout.contains("--adapter"), "{done:#?}");
    }
    assert!(wgrad(dir.path(), "--version").ends_with(0).stdout.starts_with("wgrad "));
    assert!(wgrad(dir.path(), "").ends_with(2).stderr.contains("Usage: wgrad"));
}

#[test]
fn devices_says_which_one_would_be_used() {
    let dir = folder();
    let done = wgrad(dir.path(), "devices").ends_with(0);
    assert!(done.stdout.contains("\n     used "), "{done:#?}");
    // Drivers may print what they like elsewhere, but ours do not.
    assert!(!done.stderr.contains("XDG_RUNTIME_DIR"), "{done:#?}");
    let list = wgrad(dir.path(), "devices --json").ends_with(0).json();
    let list = list.as_array().unwrap();
    let chosen: Vec<&Value> = list.iter().filter(|adapter| adapter["chosen"] == true).collect();
    assert_eq!(chosen.len(), 1);
    assert!(chosen[0]["limits"]["max_binding_bytes"].as_u64().unwrap() >= 128 << 20);
    let last = (list.len() - 1).to_string();
    let list = wgrad(dir.path(), &format!("devices --json --adapter {last}")).ends_with(0).json();
    assert_eq!(list.as_array().unwrap().last().unwrap()["chosen"], true);
    let done = wgrad(dir.path(), "devices --adapter nothing-like-that").ends_with(1);
    assert!(done.stderr.contains("nothing matches \"nothing-like-that\""), "{done:#?}");
}

fn column(summary: &Value, name: &str) -> Vec<u64> {
    summary["layers"].as_array().unwrap().iter().map(|row| row[name].as_u64().unwrap()).collect()
}

#[test]
fn summary_counts_right() {
    let dir = folder();
    let done = wgrad(dir.path(), "summary lenet5").ends_with(0);
    assert!(done.stdout.contains("61706 parameters"), "{done:#?}");
    for (arguments, parameters) in
        [("lenet5", 61_706), ("lenet5-1998", 61_706), ("lenet5 --input 1x32x32", 61_706), ("tutorial", 62_958)]
    {
        let summary = wgrad(dir.path(), &format!("summary {arguments} --json")).ends_with(0).json();
        assert_eq!(summary["parameters"], parameters, "{arguments}");
    }
    let tutorial = wgrad(dir.path(), "summary tutorial --json").json();
    assert_eq!(column(&tutorial, "activations"), [3072, 6272, 1568, 1600, 400, 120, 84, 10]);
    let parameters: Vec<u64> = column(&tutorial, "parameters").into_iter().filter(|&count| count > 0).collect();
    assert_eq!(parameters, [608, 3216, 48_120, 10_164, 850]);
}

#[test]
fn summary_prints_the_plan() {
    let dir = folder();
    let text = wgrad(dir.path(), "summary lenet5 --plan").ends_with(0).stdout;
    for part in ["conv1", "[32, 6, 28, 28]", "MFLOP", "B  parameters", "peak memory "] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let plan = &wgrad(dir.path(), "summary lenet5 --plan --batch 8 --json").ends_with(0).json()["plan"];
    let buffers: u64 = plan["buffers"].as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(plan["peak_bytes"], buffers);
    let flops = |dispatch: &Value| dispatch["flops"].as_u64().unwrap();
    let dispatches = plan["dispatches"].as_array().unwrap();
    assert_eq!(plan["flops"], dispatches.iter().map(flops).sum::<u64>());
    // Forward, gradient of the input, gradient of the weight: two operations for each of the products each time.
    let matmul = |dispatch: &&Value| dispatch["kernel"].as_str().unwrap().starts_with("matmul");
    for (layer, products) in [("fc1", 48_000), ("fc2", 10_080), ("fc3", 840)] {
        let of_layer = dispatches.iter().filter(matmul).filter(|dispatch| dispatch["layer"] == layer);
        assert_eq!(of_layer.map(flops).sum::<u64>(), 3 * 2 * 8 * products, "{layer}");
    }
}

#[test]
fn selftest_of_one_operator() {
    let dir = folder();
    let done = wgrad(dir.path(), "selftest tanh").ends_with(0);
    assert!(done.stdout.contains("elementwise") && done.stdout.contains(" cases passed in "), "{done:#?}");
    let report = wgrad(dir.path(), "selftest tanh --json").ends_with(0).json();
    let cases = report["cases"].as_array().unwrap();
    assert!(!cases.is_empty() && report["failed"] == 0);
    assert!(cases.iter().all(|case| case["of_tolerance"].as_f64().unwrap() <= 1.0));
}

/// How many threads the driver has in the midst of a run.
fn threads(dir: &Path, batch: usize) -> usize {
    let arguments = format!("train --batch-size {batch} --epochs 100000 --out runs/batch-{batch}");
    let mut child = command(dir, &arguments).env_remove("LP_NUM_THREADS").stderr(Stdio::null()).spawn().unwrap();
    let metrics = dir.join(format!("runs/batch-{batch}/metrics.csv"));
    let begin = Instant::now();
    while begin.elapsed().as_secs() < 60 && std::fs::read_to_string(&metrics).map_or(0, |rows| rows.lines().count()) < 2
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let count = names.filter(|name| name.starts_with("llvmpipe")).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(metrics.exists(), "no step was done");
    count
}

/// On Mesa's CPU driver small steps run without its threads, unless the environment says otherwise; the numbers stay.
#[test]
fn small_steps_do_without_the_drivers_threads() {
    let dir = folder();
    let measured = |batch: usize, given: Option<&str>| {
        let mut command = command(dir.path(), &format!("bench lenet5 --batch {batch} --steps 2 --json"));
        command.env_remove("LP_NUM_THREADS");
        given.map(|given| command.env("LP_NUM_THREADS", given));
        let done: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        let llvmpipe = done["adapter"].as_str().unwrap().contains("llvmpipe");
        done["workers"].as_str().map_or_else(|| (!llvmpipe).then(String::new), |workers| Some(workers.into()))
    };
    for (batch, given, part) in [
        (1, None, "none (LP_NUM_THREADS=0), for about 0.1 MFLOP"),
        (64, None, "the driver's threads, for about 7.6 MFLOP"),
        (1, Some("1"), "LP_NUM_THREADS=1 from the environment"),
    ] {
        let workers = measured(batch, given).expect("llvmpipe is told about");
        assert!(workers.is_empty() || workers.contains(part), "{workers}, not {part}");
    }
    if cfg!(target_os = "linux") && measured(1, None).is_some_and(|workers| !workers.is_empty()) {
        assert_eq!([threads(dir.path(), 1), threads(dir.path(), 64)].map(|threads| threads > 0), [false, true]);
    }
    let weights = |given: &str| {
        let arguments = format!("train --batch-size 8 --steps 3 --out runs/{given}");
        let done = command(dir.path(), &arguments).env("LP_NUM_THREADS", given).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        std::fs::read(dir.path().join(format!("runs/{given}/checkpoint.safetensors"))).unwrap()
    };
    assert!(weights("0") == weights("2"));
}

#[test]
fn profile_and_bench_measure() {
    let dir = folder();
    let report = wgrad(dir.path(), "profile lenet5 --batch 8 --repeat 2 --json --trace t.json").ends_with(0).json();
    let dispatches = report["dispatches"].as_array().unwrap();
    assert!(
        dispatches.iter().any(|dispatch| dispatch["layer"] == "conv2") && report["seconds"].as_f64().unwrap() > 0.0
    );
    let trace: Value = serde_json::from_slice(&bytes(dir.path().join("t.json"))).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert_eq!(events.iter().filter(|event| event["ph"] == "X").count(), dispatches.len());
    assert!(wgrad(dir.path(), "profile lenet5 --batch 8 --repeat 2").ends_with(0).stdout.contains("GFLOP/s"));

    let report = wgrad(dir.path(), "bench lenet5 tutorial --batch 8 --steps 5 --json").ends_with(0).json();
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|result| result["steps"] == 5 && result["images_per_second"].as_f64().unwrap() > 0.0));
    wgrad(dir.path(), "bench lenet5 --batch 8 --steps 5 --forward").ends_with(0);
}
