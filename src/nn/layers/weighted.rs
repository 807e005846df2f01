//! Layers that multiply by weights.

use super::Pair;
use crate::Result;
use crate::graph::{self, Graph, Init, Value};
use crate::nn::Module;

/// First values of weights or biases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum First {
    /// PyTorch's default, for weights and biases alike: uniform in `±1 / sqrt(fan_in)`.
    Uniform,
    /// Normal with variance `2 / fan_out`, for a convolution's `fan_out = K R S / groups` (K. He and others: Delving deep
    /// into rectifiers, 2015).
    FanOut,
    /// Normal with this deviation.
    Normal(f32),
    /// One number everywhere.
    Constant(f32),
}

impl First {
    fn init(self, [fan_in, fan_out]: [usize; 2]) -> Init {
        match self {
            Self::Uniform => Init::Uniform((1.0 / (fan_in.max(1) as f64).sqrt()) as f32),
            Self::FanOut => Init::Normal((2.0 / fan_out.max(1) as f64).sqrt() as f32),
            Self::Normal(deviation) => Init::Normal(deviation),
            Self::Constant(number) => Init::Constant(number),
        }
    }
}

/// Declares a weight of this shape and the bias of its first axis.
fn declare(
    graph: &mut Graph,
    shape: &[usize],
    fans: [usize; 2],
    weight: First,
    bias: Option<First>,
) -> Result<(Value, Option<Value>)> {
    let declared = graph.parameter("weight", shape, weight.init(fans))?;
    let bias = bias.map(|first| graph.parameter("bias", &shape[..1], first.init(fans)));
    Ok((declared, bias.transpose()?))
}

/// Convolution of `[N,C,H,W]`; parameters `weight [K,C/groups,R,S]` and `bias [K]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    inputs: Option<usize>,
    outputs: usize,
    kernel: [usize; 2],
    attributes: graph::Conv2d,
    weight: First,
    bias: Option<First>,
}

impl Conv2d {
    /// `inputs` channels to `outputs` channels; the kernel is a side or `[height, width]`.
    pub fn new(inputs: usize, outputs: usize, kernel: impl Pair) -> Self {
        Self { inputs: Some(inputs), ..Self::to(outputs, kernel) }
    }

    /// As many channels as come in to `outputs` channels.
    pub fn to(outputs: usize, kernel: impl Pair) -> Self {
        let (kernel, attributes) = (kernel.pair(), graph::Conv2d::default());
        Self { inputs: None, outputs, kernel, attributes, weight: First::Uniform, bias: Some(First::Uniform) }
    }

    /// Zeros on each side of the input.
    pub fn padding(mut self, padding: impl Pair) -> Self {
        self.attributes.padding = padding.pair();
        self
    }

    /// As much padding as keeps height and width with a stride of 1, where the kernel's sides are odd.
    pub fn same(mut self) -> Self {
        let sides = [0, 1].map(|side| self.attributes.dilation[side] * (self.kernel[side].max(1) - 1) / 2);
        self.attributes.padding = sides;
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

    /// First values of the weights; PyTorch's default if nothing is said.
    pub fn first(mut self, weight: First) -> Self {
        self.weight = weight;
        self
    }

    /// With a bias of these first values; PyTorch's default if nothing is said.
    pub fn bias(mut self, first: First) -> Self {
        self.bias = Some(first);
        self
    }

    /// Leaves the bias out.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }
}

impl Module for Conv2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let inputs = self.inputs.or_else(|| graph.shape(x).get(1).copied()).unwrap_or(1);
        let groups = self.attributes.groups.max(1);
        let [r, s] = self.kernel;
        let fans = [inputs / groups, self.outputs / groups].map(|channels| channels * r * s);
        let shape = [self.outputs, inputs / groups, r, s];
        let (weight, bias) = declare(graph, &shape, fans, self.weight, self.bias)?;
        graph.conv2d(x, weight, bias, self.attributes.clone())
    }
}

/// Fully connected layer on `[..., N,I]`; parameters `weight [O,I]` and `bias [O]`.
#[derive(Clone, Debug)]
pub struct Linear {
    inputs: Option<usize>,
    outputs: usize,
    weight: First,
    bias: First,
}

impl Linear {
    /// `inputs` numbers to `outputs` numbers.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs: Some(inputs), ..Self::to(outputs) }
    }

    /// As many numbers as come in to `outputs` numbers.
    pub fn to(outputs: usize) -> Self {
        Self { inputs: None, outputs, weight: First::Uniform, bias: First::Uniform }
    }

    /// First values of the weights; PyTorch's default if nothing is said.
    pub fn first(mut self, weight: First) -> Self {
        self.weight = weight;
        self
    }

    /// First values of the bias; PyTorch's default if nothing is said.
    pub fn bias(mut self, first: First) -> Self {
        self.bias = first;
        self
    }
}

impl Module for Linear {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let inputs = self.inputs.or_else(|| graph.shape(x).last().copied()).unwrap_or(1);
        let (shape, fans) = ([self.outputs, inputs], [inputs, self.outputs]);
        let (weight, bias) = declare(graph, &shape, fans, self.weight, Some(self.bias))?;
        graph.linear(x, weight, bias)
    }
}
