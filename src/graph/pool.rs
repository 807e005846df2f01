//! Pooling over windows: maximum and average.
//!
//! Max pooling also yields the position of each maximum inside its window (row-major, first maximum wins, NaN counts
//! as the largest number), which is what its gradient needs. Average pooling divides by the window's size including
//! zero padding (`count_include_pad`), or by the number of elements that lie inside the input (PyTorch's `AvgPool2d`;
//! elements beyond the padding, where `ceil_mode` made one more window, are never counted).

use super::op::Inferred;
use super::*;

/// Attributes of a pooling; pairs are `[height, width]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Average instead of maximum.
    pub average: bool,
    /// The window.
    pub kernel: [usize; 2],
    /// Distance between windows; may be less than the kernel.
    pub stride: [usize; 2],
    /// Padding on each side, at most half the kernel.
    pub padding: [usize; 2],
    /// Whether a last, partial window counts.
    pub ceil_mode: bool,
    /// Whether the padding counts in an average.
    pub count_include_pad: bool,
}

/// The gradient of a pooling: `(dy, argmax) -> dx` for the maximum, `(dy) -> dx` for the average.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool2dBackward {
    /// The pooling's attributes.
    pub pool: Pool2d,
    /// The shape of its input.
    pub input: Shape,
}

impl Pool2d {
    /// Maximum over windows of `kernel`, side by side.
    pub fn max(kernel: [usize; 2]) -> Self {
        Self { average: false, kernel, stride: kernel, padding: [0; 2], ceil_mode: false, count_include_pad: true }
    }

    /// Average over windows of `kernel`, side by side.
    pub fn average(kernel: [usize; 2]) -> Self {
        Self { average: true, ..Self::max(kernel) }
    }

    pub(super) fn name(&self) -> &'static str {
        if self.average { "avg_pool2d" } else { "max_pool2d" }
    }

    /// The shape of the result.
    pub fn output_shape(&self, x: &[usize]) -> Result<Shape, String> {
        let name = self.name();
        let &[n, c, h, w] = x else { return Err(format!("{name} wants x [N,C,H,W], got {x:?}")) };
        let [r, s] = self.kernel;
        if r * s == 0 || self.stride.contains(&0) {
            return Err(format!("{name} wants kernel and stride of at least 1"));
        }
        if self.padding[0] > r / 2 || self.padding[1] > s / 2 {
            return Err(format!("{name}: padding {:?} is more than half the {r}x{s} kernel", self.padding));
        }
        if !self.average && r * s > 256 {
            return Err(format!("{name}: the {r}x{s} kernel has more than 256 positions"));
        }
        let size = |axis: usize, input| {
            output_size(input, self.kernel[axis], self.stride[axis], self.padding[axis], 1, self.ceil_mode).ok_or_else(
                || {
                    format!(
                        "{name}: the {r}x{s} kernel is larger than the {h}x{w} input with padding {:?}",
                        self.padding
                    )
                },
            )
        };
        Ok(vec![n, c, size(0, h)?, size(1, w)?])
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let shape = self.output_shape(&inputs[0].shape)?;
        let mut yields = vec![(shape.clone(), DType::F32)];
        if !self.average {
            yields.push((shape, DType::U8));
        }
        Ok(yields)
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let op = Pool2dBackward { pool: self.clone(), input: graph.shape(node.inputs[0]).into() };
        let inputs: Vec<Value> = [grad].into_iter().chain(node.outputs.get(1).copied()).collect();
        Ok(vec![Some(graph.add_one(Op::Pool2dBackward(op), &inputs)?)])
    }
}

impl Pool2dBackward {
    pub(super) fn name(&self) -> &'static str {
        if self.pool.average { "avg_pool2d_backward" } else { "max_pool2d_backward" }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let expected = self.pool.output_shape(&self.input)?;
        if inputs[0].shape != expected {
            return Err(format!("{}: dy has shape {:?}, expected {expected:?}", self.name(), inputs[0].shape));
        }
        if let Some(argmax) = inputs.get(1)
            && (argmax.shape != expected || argmax.dtype != DType::U8)
        {
            return Err(format!(
                "{}: argmax is {:?} {:?}, expected U8 {expected:?}",
                self.name(),
                argmax.dtype,
                argmax.shape
            ));
        }
        Ok(vec![(self.input.clone(), DType::F32)])
    }
}

impl Graph {
    /// Pooling of `x [N,C,H,W]`: `[N,C,OH,OW]`.
    pub fn pool2d(&mut self, x: Value, pool: Pool2d) -> Result<Value> {
        self.add_one(Op::Pool2d(pool), &[x])
    }
}
