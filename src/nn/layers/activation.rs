//! Functions of each element.

use crate::Result;
use crate::graph::{Graph, Unary, Value};
use crate::nn::Module;

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
    /// `min(max(x, 0), 6)`.
    Relu6 => Unary::Relu6;
    /// `x (1 + erf(x / sqrt(2))) / 2`.
    Gelu => Unary::Gelu;
    /// The approximation of [`Gelu`] by a hyperbolic tangent.
    GeluTanh => Unary::GeluTanh;
    /// `x / (1 + exp(-x))`.
    Silu => Unary::Silu;
    /// `x min(max(x + 3, 0), 6) / 6`.
    HardSwish => Unary::HardSwish;
}

/// `x` where it is positive, elsewhere `x` times a slope.
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu(f32);

impl LeakyRelu {
    /// With this slope; PyTorch's default is 0.01.
    pub fn new(slope: f32) -> Self {
        Self(slope)
    }
}

impl Module for LeakyRelu {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.unary(x, Unary::LeakyRelu(self.0))
    }
}
