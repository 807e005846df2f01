//! Pieces that several families share.

use crate::Result;
use crate::graph::{Graph, Value};
use crate::nn::{BatchNorm2d, Conv2d, First, Inputs, Linear, MaxPool2d, Module};

/// A convolution of as many channels as come in to `outputs` channels, without bias.
pub(super) fn conv2d(outputs: usize, kernel: [usize; 2], first: First) -> Conv2d {
    Conv2d::to(outputs, kernel).first(first).without_bias()
}

/// A fully connected layer with first values of weights and bias.
pub(super) fn linear(outputs: usize, weight: First, bias: First) -> Linear {
    Linear::to(outputs).first(weight).bias(bias)
}

/// torchvision's `BasicConv2d`: convolution `conv` without bias, normalisation `bn` with eps 1e-3, ReLU.
#[derive(Clone)]
pub(super) struct Unit(pub Conv2d);

impl Module for Unit {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let x = graph.scoped("conv", |graph| self.0.forward(graph, x))?;
        let x = norm(graph, "bn", x, 1e-3)?;
        graph.relu(x)
    }
}

/// Batch normalisation under `name`.
pub(super) fn norm(graph: &mut Graph, name: &str, x: Value, eps: f32) -> Result<Value> {
    let channels = graph.shape(x).get(1).copied().unwrap_or(1);
    graph.scoped(name, |graph| BatchNorm2d::new(channels).eps(eps).forward(graph, x))
}

/// Appends `module` under `name`.
pub(super) fn layer(graph: &mut Graph, name: &str, module: impl Module, x: Value) -> Result<Value> {
    graph.scoped(name, |graph| module.forward(graph, x))
}

/// Maximum over `kernel` x `kernel` windows.
pub(super) fn max_pool(kernel: usize, stride: usize, padding: usize) -> MaxPool2d {
    MaxPool2d::new(kernel).stride(stride).padding(padding)
}

/// Colour images of any size from `smallest` on, `default` if nothing else is said.
pub(super) fn colour(smallest: usize, default: usize) -> Inputs {
    Inputs::AtLeast { channels: 3, smallest, default }
}
