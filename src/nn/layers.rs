//! Layers. First weights are PyTorch's: uniform in `±1 / sqrt(fan_in)` for weights and biases alike.

use super::Module;
use crate::Result;
use crate::graph::{self, Graph, Init, Pool2d, Unary, Value};

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
    /// `inputs` channels to `outputs` channels with a square kernel.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self { inputs, outputs, kernel: [kernel; 2], attributes: graph::Conv2d::default(), bias: true }
    }

    /// Zeros on each side of the input.
    pub fn padding(mut self, padding: usize) -> Self {
        self.attributes.padding = [padding; 2];
        self
    }

    /// Distance between windows.
    pub fn stride(mut self, stride: usize) -> Self {
        self.attributes.stride = [stride; 2];
        self
    }

    /// Distance between taps.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.attributes.dilation = [dilation; 2];
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

/// Maximum over square windows.
#[derive(Clone, Debug)]
pub struct MaxPool2d(Pool2d);

impl MaxPool2d {
    /// Windows of `kernel` side by side.
    pub fn new(kernel: usize) -> Self {
        Self(Pool2d::max([kernel; 2]))
    }

    /// Distance between windows.
    pub fn stride(mut self, stride: usize) -> Self {
        self.0.stride = [stride; 2];
        self
    }

    /// Padding that never is the maximum.
    pub fn padding(mut self, padding: usize) -> Self {
        self.0.padding = [padding; 2];
        self
    }

    /// Counts a last, partial window.
    pub fn ceil_mode(mut self) -> Self {
        self.0.ceil_mode = true;
        self
    }
}

impl Module for MaxPool2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.pool2d(x, self.0.clone())
    }
}

/// Average over square windows.
#[derive(Clone, Debug)]
pub struct AvgPool2d(Pool2d);

impl AvgPool2d {
    /// Windows of `kernel` side by side.
    pub fn new(kernel: usize) -> Self {
        Self(Pool2d::average([kernel; 2]))
    }

    /// Distance between windows.
    pub fn stride(mut self, stride: usize) -> Self {
        self.0.stride = [stride; 2];
        self
    }

    /// Zeros on each side, which count in the average.
    pub fn padding(mut self, padding: usize) -> Self {
        self.0.padding = [padding; 2];
        self
    }
}

impl Module for AvgPool2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.pool2d(x, self.0.clone())
    }
}

/// Batch normalisation; parameters `weight [C]` and `bias [C]`, buffers `running_mean [C]` and `running_var [C]`.
#[derive(Clone, Debug)]
pub struct BatchNorm2d {
    channels: usize,
    eps: f32,
    momentum: f32,
}

impl BatchNorm2d {
    /// Of so many channels, with PyTorch's defaults: eps 1e-5, momentum 0.1.
    pub fn new(channels: usize) -> Self {
        Self { channels, eps: 1e-5, momentum: 0.1 }
    }

    /// Added to the variance.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Share of a batch in the running statistics.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }
}

impl Module for BatchNorm2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let shape = [self.channels];
        let state = [
            graph.parameter("weight", &shape, Init::Constant(1.0))?,
            graph.parameter("bias", &shape, Init::Constant(0.0))?,
            graph.buffer("running_mean", &shape, Init::Constant(0.0))?,
            graph.buffer("running_var", &shape, Init::Constant(1.0))?,
        ];
        graph.batch_norm(x, state, self.momentum, self.eps)
    }
}

/// Sets elements to zero with this probability in training, and divides the others by the probability to stay.
#[derive(Clone, Copy, Debug)]
pub struct Dropout(pub f32);

impl Module for Dropout {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.dropout(x, self.0)
    }
}

macro_rules! activation {
    ($(#[$doc:meta] $name:ident => $function:expr;)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Module for $name {
            fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
                graph.unary(x, $function)
            }
        }
    )*};
}

activation! {
    /// `max(x, 0)`.
    Relu => Unary::Relu;
    /// Hyperbolic tangent.
    Tanh => Unary::Tanh;
    /// Logistic function.
    Sigmoid => Unary::Sigmoid;
}

/// `[N, ...]` to `[N, product]`.
#[derive(Clone, Copy, Debug)]
pub struct Flatten;

impl Module for Flatten {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.flatten(x, 1)
    }
}

/// Modules one after the other, each with a name that becomes part of its parameters' names.
#[derive(Default)]
pub struct Sequential {
    modules: Vec<(String, Box<dyn Module>)>,
}

impl Sequential {
    /// No modules yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a module; give those that repeat (activations, pools) names too, they appear in plans and errors.
    pub fn add(mut self, name: impl Into<String>, module: impl Module + 'static) -> Self {
        self.modules.push((name.into(), Box::new(module)));
        self
    }
}

impl Module for Sequential {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        self.modules.iter().try_fold(x, |x, (name, module)| graph.scoped(name, |graph| module.forward(graph, x)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::DType;

    fn parameters(module: impl Module, input: &[usize]) -> usize {
        let mut graph = Graph::new();
        let x = graph.input("x", input, DType::F32).unwrap();
        module.forward(&mut graph, x).unwrap();
        let values: Vec<Value> = graph.parameters().map(|(_, value)| value).collect();
        values.into_iter().map(|value| graph.info(value).elements()).sum()
    }

    #[test]
    fn filters_have_weights_for_each_channel_and_one_bias() {
        assert_eq!(parameters(Conv2d::new(3, 10, 3), &[1, 3, 8, 8]), 280);
        assert_eq!(parameters(Conv2d::new(4, 8, 3).groups(2), &[1, 4, 8, 8]), 8 * 2 * 9 + 8);
        assert_eq!(parameters(Conv2d::new(3, 10, 3).without_bias(), &[1, 3, 8, 8]), 270);
        assert_eq!(parameters(Linear::new(400, 120), &[1, 400]), 48_120);
    }

    #[test]
    fn errors_name_the_layer() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 3, 8, 8], DType::F32).unwrap();
        let net = Sequential::new().add("features", Sequential::new().add("conv9", Conv2d::new(4, 8, 3)));
        let text = net.forward(&mut graph, x).unwrap_err().to_string();
        assert!(text.starts_with("features.conv9: conv2d: x [1, 3, 8, 8] has 3 channels"), "{text}");
    }
}
