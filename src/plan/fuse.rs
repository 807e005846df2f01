//! Rewrites of a graph that save passes over memory; numbers do not change but for rounding.
//!
//! 1. Functions of constants are constants: the gradient of a loss that is a part of a weighted total.
//! 2. A cross-entropy whose gradient is wanted for a constant gradient of the loss yields it in the same pass.
//! 3. A sum with a tensor that is there already and an activation are applied by the kernel that computes their operand.
//! 4. The gradient of an activation is applied by the kernel that computes the gradient of its result. Behind a maximum
//!    over windows it is computed from the maxima, so that what they were taken from need not be kept. Those of branches
//!    that are put together are applied to all of them at once.
//! 5. What nobody reads is dropped.

use super::{Program, branches};
use crate::Result;
use crate::graph::{
    Binary, BinaryCrossEntropy, BinaryCrossEntropyGrad, CrossEntropy, CrossEntropyGrad, Epilogue, Mask, Node, Op,
    Shape, Unary, Value,
};
use std::collections::HashMap;

/// `program` with its graph rewritten.
pub fn fuse(program: &Program) -> Result<Program> {
    let mut program = program.clone();
    fold_constants(&mut program);
    fuse_losses(&mut program);
    drop_unread(&mut program);
    move_views(&mut program)?;
    let readers = readers(&program);
    branches::join(&mut program, &readers)?;
    fuse_epilogues(&mut program);
    drop_unread(&mut program);
    program.graph.renumber();
    Ok(program)
}

/// How often each value is read, by nodes or from outside.
fn readers(program: &Program) -> Vec<usize> {
    let mut readers = vec![0; program.graph.len()];
    let recorded = program.record.values().into_iter().flat_map(|(loss, hits)| [loss, hits]);
    let outside =
        program.outputs.iter().copied().chain(program.gradients.iter().map(|(_, grad)| *grad)).chain(recorded);
    outside.for_each(|value| readers[value.index()] += 1);
    for node in program.graph.nodes() {
        node.inputs.iter().for_each(|input| readers[input.index()] += 1);
        node.epilogue.reads().for_each(|value| readers[value.index()] += 1);
    }
    readers
}

pub(super) fn drop_unread(program: &mut Program) {
    let mut readers = readers(program);
    let mut kept = Vec::new();
    for node in std::mem::take(program.graph.nodes_mut()).into_iter().rev() {
        let wanted = match node.op {
            Op::Input | Op::Parameter(_) | Op::Buffer(_) => true,
            _ => node.outputs.iter().any(|output| readers[output.index()] > 0),
        };
        if wanted {
            kept.push(node);
        } else {
            node.inputs.iter().for_each(|input| readers[input.index()] -= 1);
            node.epilogue.reads().for_each(|value| readers[value.index()] -= 1);
        }
    }
    kept.reverse();
    *program.graph.nodes_mut() = kept;
}

/// The values that are one number everywhere.
fn constants(program: &Program) -> HashMap<Value, f32> {
    let constant = |node: &Node| match node.op {
        Op::Constant { value, .. } => Some((node.outputs[0], value)),
        _ => None,
    };
    program.graph.nodes().iter().filter_map(constant).collect()
}

/// Scales, sums and products of constants become constants, with the arithmetic that kernels would do.
fn fold_constants(program: &mut Program) {
    let mut known = constants(program);
    let shapes: Vec<Shape> =
        program.graph.nodes().iter().map(|node| program.graph.shape(node.outputs[0]).into()).collect();
    for (node, shape) in program.graph.nodes_mut().iter_mut().zip(shapes) {
        let numbers: Option<Vec<f32>> = node.inputs.iter().map(|input| known.get(input).copied()).collect();
        let folded = match (&node.op, numbers.as_deref()) {
            (Op::Unary(Unary::Scale(scale)), Some([a])) => Some(a * scale),
            (Op::Binary(Binary::Add), Some([a, b])) => Some(a + b),
            (Op::Binary(Binary::Sub), Some([a, b])) => Some(a - b),
            (Op::Binary(Binary::Mul), Some([a, b])) => Some(a * b),
            (Op::Reshape(_) | Op::Broadcast(_), Some([a])) => Some(*a),
            _ => None,
        };
        if let Some(value) = folded {
            known.insert(node.outputs[0], value);
            node.op = Op::Constant { value, shape };
            node.inputs.clear();
        }
    }
}

/// The loss that `grad` is the gradient of, as it stands before fusion, and its fused form.
fn fused_loss(grad: &Op, scale: f32) -> Option<[Op; 2]> {
    let fused_grad = Some(scale);
    match grad {
        Op::CrossEntropyGrad(CrossEntropyGrad(op)) => {
            Some([op.clone(), CrossEntropy { fused_grad, ..op.clone() }].map(Op::CrossEntropy))
        }
        Op::BinaryCrossEntropyGrad(BinaryCrossEntropyGrad(op)) => {
            Some([op.clone(), BinaryCrossEntropy { fused_grad, ..op.clone() }].map(Op::BinaryCrossEntropy))
        }
        _ => None,
    }
}

fn fuse_losses(program: &mut Program) {
    let constants = constants(program);
    let nodes = program.graph.nodes_mut();
    let mut at = 0;
    while at < nodes.len() {
        let grad = &nodes[at];
        let scale = grad.inputs.last().and_then(|dloss| constants.get(dloss)).copied();
        let fused = scale.and_then(|scale| fused_loss(&grad.op, scale));
        let operands = &grad.inputs[..grad.inputs.len().saturating_sub(1)];
        let found = fused.and_then(|[plain, fused]| {
            let loss = nodes.iter().position(|node| node.op == plain && node.inputs == operands)?;
            Some((loss, fused))
        });
        match found {
            Some((loss, fused)) => {
                let dlogits = nodes.remove(at).outputs[0];
                nodes[loss].op = fused;
                nodes[loss].outputs.push(dlogits);
            }
            None => at += 1,
        }
    }
}

/// Swaps `unary_backward(reshape(g), y)` for `reshape(unary_backward(g, reshape(y)))`, so that the gradient of an
/// activation stands next to the kernel that computes `g`.
fn move_views(program: &mut Program) -> Result<()> {
    let readers = readers(program);
    let mut at = 0;
    while at < program.graph.nodes().len() {
        let node = program.graph.nodes()[at].clone();
        at += 1;
        let (Op::UnaryBackward(activation), [g, y]) = (&node.op, &node.inputs[..]) else { continue };
        let viewed =
            program.graph.nodes().iter().position(|other| {
                matches!(other.op, Op::Reshape(_)) && other.outputs[0] == *g && readers[g.index()] == 1
            });
        let Some(view) = viewed else { continue };
        let source = program.graph.nodes()[view].inputs[0];
        let shape = program.graph.shape(source).to_vec();
        let shape_after = program.graph.shape(*g).to_vec();
        // The view of y must come before the kernel that will read it.
        let after_y =
            program.graph.nodes().iter().position(|other| other.outputs.contains(y)).map_or(0, |index| index + 1);
        let flat_y = program.graph.insert(after_y, Op::reshape(&shape), &[*y], &node.layer)?;
        let masked = program.graph.insert(at, Op::UnaryBackward(*activation), &[source, flat_y], &node.layer)?;
        let nodes = program.graph.nodes_mut();
        nodes[at + 1] = Node { op: Op::reshape(&shape_after), inputs: vec![masked], ..node };
        nodes.retain(|other| other.outputs[0] != *g);
        at += 1;
    }
    Ok(())
}

/// Lets kernels apply what follows them to their results: a sum with another tensor, an activation, the gradient of one.
fn fuse_epilogues(program: &mut Program) {
    let readers = readers(program);
    let mut produced: HashMap<Value, usize> = HashMap::new();
    let shapes: Vec<Shape> = (0..program.graph.len() as u32).map(|i| program.graph.shape(Value(i)).to_vec()).collect();
    let nodes = program.graph.nodes_mut();
    let mut dropped = vec![false; nodes.len()];
    for at in 0..nodes.len() {
        let node = nodes[at].clone();
        let before = |value: &Value, into: usize| produced.get(value).is_none_or(|&by| by < into);
        // Of the operands of a sum the later one can take the other in.
        let operand = match (&node.op, &node.inputs[..]) {
            (Op::Binary(Binary::Add), [a, b]) if produced.get(b) > produced.get(a) => 1,
            _ => 0,
        };
        let main = node.inputs.get(operand).filter(|x| readers[x.index()] == 1);
        let into = main.and_then(|x| produced.get(x).copied().filter(|&into| nodes[into].outputs[0] == *x));
        if let Some(into) = into {
            let Epilogue { add, activation, mask } = nodes[into].epilogue.clone();
            let op = &nodes[into].op;
            let fused = match node.op {
                Op::Unary(function) if op.takes_epilogue() && activation.is_none() && mask.is_none() => {
                    fits_forward(op, function).then_some(Epilogue { add, activation: Some(function), mask })
                }
                Op::UnaryBackward(activation) if takes_mask(&nodes[into], activation, &shapes) => {
                    let mask = maxima(nodes, into, Mask::new(activation, node.inputs[1]));
                    before(&mask.output, into).then_some(Epilogue { mask: Some(mask), ..Epilogue::default() })
                }
                Op::Binary(Binary::Add) if op.takes_addend() && nodes[into].epilogue == Epilogue::default() => {
                    let other = node.inputs[1 - operand];
                    let fits = before(&other, into) && shapes[other.index()] == shapes[node.outputs[0].index()];
                    (fits && other != node.inputs[operand])
                        .then_some(Epilogue { add: Some(other), ..Epilogue::default() })
                }
                _ => None,
            };
            if let Some(epilogue) = fused {
                nodes[into].epilogue = epilogue;
                nodes[into].outputs[0] = node.outputs[0];
                produced.insert(node.outputs[0], into);
                dropped[at] = true;
                continue;
            }
        }
        node.outputs.iter().for_each(|&output| {
            produced.insert(output, at);
        });
    }
    let mut index = 0;
    nodes.retain(|_| {
        index += 1;
        !dropped[index - 1]
    });
}

/// `mask` of the gradient of a maximum over windows, read from the maxima where these are of the mask's own tensor. That
/// is never so for a derivative that takes the activation's operand, which nobody pools.
fn maxima(nodes: &[Node], gradient: usize, mask: Mask) -> Mask {
    if let (Op::Pool2dBackward(_), Some(argmax)) = (&nodes[gradient].op, nodes[gradient].inputs.get(1))
        && let Some(pool) = nodes.iter().find(|node| node.outputs.get(1) == Some(argmax))
        && pool.inputs[0] == mask.output
    {
        return Mask { output: pool.outputs[0], pooled: true, ..mask };
    }
    mask
}

/// Whether the kernel of `node` can apply the gradient of `activation` to its result; a sum can where it repeats nothing.
fn takes_mask(node: &Node, activation: Unary, shapes: &[Shape]) -> bool {
    let shape = |value: &Value| &shapes[value.index()];
    let sum = matches!(node.op, Op::Binary(Binary::Add))
        && node.inputs.iter().all(|input| shape(input) == shape(&node.outputs[0]))
        && !matches!(activation, Unary::Scale(_));
    (sum || node.op.takes_mask()) && node.epilogue == Epilogue::default()
}

/// Kernels know activations, not scales; pooling gradients and copies have no use for a forward activation.
fn fits_forward(op: &Op, activation: Unary) -> bool {
    let gradient = matches!(op, Op::Pool2dBackward(_) | Op::AdaptivePool2dBackward(_) | Op::ResponseNormBackward(_));
    !matches!(activation, Unary::Scale(_)) && !gradient && !matches!(op, Op::Slice(_) | Op::Pad(_))
}
