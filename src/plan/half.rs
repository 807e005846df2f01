//! Which tensors lie in memory as 16-bit floating point.
//!
//! Kernels compute in f32 whatever the storage, and add up in f32: a number is rounded once, as it is stored. So only what
//! is stored for later matters: activations and their gradients, which are most of the memory and most of what a step
//! reads and writes. Kept in f32 are parameters, their gradients and the optimizer's state; statistics, sums and whatever
//! has a single axis; and what goes in and out of losses, so that the loss is as exact as the logits allow.

use super::Program;
use crate::graph::{DType, Op, Value};
use std::collections::BTreeSet;

/// The tensors of a program that are stored as 16-bit floating point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Half {
    /// None.
    #[default]
    Never,
    /// Activations and their gradients, but for what the program yields.
    Activations,
    /// These, and inputs and outputs of more than one axis: what tests kernels on numbers of 16 bits at both ends.
    Everything,
}

/// Marks the tensors that `program` asks for, and yields them. Operators must not be added any more: they yield f32.
pub(super) fn mark(program: &mut Program) -> BTreeSet<Value> {
    if program.half == Half::Never {
        return BTreeSet::new();
    }
    let everything = program.half == Half::Everything;
    let roots = program.roots();
    let mut full = vec![false; roots.len()];
    let mut keep = |value: Value| full[roots[value.index()].index()] = true;
    for node in program.graph.nodes() {
        for (index, &output) in node.outputs.iter().enumerate() {
            let info = program.graph.info(output);
            if info.dtype != DType::F32 || info.shape.len() < 2 || index > 0 || !suits(&node.op, everything) {
                keep(output);
            }
        }
        if is_loss(&node.op) {
            node.inputs.iter().copied().for_each(&mut keep);
        }
    }
    program.record.values().into_iter().flat_map(|(loss, hits)| [loss, hits]).for_each(&mut keep);
    program.gradients.iter().for_each(|&(_, grad)| keep(grad));
    if !everything {
        program.outputs.iter().copied().for_each(&mut keep);
    }
    let outputs = program.graph.nodes().iter().flat_map(|node| &node.outputs).copied();
    let halves: BTreeSet<Value> = outputs.filter(|value| !full[roots[value.index()].index()]).collect();
    halves.iter().for_each(|&value| program.graph.store_half(value));
    halves
}

/// Whether the first result of an operator may be stored so.
fn suits(op: &Op, everything: bool) -> bool {
    match op {
        Op::Input => everything,
        Op::Parameter(_) | Op::Buffer(_) | Op::Constant { .. } => false,
        Op::Conv2dBackwardWeight(_) | Op::NormBackwardWeight(_) => false,
        op => !is_loss(op),
    }
}

fn is_loss(op: &Op) -> bool {
    matches!(
        op,
        Op::CrossEntropy(_) | Op::CrossEntropyGrad(_) | Op::BinaryCrossEntropy(_) | Op::BinaryCrossEntropyGrad(_)
    )
}
