//! Layers that multiply by weights. First weights are PyTorch's: uniform in `±1 / sqrt(fan_in)` for weights and biases
//! alike.

use super::Pair;
use crate::Result;
use crate::graph::{self, Graph, Init, Value};
use crate::nn::Module;

/// Convolution of `[N,C,H,W]`; parameters `weight [K,C/groups,R,S]` and `bias [K]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    attributes: graph::Conv2d,
    bias: bool,
}

impl Conv2d {
    /// `inputs` channels to `outputs` channels; the kernel is a side or `[height, width]`.
    pub fn new(inputs: usize, outputs: usize, kernel: impl Pair) -> Self {
        Self { inputs, outputs, kernel: kernel.pair(), attributes: graph::Conv2d::default(), bias: true }
    }

    /// Zeros on each side of the input.
    pub fn padding(mut self, padding: impl Pair) -> Self {
        self.attributes.padding = padding.pair();
        self
    }

    /// Distance between windows.
    pub fn stride(mut self, stride: impl Pair) -> Self {
        self.attributes.stride = stride.pair();
        self
    }

    /// Distance between taps.
    pub fn dilation(mut self, dilation: impl Pair) -> Self {
        self.attributes.dilation = dilation.pair();
        self
    }

    /// Groups of channels that do not see each other.
    pub fn groups(mut self, groups: usize) -> Self {
        self.attributes.groups = groups;
        self
    }

    /// Leaves the bias out.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }
}

/// PyTorch's bound for weights and biases that feed on `fan_in` numbers.
fn uniform(fan_in: usize) -> Init {
    Init::Uniform((1.0 / (fan_in.max(1) as f64).sqrt()) as f32)
}

impl Module for Conv2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let per_group = self.inputs / self.attributes.groups.max(1);
        let [r, s] = self.kernel;
        let init = uniform(per_group * r * s);
        let weight = graph.parameter("weight", &[self.outputs, per_group, r, s], init)?;
        let bias = match self.bias {
            true => Some(graph.parameter("bias", &[self.outputs], init)?),
            false => None,
        };
        graph.conv2d(x, weight, bias, self.attributes.clone())
    }
}

/// Fully connected layer on `[N,I]`; parameters `weight [O,I]` and `bias [O]`.
#[derive(Clone, Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// `inputs` numbers to `outputs` numbers.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs }
    }
}

impl Module for Linear {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let init = uniform(self.inputs);
        let weight = graph.parameter("weight", &[self.outputs, self.inputs], init)?;
        let bias = graph.parameter("bias", &[self.outputs], init)?;
        graph.linear(x, weight, Some(bias))
    }
}
