//! Pieces that several families share: layers that read as many channels as come in and have first values of their own.

use crate::Result;
use crate::graph::{self, Graph, Init, Value};
use crate::nn::{BatchNorm2d, Inputs, MaxPool2d, Module};

/// First values of weights and biases.
#[derive(Clone, Copy)]
pub(super) enum First {
    /// PyTorch's default, for weights and biases alike: uniform in `±1 / sqrt(fan_in)`.
    Uniform,
    /// Normal with variance `2 / fan_out`, where `fan_out = K R S` (K. He and others: Delving deep into rectifiers, 2015).
    FanOut,
    /// Normal with this deviation.
    Normal(f32),
    /// One number everywhere.
    Constant(f32),
}

impl First {
    fn init(self, fan_in: usize, fan_out: usize) -> Init {
        match self {
            Self::Uniform => Init::Uniform((1.0 / (fan_in.max(1) as f64).sqrt()) as f32),
            Self::FanOut => Init::Normal((2.0 / fan_out.max(1) as f64).sqrt() as f32),
            Self::Normal(deviation) => Init::Normal(deviation),
            Self::Constant(number) => Init::Constant(number),
        }
    }
}

/// A convolution; parameters `weight [K,C,R,S]` and `bias [K]`.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    outputs: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
    weight: First,
    bias: Option<First>,
}

impl Conv {
    /// To `outputs` channels, without bias.
    pub fn new(outputs: usize, kernel: [usize; 2], weight: First) -> Self {
        Self { outputs, kernel, stride: 1, padding: [0; 2], weight, bias: None }
    }

    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }

    /// As much padding as keeps height and width with a stride of 1.
    pub fn same(self) -> Self {
        Self { padding: self.kernel.map(|extent| extent / 2), ..self }
    }

    pub fn bias(self, first: First) -> Self {
        Self { bias: Some(first), ..self }
    }
}

impl Module for Conv {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let inputs = graph.shape(x).get(1).copied().unwrap_or(1);
        let [r, s] = self.kernel;
        let init = |first: First| first.init(inputs * r * s, self.outputs * r * s);
        let weight = graph.parameter("weight", &[self.outputs, inputs, r, s], init(self.weight))?;
        let bias = self.bias.map(|first| graph.parameter("bias", &[self.outputs], init(first))).transpose()?;
        let conv = graph::Conv2d { stride: [self.stride; 2], padding: self.padding, ..graph::Conv2d::default() };
        graph.conv2d(x, weight, bias, conv)
    }
}

/// A fully connected layer; parameters `weight [O,I]` and `bias [O]`.
#[derive(Clone, Copy)]
pub(super) struct Full {
    outputs: usize,
    weight: First,
    bias: First,
}

impl Full {
    pub fn new(outputs: usize, weight: First, bias: First) -> Self {
        Self { outputs, weight, bias }
    }
}

impl Module for Full {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let inputs = graph.shape(x).get(1).copied().unwrap_or(1);
        let init = |first: First| first.init(inputs, self.outputs);
        let weight = graph.parameter("weight", &[self.outputs, inputs], init(self.weight))?;
        let bias = graph.parameter("bias", &[self.outputs], init(self.bias))?;
        graph.linear(x, weight, Some(bias))
    }
}

/// torchvision's `BasicConv2d`: convolution `conv` without bias, normalisation `bn` with eps 1e-3, ReLU.
#[derive(Clone, Copy)]
pub(super) struct Unit(pub Conv);

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
