//! A network of one's own: modules, tracing, and a training run. Reaches at least 90 % in a few seconds.

use wgrad::graph::{Graph, Value};
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential};
use wgrad::prelude::*;

/// Modules in a row suffice for most networks; a closure over the graph can do the rest.
fn small(classes: usize) -> Model {
    Model::new("small", classes, &[[1, 28, 28]], move |graph: &mut Graph, x: Value| {
        let features = Sequential::new()
            .add("conv1", Conv2d::new(1, 8, 3).padding(1).stride(2))
            .add("relu1", Relu)
            .add("conv2", Conv2d::new(8, 16, 3).padding(1))
            .add("relu2", Relu)
            .add("pool", MaxPool2d::new(2))
            .forward(graph, x)?;
        // Any operator of the graph can stand between modules: here a residual of the network's own making.
        let scaled = graph.tanh(features)?;
        let sum = graph.add(features, scaled)?;
        Sequential::new().add("flatten", Flatten).add("fc", Linear::new(16 * 7 * 7, classes)).forward(graph, sum)
    })
}

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    let net = small(10);
    println!("{}", net.trace(1, [1, 28, 28])?.graph);
    let report = Trainer::new(&gpu, net).optimizer(Adam::new(2e-3)).batch_size(32).epochs(6).fit(&data::digits())?;
    println!("accuracy {:.1} %", 100.0 * report.accuracy());
    assert!(report.accuracy() >= 0.9);
    Ok(())
}
