//! Rewrites of a graph that save passes over memory; numbers do not change but for rounding.
//!
//! 1. Cross-entropy whose gradient is wanted for a constant gradient of the loss yields it in the same pass.
//! 2. An activation is applied by the kernel that computes its operand.
//! 3. The gradient of an activation is applied by the kernel that computes the gradient of its result.
//! 4. What nobody reads is dropped.

use super::Program;
use crate::Result;
use crate::graph::{CrossEntropy, Epilogue, Mask, Node, Op, Unary, Value};
use std::collections::HashMap;

/// `program` with its graph rewritten.
pub fn fuse(program: &Program) -> Result<Program> {
    let mut program = program.clone();
    fuse_cross_entropy(&mut program)?;
    drop_unread(&mut program);
    move_views(&mut program)?;
    fuse_activations(&mut program);
    drop_unread(&mut program);
    program.graph.renumber();
    Ok(program)
}

/// How often each value is read, by nodes or from outside.
fn readers(program: &Program) -> Vec<usize> {
    let mut readers = vec![0; program.graph.len()];
    let outside = program.outputs.iter().chain(program.gradients.iter().map(|(_, grad)| grad));
    outside.for_each(|value| readers[value.index()] += 1);
    for node in program.graph.nodes() {
        node.inputs.iter().for_each(|input| readers[input.index()] += 1);
        node.epilogue.mask.iter().for_each(|mask| readers[mask.output.index()] += 1);
    }
    readers
}

fn drop_unread(program: &mut Program) {
    let mut readers = readers(program);
    let mut kept = Vec::new();
    let records = program.record != super::Record::None;
    for node in std::mem::take(program.graph.nodes_mut()).into_iter().rev() {
        let wanted = match node.op {
            Op::Input | Op::Parameter(_) => true,
            Op::CrossEntropy(_) if records => true,
            _ => node.outputs.iter().any(|output| readers[output.index()] > 0),
        };
        if wanted {
            kept.push(node);
        } else {
            node.inputs.iter().for_each(|input| readers[input.index()] -= 1);
            node.epilogue.mask.iter().for_each(|mask| readers[mask.output.index()] -= 1);
        }
    }
    kept.reverse();
    *program.graph.nodes_mut() = kept;
}

fn fuse_cross_entropy(program: &mut Program) -> Result<()> {
    let constants: HashMap<Value, f32> = program
        .graph
        .nodes()
        .iter()
        .filter_map(|node| match node.op {
            Op::Constant { value, .. } => Some((node.outputs[0], value)),
            _ => None,
        })
        .collect();
    let nodes = program.graph.nodes();
    let find = |grad: &Node| {
        let scale = constants.get(grad.inputs.get(2)?)?;
        let loss = nodes.iter().position(|node| {
            matches!(node.op, Op::CrossEntropy(CrossEntropy { fused_grad: None })) && node.inputs == grad.inputs[..2]
        })?;
        Some((loss, *scale))
    };
    let pairs: Vec<(usize, usize, f32)> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| matches!(node.op, Op::CrossEntropyGrad(_)))
        .filter_map(|(at, node)| find(node).map(|(loss, scale)| (at, loss, scale)))
        .collect();
    for (grad, loss, scale) in pairs.into_iter().rev() {
        let nodes = program.graph.nodes_mut();
        if let Op::CrossEntropy(CrossEntropy { fused_grad: fused @ None }) = &mut nodes[loss].op {
            *fused = Some(scale);
            let dlogits = nodes.remove(grad).outputs[0];
            nodes[loss].outputs.push(dlogits);
        }
    }
    Ok(())
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

fn fuse_activations(program: &mut Program) {
    let readers = readers(program);
    let mut produced: HashMap<Value, usize> = HashMap::new();
    let nodes = program.graph.nodes_mut();
    let mut dropped = vec![false; nodes.len()];
    for at in 0..nodes.len() {
        let node = nodes[at].clone();
        let fused = node.inputs.first().filter(|x| readers[x.index()] == 1).and_then(|x| produced.get(x)).copied();
        let into = fused.filter(|&into| nodes[into].op.takes_epilogue() && nodes[into].outputs[0] == node.inputs[0]);
        if let Some(into) = into {
            let free = nodes[into].epilogue == Epilogue::default();
            match node.op {
                Op::Unary(activation) if free && fits_forward(&nodes[into].op, activation) => {
                    nodes[into].epilogue.activation = Some(activation);
                    nodes[into].outputs[0] = node.outputs[0];
                    dropped[at] = true;
                }
                Op::UnaryBackward(activation)
                    if free
                        && !matches!(nodes[into].op, Op::Norm(_))
                        && produced.get(&node.inputs[1]).is_none_or(|&y| y < into) =>
                {
                    nodes[into].epilogue.mask = Some(Mask { activation, output: node.inputs[1] });
                    nodes[into].outputs[0] = node.outputs[0];
                    dropped[at] = true;
                }
                _ => {}
            }
            if dropped[at] {
                produced.insert(node.outputs[0], into);
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

/// Kernels know activations, not scales; pooling gradients and copies have no use for a forward activation.
fn fits_forward(op: &Op, activation: Unary) -> bool {
    let gradient = matches!(op, Op::Pool2dBackward(_) | Op::AdaptivePool2dBackward(_) | Op::ResponseNormBackward(_));
    !matches!(activation, Unary::Scale(_)) && !gradient && !matches!(op, Op::Slice(_) | Op::Pad(_))
}
