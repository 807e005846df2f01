//! Sum and mean over axes.

use super::op::Inferred;
use super::*;

/// Sum or mean over `axes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Divide by the number of elements summed.
    pub mean: bool,
    /// The axes to sum over, ascending.
    pub axes: Vec<usize>,
    /// Keep them with extent 1.
    pub keep_dims: bool,
}

impl Reduce {
    pub(super) fn name(&self) -> &'static str {
        if self.mean { "mean" } else { "sum" }
    }

    /// The number of elements that make one result.
    pub fn length(&self, shape: &[usize]) -> usize {
        self.axes.iter().map(|&axis| shape[axis]).product()
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let shape = &inputs[0].shape;
        if let Some(axis) = self.axes.iter().find(|&&axis| axis >= shape.len()) {
            return Err(format!("{}: axis {axis} does not exist in {shape:?}", self.name()));
        }
        if !self.axes.is_sorted_by(|a, b| a < b) {
            return Err(format!("{}: axes {:?} must ascend without repetition", self.name(), self.axes));
        }
        let kept = shape.iter().enumerate().filter_map(|(axis, &extent)| match self.axes.contains(&axis) {
            true => self.keep_dims.then_some(1),
            false => Some(extent),
        });
        Ok(vec![(kept.collect(), DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let shape = graph.shape(node.inputs[0]).to_vec();
        let mut ones = shape.clone();
        self.axes.iter().for_each(|&axis| ones[axis] = 1);
        let mut grad = graph.reshape(grad, &ones)?;
        if self.mean {
            grad = graph.unary(grad, Unary::Scale(1.0 / self.length(&shape) as f32))?;
        }
        Ok(vec![Some(graph.broadcast(grad, &shape)?)])
    }
}

impl Graph {
    /// Sum over `axes`.
    pub fn sum(&mut self, x: Value, axes: &[usize], keep_dims: bool) -> Result<Value> {
        self.add_one(Op::Reduce(Reduce { mean: false, axes: axes.into(), keep_dims }), &[x])
    }

    /// Mean over `axes`.
    pub fn mean(&mut self, x: Value, axes: &[usize], keep_dims: bool) -> Result<Value> {
        self.add_one(Op::Reduce(Reduce { mean: true, axes: axes.into(), keep_dims }), &[x])
    }
}
