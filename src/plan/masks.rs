//! Results that take the place of what they are computed from.
//!
//! The gradient by an activation's operand is as large as the activation, which is read for the last time by the very
//! kernel that writes the gradient. Where that kernel reads and writes an element in one invocation, both can lie at one
//! place. The same goes for chains, with any operand of theirs.

use super::Program;
use crate::graph::{DType, Op, Value};

/// Whether the kernels of an operator can write its first result over a mask of the same shape.
pub(super) fn may_share(op: &Op) -> bool {
    matches!(op, Op::Conv2dBackwardData(_))
}

/// Marks the masks that nobody reads after the node that they belong to, given the values in whose memory others lie.
pub(super) fn mark_last(program: &mut Program, roots: &[Value]) {
    let root = |value: Value| roots[value.index()];
    let mut last = vec![0; roots.len()];
    let mut held = vec![false; roots.len()];
    for (at, node) in program.graph.nodes().iter().enumerate() {
        node.inputs.iter().copied().chain(node.epilogue.reads()).for_each(|value| last[root(value).index()] = at);
        if matches!(node.op, Op::Input | Op::Parameter(_) | Op::Buffer(_)) {
            held[node.outputs[0].index()] = true;
        }
    }
    let recorded = program.record.values().into_iter().flat_map(|(loss, hits)| [loss, hits]);
    let gradients = program.gradients.iter().map(|(_, grad)| *grad);
    for value in program.outputs.iter().copied().chain(recorded).chain(gradients) {
        held[root(value).index()] = true;
    }
    let dtypes: Vec<DType> = (0..roots.len() as u32).map(|i| program.graph.info(Value(i)).dtype).collect();
    let elements: Vec<usize> = (0..roots.len() as u32).map(|i| program.graph.info(Value(i)).elements()).collect();
    for (at, node) in program.graph.nodes_mut().iter_mut().enumerate() {
        let inputs: Vec<Value> = node.inputs.iter().copied().chain(node.epilogue.add).map(root).collect();
        let output = root(node.outputs[0]);
        if let Some(mask) = node.epilogue.mask.as_mut().filter(|_| may_share(&node.op)) {
            let place = root(mask.output);
            let free = last[place.index()] == at && !held[place.index()] && !inputs.contains(&place);
            let alike = dtypes[output.index()] == dtypes[place.index()];
            mask.last = free && alike && !held[output.index()] && !mask.pooled;
        }
        if let Op::Chain(chain) = &mut node.op {
            let mut free: Vec<usize> = (0..node.inputs.len())
                .filter(|&k| {
                    let place = node.inputs[k].index();
                    root(node.inputs[k]) == node.inputs[k] && last[place] == at && !held[place]
                })
                .collect();
            for (r, result) in node.outputs.iter().map(|output| output.index()).enumerate() {
                let fits = |k: &usize| {
                    let place = node.inputs[*k].index();
                    dtypes[place] == dtypes[result] && elements[place] == elements[result]
                };
                let found = free.iter().position(fits).filter(|_| !held[root(node.outputs[r]).index()]);
                chain.in_place.extend(found.map(|index| (r, free.remove(index))));
            }
        }
    }
}
