//! A large network learns: the recipe for ResNet-18 on small images, shortened to what a test may take.

use wgrad::prelude::*;

#[test]
fn resnet18_learns_to_read_digits() {
    let gpu = Gpu::new().unwrap();
    let settings = Settings {
        batch_size: 16,
        epochs: 1,
        steps: Some(40),
        optimizer: Sgd::new(0.02).momentum(0.9).nesterov().weight_decay(5e-4).into(),
        schedule: Schedule::Cosine { min: 0.0, warmup: 5 },
        ..Settings::default()
    };
    let model = models::by_name("resnet18-cifar", 10).unwrap();
    let report = Trainer::new(&gpu, model).settings(settings).fit(&data::digits()).unwrap();
    let mean = |steps: &[wgrad::train::StepMetrics]| {
        steps.iter().map(|step| f64::from(step.loss)).sum::<f64>() / steps.len() as f64
    };
    let (first, last) = (mean(&report.steps[..10]), mean(&report.steps[30..]));
    println!("loss {first:.3} -> {last:.3}, accuracy {:.1} %", 100.0 * report.accuracy());
    assert!(last < 0.6 * first, "loss {first} -> {last}");
    assert!(report.accuracy() > 0.7, "accuracy {}", report.accuracy());
}
