//! The same elements under another shape.

use super::op::Inferred;
use super::*;

/// A view of the same elements, in the same order, with these extents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape(pub Shape);

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
