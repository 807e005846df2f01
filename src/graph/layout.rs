//! The same elements under another shape, or with their axes in another order.

use super::op::Inferred;
use super::*;

/// A view of the same elements, in the same order, with these extents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape(pub Shape);

/// The same elements with the axes in another order: axis `i` of the result is axis `self.0[i]` of the operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permute(pub Vec<usize>);

impl Permute {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let shape = &inputs[0].shape;
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..shape.len()) {
            return Err(format!("permute: {:?} does not name each axis of {shape:?} once", self.0));
        }
        Ok(vec![(self.0.iter().map(|&axis| shape[axis]).collect(), DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, grad: Value) -> Result<Vec<Option<Value>>> {
        let mut inverse = vec![0; self.0.len()];
        self.0.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        Ok(vec![Some(graph.permute(grad, &inverse)?)])
    }
}

impl Reshape {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let from = inputs[0];
        if self.0.iter().product::<usize>() != from.elements() {
            return Err(format!(
                "reshape: {:?} has {} elements and cannot become {:?}",
                from.shape,
                from.elements(),
                self.0
            ));
        }
        Ok(vec![(self.0.clone(), from.dtype)])
    }
}

pub(super) fn gradient(graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
    let shape = graph.shape(node.inputs[0]).to_vec();
    Ok(vec![Some(graph.reshape(grad, &shape)?)])
}

impl Graph {
    /// `x` under another shape with as many elements; costs nothing.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Result<Value> {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.add_one(Op::Reshape(Reshape(shape.into())), &[x])
    }

    /// `x` with axis `axes[i]` in place `i`; costs nothing where only axes of extent 1 move.
    pub fn permute(&mut self, x: Value, axes: &[usize]) -> Result<Value> {
        let op = Permute(axes.into());
        let shape = self.shape(x);
        let long = axes.iter().filter(|&&axis| shape.get(axis).is_some_and(|&extent| extent > 1));
        if let (true, Ok(yields)) = (long.is_sorted(), op.infer(&[self.info(x)])) {
            return self.reshape(x, &yields[0].0);
        }
        self.add_one(Op::Permute(op), &[x])
    }

    /// `x` with two axes exchanged.
    pub fn transpose(&mut self, x: Value, a: usize, b: usize) -> Result<Value> {
        let mut axes: Vec<usize> = (0..self.shape(x).len()).collect();
        if a >= axes.len() || b >= axes.len() {
            let message = format!("transpose: axes {a} and {b} do not both exist in {:?}", self.shape(x));
            return Err(Error::shape(self.path(""), message));
        }
        axes.swap(a, b);
        self.permute(x, &axes)
    }

    /// All axes from `start` on become one (PyTorch's `flatten(start_dim)`).
    pub fn flatten(&mut self, x: Value, start: usize) -> Result<Value> {
        let shape = self.shape(x);
        if start >= shape.len() {
            let message = format!("flatten: axis {start} does not exist in {shape:?}");
            return Err(Error::shape(self.path(""), message));
        }
        let mut flat = shape[..start].to_vec();
        flat.push(shape[start..].iter().product());
        self.reshape(x, &flat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_extent_one_move_for_nothing() {
        let mut g = Graph::new();
        let x = g.input("x", &[4, 1, 3], DType::F32).unwrap();
        let y = g.permute(x, &[1, 0, 2]).unwrap();
        assert!(matches!(g.producer(y).op, Op::Reshape(_)) && g.shape(y) == [1, 4, 3]);
        let y = g.transpose(x, 2, 0).unwrap();
        assert!(matches!(g.producer(y).op, Op::Permute(_)) && g.shape(y) == [3, 1, 4]);
        for axes in [&[0, 1][..], &[0, 1, 1], &[0, 1, 3], &[0, 1, 2, 3]] {
            assert!(g.permute(x, axes).unwrap_err().to_string().contains("each axis"), "{axes:?}");
        }
        assert!(g.transpose(x, 0, 3).is_err());
    }
}
