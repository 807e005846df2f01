//! Trains LeNet-5 on the embedded handwritten digits; reaches at least 98 % on those that it has not seen.

use wgrad::prelude::*;

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    println!("on {}", gpu.describe());
    let digits = data::digits();
    let net = models::lenet5(10);
    println!("{}", net.summary([1, 28, 28])?);

    let report = Trainer::new(&gpu, net).fit(&digits)?;
    for epoch in &report.evaluations {
        println!("epoch {:2}  loss {:.4}  accuracy {:.2} %", epoch.epoch, epoch.loss, 100.0 * epoch.accuracy);
    }
    assert!(report.accuracy() >= 0.98, "this run should do better");
    report.last.weights()?.write("runs/digits.safetensors")
}
