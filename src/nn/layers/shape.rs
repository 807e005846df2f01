//! Layers that move elements and do not change them.

use crate::Result;
use crate::graph::{Graph, Pad, PadMode, Value};
use crate::nn::Module;

/// `[N, ...]` to `[N, product]`.
#[derive(Clone, Copy, Debug)]
pub struct Flatten;

impl Module for Flatten {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.flatten(x, 1)
    }
}

/// What it is given.
#[derive(Clone, Copy, Debug)]
pub struct Identity;

impl Module for Identity {
    fn forward(&self, _: &mut Graph, x: Value) -> Result<Value> {
        Ok(x)
    }
}

/// Zeros around the last two axes; negative padding cuts off.
#[derive(Clone, Debug)]
pub struct ZeroPad2d(Pad);

impl ZeroPad2d {
    /// The same number on each side.
    pub fn new(padding: usize) -> Self {
        Self(Pad::zeros(padding))
    }

    /// Left, right, top and bottom, in PyTorch's order.
    pub fn sides(left: isize, right: isize, top: isize, bottom: isize) -> Self {
        Self(Pad { rows: [top, bottom], columns: [left, right], value: 0.0 })
    }
}

impl Module for ZeroPad2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.pad(x, self.0.clone())
    }
}

/// The mirror image of the last two axes around them; less than what there is of each.
#[derive(Clone, Copy, Debug)]
pub struct ReflectionPad2d {
    rows: [usize; 2],
    columns: [usize; 2],
}

impl ReflectionPad2d {
    /// The same number on each side.
    pub fn new(padding: usize) -> Self {
        Self { rows: [padding; 2], columns: [padding; 2] }
    }

    /// Left, right, top and bottom, in PyTorch's order.
    pub fn sides(left: usize, right: usize, top: usize, bottom: usize) -> Self {
        Self { rows: [top, bottom], columns: [left, right] }
    }
}

impl Module for ReflectionPad2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.edge_pad(x, self.rows, self.columns, PadMode::Reflect)
    }
}

/// The edges of the last two axes, repeated around them.
#[derive(Clone, Copy, Debug)]
pub struct ReplicationPad2d {
    rows: [usize; 2],
    columns: [usize; 2],
}

impl ReplicationPad2d {
    /// The same number on each side.
    pub fn new(padding: usize) -> Self {
        Self { rows: [padding; 2], columns: [padding; 2] }
    }

    /// Left, right, top and bottom, in PyTorch's order.
    pub fn sides(left: usize, right: usize, top: usize, bottom: usize) -> Self {
        Self { rows: [top, bottom], columns: [left, right] }
    }
}

impl Module for ReplicationPad2d {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        graph.edge_pad(x, self.rows, self.columns, PadMode::Replicate)
    }
}
