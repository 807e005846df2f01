//! What a network is: modules with named parameters.
//!
//! A [`Module`] describes its forward pass once, on symbolic tensors; tracing it with concrete shapes yields the graph.
//! Parameter names are those of PyTorch's `state_dict`: the path of the module, then `weight` or `bias`.

mod layers;
mod model;
pub mod models;
mod summary;

pub use layers::{
    AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, BatchNorm2d, Branches, Conv2d, Dropout, First, Flatten, Gelu,
    GeluTanh, GlobalAvgPool, GroupNorm, HardSwish, Identity, LayerNorm, LeakyRelu, Linear, LocalResponseNorm,
    MaxPool2d, Pair, ReflectionPad2d, Relu, Relu6, ReplicationPad2d, Sequential, Sigmoid, Silu, Tanh, ZeroPad2d,
};
pub use model::{Inputs, Model, Network};
pub use summary::{Summary, SummaryRow};

use crate::Result;
use crate::graph::{Graph, Value};

/// A piece of a network.
pub trait Module {
    /// Appends the forward pass for `x` to `graph` and yields its result.
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value>;
}

impl<F: Fn(&mut Graph, Value) -> Result<Value>> Module for F {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        self(graph, x)
    }
}
