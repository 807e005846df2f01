//! Adaptive pooling on `adaptive_pool` and `adaptive_pool_backward`.

use super::activation::with_mask;
use super::divide::{exact, reciprocal};
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{AdaptivePool2d, AdaptivePool2dBackward, Node, longest_bin};
use crate::plan::{Lowering, Operand};

/// The longest chain of additions that one invocation makes.
const CHAIN: usize = 1024;

fn dims(from: [usize; 2], to: [usize; 2], count: usize) -> Vec<Dim> {
    let sizes = [from[0], from[1], to[0], to[1], count].map(|size| Dim::U(size as u32));
    sizes.into_iter().chain(to.map(reciprocal)).collect()
}

pub fn forward(ctx: &mut Lowering, node: &Node, pool: &AdaptivePool2d) -> Result<()> {
    let x = ctx.shape(node.inputs[0]);
    let [planes, h, w] = [x[0] * x[1], x[2], x[3]];
    let result = Operand::Value(node.outputs[0]);
    if pool.average {
        return average(ctx, Operand::Value(node.inputs[0]), result, planes, [h, w], pool.output);
    }
    let count = planes * pool.output[0] * pool.output[1];
    let operands = [Operand::Value(node.inputs[0]), result, Operand::Value(node.outputs[1])];
    let launch = ctx.launch(
        exact(Kernel::new("adaptive_pool").define("AVERAGE", false), count, &pool.output),
        &dims([h, w], pool.output, count),
        &operands,
        count as u64,
    )?;
    launch.cost(positions([h, w], pool.output, planes), format!("{x:?} -> {:?}", pool.output));
    Ok(())
}

/// Averages over bins, windows side by side among them; along one axis after the other where bins are large.
pub fn average(
    ctx: &mut Lowering,
    x: Operand,
    y: Operand,
    planes: usize,
    from: [usize; 2],
    to: [usize; 2],
) -> Result<()> {
    let [rows, columns] = [longest_bin(to[0], from[0]), longest_bin(to[1], from[1])];
    if rows > 1 && columns > 1 && rows * columns > CHAIN {
        let between = ctx.temporary(4 * (planes * from[0] * to[1]) as u64);
        average(ctx, x, between, planes * from[0], [1, from[1]], [1, to[1]])?;
        return average(ctx, between, y, planes, [from[0], to[1]], to);
    }
    let count = planes * to[0] * to[1];
    let kernel = exact(Kernel::new("adaptive_pool").define("AVERAGE", true), count, &to);
    let launch = ctx.launch(kernel, &dims(from, to, count), &[x, y, Operand::Null], count as u64)?;
    launch.cost(positions(from, to, planes), format!("{planes} planes {from:?} -> {to:?}"));
    Ok(())
}

pub fn backward(ctx: &mut Lowering, node: &Node, back: &AdaptivePool2dBackward) -> Result<()> {
    let (x, dy) = (&back.input, ctx.shape(node.inputs[0]));
    let count: usize = x.iter().product();
    let argmax = node.inputs.get(1).map_or(Operand::Null, |&value| Operand::Value(value));
    let mask = node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output));
    let operands = [Operand::Value(node.inputs[0]), argmax, mask, Operand::Value(node.outputs[0])];
    let (from, to) = ([x[2], x[3]], [dy[2], dy[3]]);
    let kernel = exact(Kernel::new("adaptive_pool_backward").define("AVERAGE", back.average), count, &from);
    let dims: Vec<Dim> = dims(from, to, count).into_iter().chain(from.map(reciprocal)).collect();
    let launch = ctx.launch(with_mask(kernel, &node.epilogue, false), &dims, &operands, count as u64)?;
    launch.cost(positions(from, to, x[0] * x[1]), format!("{dy:?} -> {x:?}"));
    Ok(())
}

/// What all bins together cover.
fn positions(from: [usize; 2], to: [usize; 2], planes: usize) -> u64 {
    (0..2).map(|axis| longest_bin(to[axis], from[axis]) * to[axis]).product::<usize>() as u64 * planes as u64
}
