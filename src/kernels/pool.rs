//! Pooling and its gradients on `max_pool`, `avg_pool` and their `_backward`.

use super::activation::{codes, with_derivatives};
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Node, Pool2d, Pool2dBackward};
use crate::plan::{Lowering, Operand};

fn dims(pool: &Pool2d, x: &[usize], y: &[usize]) -> Vec<Dim> {
    let [r, s] = pool.kernel;
    let numbers = [x[2], x[3], y[2], y[3], r, s, pool.stride[0], pool.stride[1], pool.padding[0], pool.padding[1]];
    let mut dims: Vec<Dim> = numbers.into_iter().map(|value| Dim::I(value as i32)).collect();
    if pool.average {
        dims.push(Dim::I(pool.count_include_pad.into()));
    }
    dims
}

pub fn forward(ctx: &mut Lowering, node: &Node, pool: &Pool2d) -> Result<()> {
    let (x, y) = (ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]));
    let count: usize = y.iter().product();
    let mut dims = dims(pool, &x, &y);
    dims.push(Dim::I(count as i32));
    let operands: Vec<Operand> = node.inputs.iter().chain(&node.outputs).map(|&value| Operand::Value(value)).collect();
    let (name, invocations) = if pool.average { ("avg_pool", count) } else { ("max_pool", count.div_ceil(4)) };
    let flops = (count * pool.kernel[0] * pool.kernel[1]) as u64;
    ctx.launch(Kernel::new(name), &dims, &operands, invocations as u64)?.cost(flops, format!("{x:?} -> {y:?}"));
    Ok(())
}

pub fn backward(ctx: &mut Lowering, node: &Node, back: &Pool2dBackward) -> Result<()> {
    let dy = ctx.shape(node.inputs[0]);
    let count: usize = back.input.iter().product();
    let mut dims = dims(&back.pool, &back.input, &dy);
    dims.extend([Dim::I(codes(&node.epilogue)[1]), Dim::I(count as i32)]);
    let mut operands: Vec<Operand> = node.inputs.iter().map(|&value| Operand::Value(value)).collect();
    operands.push(node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output)));
    operands.push(Operand::Value(node.outputs[0]));
    let name = if back.pool.average { "avg_pool_backward" } else { "max_pool_backward" };
    let kernel = with_derivatives(Kernel::new(name));
    let flops = (dy.iter().product::<usize>() * back.pool.kernel[0] * back.pool.kernel[1]) as u64;
    ctx.launch(kernel, &dims, &operands, count as u64)?.cost(flops, format!("{dy:?} -> {:?}", back.input));
    Ok(())
}
