//! Local response normalisation (Krizhevsky, Sutskever and Hinton 2012, section 3.3; PyTorch's `LocalResponseNorm`).

use super::op::Inferred;
use super::*;

/// `y[n, c] = x[n, c] / (k + alpha / size * sum of x[n, c']^2)^beta`, where `c'` runs over `size` channels: from
/// `c - size / 2` to `c + (size - 1) / 2`, as far as they exist.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponseNorm {
    /// Channels in a window, at most 32.
    pub size: usize,
    /// The factor of the mean square. The paper's is a factor of the sum: PyTorch's divided by `size`.
    pub alpha: f32,
    /// The exponent.
    pub beta: f32,
    /// What is added to the squares.
    pub k: f32,
}

impl ResponseNorm {
    /// PyTorch's defaults: alpha 1e-4, beta 0.75, k 1.
    pub fn new(size: usize) -> Self {
        Self { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let shape = &inputs[0].shape;
        if shape.len() < 2 {
            return Err(format!("response_norm wants x [N,C,...], got {shape:?}"));
        }
        if self.size == 0 || self.size > 32 {
            return Err(format!("response_norm: a window of {} channels, 1 to 32 are supported", self.size));
        }
        Ok(vec![(shape.clone(), DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        Ok(vec![Some(graph.add_one(Op::ResponseNormBackward(*self), &[grad, node.inputs[0]])?)])
    }
}

impl Graph {
    /// Local response normalisation across the channels of `x [N,C,...]`.
    pub fn response_norm(&mut self, x: Value, norm: ResponseNorm) -> Result<Value> {
        self.add_one(Op::ResponseNorm(norm), &[x])
    }
}
