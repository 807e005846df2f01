//! Pooling and its gradients on `max_pool`, `avg_pool`, their `_backward`, and `max_pool_windows`; on `max_pool_2x2` and
//! its `_backward` where windows fit; large averages as sums and as bins.

use super::activation::with_mask;
use super::divide::{exact, reciprocal};
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Node, Pool2d, Pool2dBackward};
use crate::plan::{Lowering, Operand};

/// The most positions of an average's window that are unrolled where there is another way.
const UNROLLED: usize = 64;

/// Extents of input and result, and how windows lie.
fn dims(pool: &Pool2d, x: &[usize], y: &[usize]) -> Vec<Dim> {
    let numbers = [x[2], x[3], y[2], y[3], pool.stride[0], pool.stride[1], pool.padding[0], pool.padding[1]];
    let mut dims: Vec<Dim> = numbers.into_iter().map(|value| Dim::I(value as i32)).collect();
    if pool.average {
        dims.push(Dim::I(pool.count_include_pad.into()));
    }
    dims
}

fn kernel(name: &'static str, pool: &Pool2d) -> Kernel {
    let [h, w] = pool.kernel;
    Kernel::new(name).define("KERNEL_H", h).define("KERNEL_W", w)
}

/// Whether `max_pool_2x2` and its gradient do it: windows of 2x2 side by side, without a rest, in whole vectors.
fn halves(pool: &Pool2d, x: &[usize], y: &[usize]) -> bool {
    let plain = !pool.average && (pool.kernel, pool.stride, pool.padding) == ([2; 2], [2; 2], [0; 2]);
    plain && x[2..] == [2 * y[2], 2 * y[3]] && y.iter().product::<usize>().is_multiple_of(4)
}

/// `kernel` and the dimensions of those two for a result of shape `y`.
fn of_vectors(kernel: Kernel, y: &[usize]) -> (Kernel, [Dim; 3], u64) {
    let count: usize = y.iter().product();
    let dims = [Dim::U(y[3] as u32), Dim::U((count / 4) as u32), reciprocal(y[3])];
    (exact(kernel, count, &[y[3]]), dims, count as u64 / 4)
}

pub fn forward(ctx: &mut Lowering, node: &Node, pool: &Pool2d) -> Result<()> {
    let (x, y) = (ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]));
    let count: usize = y.iter().product();
    if pool.average && pool.padding == [0; 2] {
        let (from, to) = (Operand::Value(node.inputs[0]), Operand::Value(node.outputs[0]));
        let window = pool.kernel[0] * pool.kernel[1];
        if pool.kernel == x[2..] && count == x[0] * x[1] {
            return super::reduce::sum(ctx, from, to, [count, window, 1], 1.0 / window as f32);
        }
        // Windows are unrolled, which takes long to compile where they are large.
        let whole = (0..2).all(|axis| pool.kernel[axis] * y[2 + axis] == x[2 + axis]) && pool.stride == pool.kernel;
        if whole && window > UNROLLED {
            return super::adaptive::average(ctx, from, to, x[0] * x[1], [x[2], x[3]], [y[2], y[3]]);
        }
    }
    let operands: Vec<Operand> = node.inputs.iter().chain(&node.outputs).map(|&value| Operand::Value(value)).collect();
    let flops = (count * pool.kernel[0] * pool.kernel[1]) as u64;
    if halves(pool, &x, &y) {
        let (kernel, dims, invocations) = of_vectors(Kernel::new("max_pool_2x2"), &y);
        ctx.launch(kernel, &dims, &operands, invocations)?.cost(flops, format!("{x:?} -> {y:?}"));
        return Ok(());
    }
    let mut dims = dims(pool, &x, &y);
    dims.push(Dim::I(count as i32));
    let (name, invocations) = if pool.average { ("avg_pool", count) } else { ("max_pool", count.div_ceil(4)) };
    ctx.launch(kernel(name, pool), &dims, &operands, invocations as u64)?.cost(flops, format!("{x:?} -> {y:?}"));
    Ok(())
}

pub fn backward(ctx: &mut Lowering, node: &Node, back: &Pool2dBackward) -> Result<()> {
    let (pool, x) = (&back.pool, &back.input);
    let dy = ctx.shape(node.inputs[0]);
    let mut operands: Vec<Operand> = node.inputs.iter().map(|&value| Operand::Value(value)).collect();
    operands.push(node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output)));
    operands.push(Operand::Value(node.outputs[0]));
    let flops = (dy.iter().product::<usize>() * pool.kernel[0] * pool.kernel[1]) as u64;
    if halves(pool, x, &dy) && node.epilogue.mask.as_ref().is_none_or(|mask| mask.pooled) {
        let kernel = with_mask(Kernel::new("max_pool_2x2_backward"), &node.epilogue, true);
        let (kernel, dims, invocations) = of_vectors(kernel, &dy);
        ctx.launch(kernel, &dims, &operands, invocations)?.cost(flops, format!("{dy:?} -> {x:?}"));
        return Ok(());
    }
    let side_by_side = pool.stride == pool.kernel && pool.padding == [0; 2] && !pool.average;
    let (name, mut dims, count) = if side_by_side {
        let windows = [x[2].div_ceil(pool.kernel[0]), x[3].div_ceil(pool.kernel[1])];
        let dims = [x[2], x[3], dy[2], dy[3], windows[0], windows[1]].map(|value| Dim::I(value as i32));
        ("max_pool_windows", dims.to_vec(), x[0] * x[1] * windows[0] * windows[1])
    } else {
        let name = if pool.average { "avg_pool_backward" } else { "max_pool_backward" };
        (name, dims(pool, x, &dy), x.iter().product())
    };
    dims.push(Dim::I(count as i32));
    let mut kernel = with_mask(kernel(name, pool), &node.epilogue, false);
    if node.epilogue.mask.as_ref().is_some_and(|mask| mask.pooled) {
        kernel = kernel.define("POOLED", true);
    }
    ctx.launch(kernel, &dims, &operands, count as u64)?.cost(flops, format!("{dy:?} -> {x:?}"));
    Ok(())
}
