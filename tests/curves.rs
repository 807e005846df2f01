//! Loss curves of whole networks against PyTorch, from the same weights, in the same order.

use serde_json::Value as Json;
use std::path::Path;
use wgrad::data::{Dataset, digits_in_order};
use wgrad::graph::Optimizer;
use wgrad::io::TensorFile;
use wgrad::prelude::*;

/// The first 1,600 digits in the order of their file, as `tests/goldens/make.py` takes them.
fn dataset(size: usize, mean: f32, std: f32) -> Dataset {
    let mut train = digits_in_order(size).unwrap();
    train.labels.truncate(1600);
    train.pixels.truncate(1600 * size * size);
    let mut test = train.clone();
    test.labels.truncate(32);
    test.pixels.truncate(32 * size * size);
    let classes = (0..10).map(|digit| digit.to_string()).collect();
    Dataset::new("goldens", classes, (vec![mean], vec![std]), train, test).unwrap()
}

fn optimizer(json: &Json) -> Optimizer {
    let number = |key: &str| json[key].as_f64().unwrap();
    let weight_decay = number("weight_decay") as f32;
    match json["kind"].as_str().unwrap() {
        "sgd" => {
            let (momentum, nesterov) = (number("momentum") as f32, json["nesterov"].as_bool().unwrap());
            Optimizer::Sgd { lr: number("lr"), momentum, nesterov, weight_decay }
        }
        kind => {
            let [beta1, beta2] = [0, 1].map(|index| json["betas"][index].as_f64().unwrap() as f32);
            let decoupled = kind == "adamw";
            Optimizer::Adam { lr: number("lr"), beta1, beta2, eps: number("eps") as f32, weight_decay, decoupled }
        }
    }
}

#[test]
fn first_fifty_losses_equal_pytorchs() {
    let gpu = Gpu::new().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let file: Json = serde_json::from_str(include_str!("goldens/curves.json")).unwrap();
    let [mean, std] = ["mean", "std"].map(|key| file[key].as_f64().unwrap() as f32);
    let runs: Vec<_> = file.as_object().unwrap().iter().filter(|(key, _)| key.contains('/')).collect();
    assert_eq!(runs.len(), 8);
    for (key, run) in runs {
        let name = run["model"].as_str().unwrap();
        let model = models::by_name(name, 10).unwrap();
        let size = model.default_input()[1];
        let weights = TensorFile::read(folder.join(format!("{name}.init.safetensors"))).unwrap();
        let settings = Settings {
            batch_size: 32,
            epochs: 1,
            steps: Some(50),
            optimizer: optimizer(&run["optimizer"]),
            schedule: Schedule::Constant,
            dropout: None,
            seed: 0,
            shuffle: false,
            ..Settings::default()
        };
        let report = Trainer::new(&gpu, model).settings(settings).init(weights).fit(&dataset(size, mean, std)).unwrap();
        for (step, expected) in report.steps.iter().zip(run["losses"].as_array().unwrap()) {
            let expected = expected.as_f64().unwrap();
            let error = (f64::from(step.loss) - expected).abs() / expected;
            let tolerated = 1e-4;
            assert!(error <= tolerated, "{key} step {}: {} instead of {expected}, {error:.1e}", step.step, step.loss);
        }
        assert_eq!(report.steps.len(), 50, "{key}");
    }
}
