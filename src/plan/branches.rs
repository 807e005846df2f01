//! The gradients of the activations of branches that are put together.
//!
//! ```text
//! y1 = relu(..), y2 = relu(..), y = concat(y1, y2)
//!
//! before: slice(dy), relu_backward by y1;  slice(dy), relu_backward by y2
//! after:  relu_backward of dy by y;  slice, slice
//! ```
//!
//! One kernel then applies them all, mostly the one that computes `dy`; no branch's result is kept for it, since `y` is
//! there for the layers behind anyway; and slices only copy, which their readers can do without, see [`super::views`].

use super::Program;
use crate::Result;
use crate::graph::{Graph, Node, Op, Unary, Value};

/// Slices of the gradient of a concatenation, each followed by the gradient of the same activation.
struct Branches {
    /// The first of the slices among all nodes.
    first: usize,
    activation: Unary,
    /// The concatenation, and its layer.
    whole: Value,
    layer: String,
    /// Each slice, and the gradient that is computed from it.
    slices: Vec<(Value, Value)>,
}

/// Applies the gradients of activations before gradients are cut into slices, wherever that can be done for all slices of
/// one. `readers` tells how often each value is read.
pub(super) fn join(program: &mut Program, readers: &[usize]) -> Result<()> {
    let graph = &mut program.graph;
    let sliced = |node: &Node| matches!(node.op, Op::Slice(_)).then(|| node.inputs[0]);
    let mut sources: Vec<Value> = graph.nodes().iter().filter_map(sliced).collect();
    sources.dedup();
    for source in sources {
        let Some(Branches { first, activation, whole, layer, slices }) = branches(graph, source, readers) else {
            continue;
        };
        let masked = graph.insert(first, Op::UnaryBackward(activation), &[source, whole], &layer)?;
        for (slice, gradient) in slices {
            graph.nodes_mut().retain(|node| node.outputs[0] != gradient);
            let nodes = graph.nodes_mut().iter_mut();
            nodes.filter(|node| node.outputs[0] == slice).for_each(|node| {
                (node.inputs[0], node.outputs[0]) = (masked, gradient);
            });
        }
    }
    Ok(())
}

/// All that reads `source`, if it is that.
fn branches(graph: &Graph, source: Value, readers: &[usize]) -> Option<Branches> {
    let nodes = graph.nodes();
    let mut found: Option<Branches> = None;
    for (at, node) in nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&source)) {
        let (Op::Slice(slice), &[cut]) = (&node.op, &node.outputs[..]) else { return None };
        let reader = nodes[at..].iter().find(|other| other.inputs.first() == Some(&cut))?;
        let (Op::UnaryBackward(activation), &[_, y]) = (&reader.op, &reader.inputs[..]) else { return None };
        let is_whole = |other: &&Node| {
            graph.shape(other.outputs[0]) == graph.shape(source)
                && matches!(&other.op, Op::Concat(concat) if concat.axis == slice.axis)
                && operands(graph, other, slice.axis).any(|(first, operand)| first == slice.start && operand == y)
        };
        let whole = nodes[..at].iter().find(is_whole)?;
        let (value, layer) = (whole.outputs[0], &whole.layer);
        let all = found.get_or_insert_with(|| Branches {
            first: at,
            activation: *activation,
            whole: value,
            layer: layer.clone(),
            slices: vec![],
        });
        if all.activation != *activation || all.whole != value || readers[cut.index()] != 1 {
            return None;
        }
        all.slices.push((cut, reader.outputs[0]));
    }
    found.filter(|all| all.slices.len() == readers[source.index()])
}

/// The operands of a concatenation, and the positions along its axis at which they begin.
pub(super) fn operands<'a>(
    graph: &'a Graph,
    concat: &'a Node,
    axis: usize,
) -> impl Iterator<Item = (usize, Value)> + 'a {
    let mut end = 0;
    concat.inputs.iter().map(move |&operand| {
        let first = end;
        end += graph.shape(operand)[axis];
        (first, operand)
    })
}
