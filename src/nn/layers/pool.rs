//! Pooling.

use super::Pair;
use crate::Result;
use crate::graph::{Graph, Pool2d, Value};
use crate::nn::Module;

/// Maximum over windows.
#[derive(Clone, Debug)]
pub struct MaxPool2d(Pool2d);

impl MaxPool2d {
    /// Windows of `kernel`, a side or `[height, width]`, side by side.
    pub fn new(kernel: impl Pair) -> Self {
        Self(Pool2d::max(kernel.pair()))
    }

    /// Distance between windows.
    pub fn stride(mut self, stride: impl Pair) -> Self {
        self.0.stride = stride.pair();
        self
    }

    /// Padding that never is the maximum.
    pub fn padding(mut self, padding: impl Pair) -> Self {
        self.0.padding = padding.pair();
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

/// Average over windows.
#[derive(Clone, Debug)]
pub struct AvgPool2d(Pool2d);

impl AvgPool2d {
    /// Windows of `kernel`, a side or `[height, width]`, side by side.
    pub fn new(kernel: impl Pair) -> Self {
        Self(Pool2d::average(kernel.pair()))
    }

    /// Distance between windows.
    pub fn stride(mut self, stride: impl Pair) -> Self {
        self.0.stride = stride.pair();
        self
    }

    /// Zeros on each side.
    pub fn padding(mut self, padding: impl Pair) -> Self {
        self.0.padding = padding.pair();
        self
    }

    /// Counts a last, partial window.
    pub fn ceil_mode(mut self) -> Self {
        self.0.ceil_mode = true;
        self
    }

    /// Whether the padding counts in the average, as it does by default.
    pub fn count_include_pad(mut self, counts: bool) -> Self {
        self.0.count_include_pad = counts;
        self
    }
}

impl Module for AvgPool2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.pool2d(x, self.0.clone())
    }
}

/// Average over bins, to a given size whatever the input's.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool2d([usize; 2]);

impl AdaptiveAvgPool2d {
    /// To a side or `[height, width]`.
    pub fn new(output: impl Pair) -> Self {
        Self(output.pair())
    }
}

impl Module for AdaptiveAvgPool2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.adaptive_avg_pool2d(x, self.0)
    }
}

/// Maximum over bins, to a given size whatever the input's.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveMaxPool2d([usize; 2]);

impl AdaptiveMaxPool2d {
    /// To a side or `[height, width]`.
    pub fn new(output: impl Pair) -> Self {
        Self(output.pair())
    }
}

impl Module for AdaptiveMaxPool2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.adaptive_max_pool2d(x, self.0)
    }
}

/// Average over each plane: `[N,C,H,W]` to `[N,C,1,1]`.
#[derive(Clone, Copy, Debug)]
pub struct GlobalAvgPool;

impl Module for GlobalAvgPool {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.global_avg_pool2d(x)
    }
}
