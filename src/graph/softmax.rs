//! Softmax and log-softmax.

use super::op::Inferred;
use super::*;

/// `exp(x) / sum exp(x)` along `axis`, or its logarithm; computed with the maximum subtracted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// The axis that sums to one.
    pub axis: usize,
    /// Its logarithm instead.
    pub log: bool,
}

impl Softmax {
    pub(super) fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    pub(super) fn backward_name(&self) -> &'static str {
        if self.log { "log_softmax_backward" } else { "softmax_backward" }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let shape = &inputs[0].shape;
        if self.axis >= shape.len() {
            return Err(format!("{}: axis {} does not exist in {shape:?}", self.name(), self.axis));
        }
        Ok(vec![(shape.clone(), DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let dx = graph.add_one(Op::SoftmaxBackward(self.clone()), &[grad, node.outputs[0]])?;
        Ok(vec![Some(dx)])
    }
}

impl Graph {
    /// Softmax along `axis`.
    pub fn softmax(&mut self, x: Value, axis: usize) -> Result<Value> {
        self.add_one(Op::Softmax(Softmax { axis, log: false }), &[x])
    }

    /// Logarithm of softmax along `axis`.
    pub fn log_softmax(&mut self, x: Value, axis: usize) -> Result<Value> {
        self.add_one(Op::Softmax(Softmax { axis, log: true }), &[x])
    }
}
