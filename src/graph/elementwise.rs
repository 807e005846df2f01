//! Functions of single elements, and of two tensors' elements with broadcasting.

use super::op::Inferred;
use super::*;

/// A function of each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `max(x, 0)`; NaN stays NaN; the derivative at 0 is 0.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// A multiplication by a constant.
    Scale(f32),
    /// `x` where it is positive, elsewhere `x` times this slope.
    LeakyRelu(f32),
    /// `min(max(x, 0), 6)`; the derivative at both ends is 0.
    Relu6,
    /// `x P(X <= x)` for a standard normal `X`: `x (1 + erf(x / sqrt(2))) / 2`.
    Gelu,
    /// Its approximation `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
    GeluTanh,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
    /// `x min(max(x + 3, 0), 6) / 6`.
    HardSwish,
}

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
}

impl Unary {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Scale(_) => "scale",
            Self::LeakyRelu(_) => "leaky_relu",
            Self::Relu6 => "relu6",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::HardSwish => "hardswish",
        }
    }

    pub(super) fn backward_name(self) -> &'static str {
        match self {
            Self::Relu => "relu_backward",
            Self::Tanh => "tanh_backward",
            Self::Sigmoid => "sigmoid_backward",
            Self::Scale(_) => "scale_backward",
            Self::LeakyRelu(_) => "leaky_relu_backward",
            Self::Relu6 => "relu6_backward",
            Self::Gelu => "gelu_backward",
            Self::GeluTanh => "gelu_tanh_backward",
            Self::Silu => "silu_backward",
            Self::HardSwish => "hardswish_backward",
        }
    }

    /// Whether the derivative takes the operand; otherwise it is computed from the result, and the operand need not be
    /// kept. A function that needs its operand cannot be fused with what computes that, because both read it.
    pub fn needs_operand(self) -> bool {
        match self {
            Self::Gelu | Self::GeluTanh | Self::Silu | Self::HardSwish => true,
            // The result's sign is not the operand's.
            Self::LeakyRelu(slope) => slope < 0.0,
            Self::Relu | Self::Tanh | Self::Sigmoid | Self::Scale(_) | Self::Relu6 => false,
        }
    }

    pub(super) fn gradient(self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let at = if self.needs_operand() { node.inputs[0] } else { node.outputs[0] };
        let dx = match self {
            Self::Scale(_) => graph.add_one(Op::Unary(self), &[grad])?,
            _ => graph.add_one(Op::UnaryBackward(self), &[grad, at])?,
        };
        Ok(vec![Some(dx)])
    }
}

impl Binary {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
        }
    }

    pub(super) fn infer(self, inputs: &[&ValueInfo]) -> Inferred {
        let [a, b] = [&inputs[0].shape, &inputs[1].shape];
        let shape = broadcast_shapes(a, b).ok_or_else(|| {
            format!(
                "{}: {a:?} and {b:?} do not broadcast: aligned at the last axis, extents must be equal or 1",
                self.name()
            )
        })?;
        Ok(vec![(shape, DType::F32)])
    }

    pub(super) fn gradient(
        self,
        graph: &mut Graph,
        node: &Node,
        grad: Value,
        needs: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let mut result = vec![None; 2];
        for side in (0..2).filter(|&side| needs[side]) {
            let local = match (self, side) {
                (Self::Add, _) | (Self::Sub, 0) => grad,
                (Self::Sub, _) => graph.unary(grad, Unary::Scale(-1.0))?,
                (Self::Mul, _) => graph.mul(grad, node.inputs[1 - side])?,
            };
            result[side] = Some(sum_to(graph, local, node.inputs[side])?);
        }
        Ok(result)
    }
}

/// The shape of two tensors' element-wise combination: aligned at the last axis, extents equal or 1.
pub fn broadcast_shapes(a: &[usize], b: &[usize]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| {
        let missing = rank - shape.len();
        if axis < missing { 1 } else { shape[axis - missing] }
    };
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, x) | (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Sums `grad` over the axes along which `target` was repeated.
fn sum_to(graph: &mut Graph, grad: Value, target: Value) -> Result<Value> {
    let (from, to) = (graph.shape(grad).to_vec(), graph.shape(target).to_vec());
    let missing = from.len() - to.len();
    let axes: Vec<usize> =
        (0..from.len()).filter(|&axis| axis < missing || (to[axis - missing] == 1 && from[axis] != 1)).collect();
    if axes.is_empty() {
        return Ok(grad);
    }
    let summed = graph.sum(grad, &axes, true)?;
    graph.reshape(summed, &to)
}

pub(super) fn infer_unary(inputs: &[&ValueInfo]) -> Inferred {
    Ok(vec![(inputs[0].shape.clone(), DType::F32)])
}

pub(super) fn infer_same(name: &str, inputs: &[&ValueInfo]) -> Inferred {
    let [a, b] = [&inputs[0].shape, &inputs[1].shape];
    if a != b {
        return Err(format!("{name}: the gradient {a:?} and the result {b:?} differ"));
    }
    Ok(vec![(a.clone(), DType::F32)])
}

pub(super) fn infer_broadcast(shape: &[usize], inputs: &[&ValueInfo]) -> Inferred {
    let from = &inputs[0].shape;
    if broadcast_shapes(from, shape).as_deref() != Some(shape) {
        return Err(format!("broadcast: {from:?} cannot be repeated to {shape:?}"));
    }
    Ok(vec![(shape.into(), DType::F32)])
}

pub(super) fn gradient_broadcast(graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
    Ok(vec![Some(sum_to(graph, grad, node.inputs[0])?)])
}

impl Graph {
    /// A function of each element.
    pub fn unary(&mut self, x: Value, function: Unary) -> Result<Value> {
        self.add_one(Op::Unary(function), &[x])
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, x: Value) -> Result<Value> {
        self.unary(x, Unary::Relu)
    }

    /// Hyperbolic tangent.
    pub fn tanh(&mut self, x: Value) -> Result<Value> {
        self.unary(x, Unary::Tanh)
    }

    /// Logistic function.
    pub fn sigmoid(&mut self, x: Value) -> Result<Value> {
        self.unary(x, Unary::Sigmoid)
    }

    /// `a + b` with broadcasting.
    pub fn add(&mut self, a: Value, b: Value) -> Result<Value> {
        self.add_one(Op::Binary(Binary::Add), &[a, b])
    }

    /// `a - b` with broadcasting.
    pub fn sub(&mut self, a: Value, b: Value) -> Result<Value> {
        self.add_one(Op::Binary(Binary::Sub), &[a, b])
    }

    /// `a * b` with broadcasting.
    pub fn mul(&mut self, a: Value, b: Value) -> Result<Value> {
        self.add_one(Op::Binary(Binary::Mul), &[a, b])
    }

    /// `x` repeated along its axes of extent 1, and along new leading axes, to `shape`.
    pub fn broadcast(&mut self, x: Value, shape: &[usize]) -> Result<Value> {
        self.add_one(Op::Broadcast(shape.into()), &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_aligned_at_the_last_axis() {
        assert_eq!(broadcast_shapes(&[2, 3], &[3]), Some(vec![2, 3]));
        assert_eq!(broadcast_shapes(&[4, 1, 5], &[3, 1]), Some(vec![4, 3, 5]));
        assert_eq!(broadcast_shapes(&[], &[7]), Some(vec![7]));
        assert_eq!(broadcast_shapes(&[2], &[3]), None);
    }
}
