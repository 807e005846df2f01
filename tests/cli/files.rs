//! What a run says and leaves.

use crate::program::{assert_tidy, bytes, checkpoint, folder, metrics, wgrad};
use wgrad::graph::Optimizer;
use wgrad::prelude::*;
use wgrad::train::{Config, read_weights};

/// 1,437 images in batches of 16.
const PER_EPOCH: usize = 90;

#[test]
fn a_run_leaves_its_files() {
    let dir = folder();
    let options = "--optimizer sgd --lr 0.01 --momentum 0.9 --weight-decay 0.001 --schedule cosine --batch-size 16";
    let done = wgrad(dir.path(), &format!("train {options} --epochs 2")).ends_with(0);
    let run = dir.path().join("runs/lenet5-digits");
    assert_tidy(&run);
    assert_eq!(std::fs::read_dir(&run).unwrap().count(), 6);

    let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["step", "epoch", "split", "loss", "accuracy", "lr", "images_per_second"]);
    assert_eq!(rows.len(), 1 + 2 * (PER_EPOCH + 1));
    for (index, row) in rows[1..].iter().enumerate() {
        let (epoch, place) = (index / (PER_EPOCH + 1), index % (PER_EPOCH + 1));
        let test = place == PER_EPOCH;
        let step = epoch * PER_EPOCH + place + usize::from(!test);
        assert_eq!(row[..3], [&*step.to_string(), &*(epoch + 1).to_string(), if test { "test" } else { "train" }]);
        let numbers: Vec<f64> = row[3..].iter().map(|number| number.parse().unwrap()).collect();
        assert!(numbers[0] > 0.0 && (0.0..=1.0).contains(&numbers[1]) && numbers[3] > 0.0, "{row:?}");
    }
    // The first loss is that of random weights, before any update; the cosine begins at the rate itself.
    let first: f64 = rows[1][3].parse().unwrap();
    assert!((first - 10_f64.ln()).abs() < 0.05 && rows[1][5] == "0.01", "{:?}", rows[1]);

    let last = checkpoint(&run);
    assert_eq!((last.step, last.evaluated), (180, 2));
    let names: Vec<&str> = last.tensors.names().filter(|name| !name.starts_with("optimizer.")).collect();
    let layers = ["conv1", "conv2", "fc1", "fc2", "fc3"];
    let expected: Vec<String> =
        layers.iter().flat_map(|layer| [format!("{layer}.bias"), format!("{layer}.weight")]).collect();
    assert_eq!(names, expected);
    assert!(last.tensors.get("optimizer.momentum_buffer.conv1.weight").is_ok());
    let best = read_weights(&run.join("best.safetensors")).unwrap();
    assert_eq!((best.model.as_str(), best.input, best.tensors.names().count()), ("lenet5", [1, 28, 28], 10));
    let config = Config::read(&run).unwrap();
    let optimizer = Optimizer::Sgd { lr: 0.01, momentum: 0.9, nesterov: false, weight_decay: 0.001 };
    let schedule = Schedule::Cosine { min: 0.0, warmup: 0 };
    let asked = Settings { epochs: 2, batch_size: 16, optimizer, schedule, ..Settings::default() };
    assert_eq!(config.settings().unwrap(), asked);
    for name in ["curves.svg", "confusion.svg"] {
        let svg = String::from_utf8(bytes(run.join(name))).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("lenet5 on digits"));
    }

    // What was announced, and what came.
    let announced = done.stderr.lines().find_map(|line| line.strip_prefix("device memory: ")).unwrap();
    assert!(done.stdout.contains(&format!("peak device memory {announced}, as planned")), "{done:#?}");
    assert!(done.stderr.contains("61,706 parameters; 180 steps of 16 images"), "{done:#?}");
    assert!(done.stdout.contains("✓") && done.stdout.contains("test accuracy "), "{done:#?}");
    assert!(done.stdout.contains("wgrad eval --weights runs/lenet5-digits/best.safetensors --data digits"));

    // The next run without --out takes the next folder, and the last one is the one to resume.
    wgrad(dir.path(), "train --steps 2").ends_with(0);
    assert_eq!(checkpoint(&dir.path().join("runs/lenet5-digits-2")).step, 2);
    let done = wgrad(dir.path(), "train --resume --steps 3").ends_with(0);
    assert!(done.stderr.contains("into runs/lenet5-digits-2"), "{done:#?}");
}

/// The same run in a program of one's own.
#[test]
fn a_report_saves_what_a_run_leaves() {
    let dir = folder();
    wgrad(dir.path(), "train --steps 50 --out program --schedule constant").ends_with(0);
    let gpu = Gpu::new().unwrap();
    let settings = Settings { schedule: Schedule::Constant, steps: Some(50), epochs: 2, ..Settings::default() };
    let report = Trainer::new(&gpu, models::lenet5(10)).settings(settings).fit(&data::digits()).unwrap();
    let (library, program) = (dir.path().join("library"), dir.path().join("program"));
    report.save(&library).unwrap();
    assert_eq!(metrics(&library), metrics(&program));
    for name in ["checkpoint.safetensors", "best.safetensors", "curves.svg", "confusion.svg"] {
        assert!(bytes(library.join(name)) == bytes(program.join(name)), "{name} differ");
    }
}

#[test]
fn every_model_and_optimizer_trains() {
    let dir = folder();
    for (number, options) in [
        "--model lenet5-1998 --optimizer adam",
        "--model tutorial --optimizer adamw --schedule cosine:0.0001:2",
        "--model lenet5 --optimizer sgd --momentum 0 --weight-decay 0 --schedule step:1:0.5 --no-shuffle",
    ]
    .iter()
    .enumerate()
    {
        let arguments = format!("train {options} --steps 3 --batch-size 16 --out {number} --json");
        let report = wgrad(dir.path(), &arguments).ends_with(0).json();
        assert_eq!(report["peak_memory_bytes"], report["planned_memory_bytes"], "{report}");
        assert_eq!((&report["step"], &report["interrupted"]), (&3.into(), &false.into()), "{report}");
    }
}
