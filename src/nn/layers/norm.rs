//! Normalisation, of each sample by itself or of a batch, and dropout. First weights are 1, first biases 0.

use crate::Result;
use crate::graph::{Graph, Init, ResponseNorm, Value};
use crate::nn::Module;

/// Local response normalisation across channels.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponseNorm(ResponseNorm);

impl LocalResponseNorm {
    /// Over windows of `size` channels, with alpha 1e-4, beta 0.75 and k 1.
    pub fn new(size: usize) -> Self {
        Self(ResponseNorm::new(size))
    }

    /// The factor of the mean square.
    pub fn alpha(mut self, alpha: f32) -> Self {
        self.0.alpha = alpha;
        self
    }

    /// The exponent.
    pub fn beta(mut self, beta: f32) -> Self {
        self.0.beta = beta;
        self
    }

    /// What is added to the squares.
    pub fn k(mut self, k: f32) -> Self {
        self.0.k = k;
        self
    }
}

impl Module for LocalResponseNorm {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.response_norm(x, self.0)
    }
}

/// PyTorch's default for what is added to variances.
const EPS: f32 = 1e-5;

/// Which parameters a normalisation has.
#[derive(Clone, Copy, Debug)]
struct Affine {
    weight: bool,
    bias: bool,
}

impl Affine {
    const BOTH: Self = Self { weight: true, bias: true };
    const NONE: Self = Self { weight: false, bias: false };

    fn parameters(self, graph: &mut Graph, shape: &[usize]) -> Result<[Option<Value>; 2]> {
        let weight = self.weight.then(|| graph.parameter("weight", shape, Init::Constant(1.0))).transpose()?;
        let bias = self.bias.then(|| graph.parameter("bias", shape, Init::Constant(0.0))).transpose()?;
        Ok([weight, bias])
    }
}

/// Layer normalisation over the last axes; parameters `weight` and `bias` of their extents.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    shape: Vec<usize>,
    eps: f32,
    affine: Affine,
}

impl LayerNorm {
    /// Over the last axes, which have these extents.
    pub fn new(shape: &[usize]) -> Self {
        Self { shape: shape.into(), eps: EPS, affine: Affine::BOTH }
    }

    /// What is added to variances, 1e-5 by default.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Leaves the bias out.
    pub fn without_bias(mut self) -> Self {
        self.affine.bias = false;
        self
    }

    /// Leaves weight and bias out.
    pub fn without_parameters(mut self) -> Self {
        self.affine = Affine::NONE;
        self
    }
}

impl Module for LayerNorm {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        if !graph.shape(x).ends_with(&self.shape) {
            let message = format!("layer_norm: {:?} does not end with the extents {:?}", graph.shape(x), self.shape);
            return Err(crate::Error::shape(graph.path(""), message));
        }
        let [weight, bias] = self.affine.parameters(graph, &self.shape)?;
        graph.layer_norm(x, self.shape.len(), weight, bias, self.eps)
    }
}

/// Group normalisation of `[N,C,...]`; parameters `weight [C]` and `bias [C]`.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    groups: usize,
    channels: usize,
    eps: f32,
    affine: Affine,
}

impl GroupNorm {
    /// Over `groups` groups of `channels` channels together.
    pub fn new(groups: usize, channels: usize) -> Self {
        Self { groups, channels, eps: EPS, affine: Affine::BOTH }
    }

    /// What is added to variances, 1e-5 by default.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Leaves weight and bias out.
    pub fn without_parameters(mut self) -> Self {
        self.affine = Affine::NONE;
        self
    }
}

impl Module for GroupNorm {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        if graph.shape(x).get(1) != Some(&self.channels) {
            let message = format!("group_norm: {:?} does not have {} channels", graph.shape(x), self.channels);
            return Err(crate::Error::shape(graph.path(""), message));
        }
        let [weight, bias] = self.affine.parameters(graph, &[self.channels])?;
        graph.group_norm(x, self.groups, weight, bias, self.eps)
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
