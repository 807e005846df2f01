//! Tensors joined, cut and padded along axes.

use super::op::Inferred;
use super::*;

/// Tensors one after the other along `axis`; all other extents are equal (PyTorch's `cat`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis along which they are joined.
    pub axis: usize,
}

/// The `length` positions from `start` on along `axis` (PyTorch's `narrow`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// The axis that is cut.
    pub axis: usize,
    /// The first position that is kept.
    pub start: usize,
    /// How many are kept.
    pub length: usize,
}

/// A constant around the last two axes (PyTorch's `constant_pad_nd`); negative padding cuts off.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Rows added above and below.
    pub rows: [isize; 2],
    /// Columns added at the left and at the right.
    pub columns: [isize; 2],
    /// What they are filled with.
    pub value: f32,
}

impl Concat {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let first = &inputs[0].shape;
        if self.axis >= first.len() {
            return Err(format!("concat: axis {} does not exist in {first:?}", self.axis));
        }
        let mut shape = first.clone();
        for info in &inputs[1..] {
            let fits = info.shape.len() == first.len()
                && info.shape.iter().zip(first).enumerate().all(|(axis, (a, b))| axis == self.axis || a == b);
            if !fits {
                return Err(format!(
                    "concat along axis {}: {:?} and {first:?} differ in another axis",
                    self.axis, info.shape
                ));
            }
            shape[self.axis] += info.shape[self.axis];
        }
        Ok(vec![(shape, DType::F32)])
    }

    pub(super) fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        grad: Value,
        needs: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let mut start = 0;
        let mut grads = Vec::with_capacity(needs.len());
        for (&input, &needed) in node.inputs.iter().zip(needs) {
            let length = graph.shape(input)[self.axis];
            grads.push(if needed { Some(graph.slice(grad, self.axis, start, length)?) } else { None });
            start += length;
        }
        Ok(grads)
    }
}

impl Slice {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let mut shape = inputs[0].shape.clone();
        let Self { axis, start, length } = *self;
        if axis >= shape.len() {
            return Err(format!("slice: axis {axis} does not exist in {shape:?}"));
        }
        if start.checked_add(length).is_none_or(|end| end > shape[axis]) {
            return Err(format!("slice: {length} positions from {start} on do not lie in axis {axis} of {shape:?}"));
        }
        shape[axis] = length;
        Ok(vec![(shape, DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let shape = graph.shape(node.inputs[0]).to_vec();
        let [outer, inner] = around(&shape, self.axis);
        let grad = graph.reshape(grad, &[outer, self.length, inner])?;
        let after = shape[self.axis] - self.start - self.length;
        let pad = Pad { rows: [self.start as isize, after as isize], columns: [0; 2], value: 0.0 };
        let padded = graph.pad(grad, pad)?;
        Ok(vec![Some(graph.reshape(padded, &shape)?)])
    }
}

impl Pad {
    /// The same number of zeros on each side.
    pub fn zeros(padding: usize) -> Self {
        Self { rows: [padding as isize; 2], columns: [padding as isize; 2], value: 0.0 }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let mut shape = inputs[0].shape.clone();
        let rank = shape.len();
        if rank < 2 {
            return Err(format!("pad wants a tensor of two axes or more, got {shape:?}"));
        }
        for (axis, [before, after]) in [(rank - 2, self.rows), (rank - 1, self.columns)] {
            let extent = shape[axis].checked_add_signed(before).and_then(|extent| extent.checked_add_signed(after));
            let cut = |amount: isize| amount.min(0).unsigned_abs();
            if extent.is_none_or(|extent| extent == 0) || cut(before).max(cut(after)) >= shape[axis] {
                return Err(format!("pad: [{before}, {after}] leaves nothing of axis {axis} of {shape:?}"));
            }
            shape[axis] = extent.unwrap_or_default();
        }
        Ok(vec![(shape, DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, grad: Value) -> Result<Vec<Option<Value>>> {
        let [rows, columns] = [self.rows, self.columns].map(|[before, after]| [-before, -after]);
        Ok(vec![Some(graph.pad(grad, Self { rows, columns, value: 0.0 })?)])
    }
}

/// The products of the extents before and after `axis`.
pub(crate) fn around(shape: &[usize], axis: usize) -> [usize; 2] {
    [shape[..axis].iter().product(), shape[axis + 1..].iter().product()]
}

impl Graph {
    /// `values` one after the other along `axis`; `[N,C,H,W]` with axis 1 puts channels together.
    pub fn concat(&mut self, values: &[Value], axis: usize) -> Result<Value> {
        match values {
            &[one] if axis < self.shape(one).len() => Ok(one),
            _ => self.add_one(Op::Concat(Concat { axis }), values),
        }
    }

    /// The `length` positions from `start` on along `axis`.
    pub fn slice(&mut self, x: Value, axis: usize, start: usize, length: usize) -> Result<Value> {
        if start == 0 && self.shape(x).get(axis) == Some(&length) {
            return Ok(x);
        }
        self.add_one(Op::Slice(Slice { axis, start, length }), &[x])
    }

    /// `x` with a constant around its last two axes.
    pub fn pad(&mut self, x: Value, pad: Pad) -> Result<Value> {
        if [pad.rows, pad.columns] == [[0; 2]; 2] && self.shape(x).len() >= 2 {
            return Ok(x);
        }
        self.add_one(Op::Pad(pad), &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(shapes: &[&[usize]]) -> (Graph, Vec<Value>) {
        let mut graph = Graph::new();
        let input = |(i, shape): (usize, &&[usize])| graph.input(&format!("x{i}"), shape, DType::F32).unwrap();
        let values = shapes.iter().enumerate().map(input).collect();
        (graph, values)
    }

    #[test]
    fn shapes_and_errors() {
        let (mut g, x) = graph(&[&[2, 3, 4], &[2, 5, 4], &[2, 3, 5], &[7]]);
        let y = g.concat(&[x[0], x[1], x[0]], 1).unwrap();
        assert_eq!(g.shape(y), [2, 11, 4]);
        let y = g.slice(y, 1, 10, 1).unwrap();
        assert_eq!(g.shape(y), [2, 1, 4]);
        let y = g.pad(x[0], Pad { rows: [1, -2], columns: [0, 2], value: 0.0 }).unwrap();
        assert_eq!(g.shape(y), [2, 2, 6]);
        let error = |result: Result<Value>| result.unwrap_err().to_string();
        assert!(error(g.concat(&[x[0], x[2]], 1)).contains("[2, 3, 5] and [2, 3, 4] differ"));
        assert!(error(g.concat(&[x[0], x[3]], 1)).contains("differ"));
        assert!(error(g.concat(&[x[0]], 3)).contains("axis 3 does not exist"));
        assert!(error(g.concat(&[], 0)).contains("takes 1"));
        assert!(error(g.slice(x[3], 0, 7, 1)).contains("1 positions from 7 on"));
        assert!(error(g.slice(x[3], 0, usize::MAX, 2)).contains("do not lie"));
        assert!(error(g.slice(x[3], 0, 2, 0)).contains("empty"));
        assert!(error(g.pad(x[3], Pad::zeros(1))).contains("two axes"));
        assert!(error(g.pad(x[0], Pad { rows: [-3, 5], columns: [0; 2], value: 0.0 })).contains("leaves nothing"));
    }

    #[test]
    fn what_changes_nothing_adds_nothing() {
        let (mut g, x) = graph(&[&[2, 3]]);
        assert_eq!(g.concat(&x, 1).unwrap(), x[0]);
        assert_eq!(g.slice(x[0], 1, 0, 3).unwrap(), x[0]);
        assert_eq!(g.pad(x[0], Pad::zeros(0)).unwrap(), x[0]);
    }
}
