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

/// Extents of input and result, then `rest`, and whether averages count the padding.
fn dims(pool: &Pool2d, x: &[usize], y: &[usize], rest: &[usize]) -> Vec<Dim> {
    let numbers = [x[2], x[3], y[2], y[3]].into_iter().chain(rest.iter().copied());
    let mut dims: Vec<Dim> = numbers.map(|value| Dim::I(value as i32)).collect();
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
    let mut dims = dims(pool, &x, &y, &[pool.stride, pool.padding].concat());
    dims.extend([Dim::I(count as i32), reciprocal(y[3]), reciprocal(y[2])]);
    let (name, invocations) = if pool.average { ("avg_pool", count) } else { ("max_pool", count.div_ceil(4)) };
    let mut kernel = exact(kernel(name, pool), count, &y[2..]);
    let fits = |axis: usize| (y[2 + axis] - 1) * pool.stride[axis] + pool.kernel[axis] <= x[2 + axis];
    if !pool.average && pool.padding == [0; 2] && fits(0) && fits(1) {
        kernel = kernel.define("INSIDE", true);
    }
    ctx.launch(kernel, &dims, &operands, invocations as u64)?.cost(flops, format!("{x:?} -> {y:?}"));
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
    let (kernel, dims, count) = if side_by_side { windows(pool, x, &dy) } else { quads(pool, x, &dy) };
    let mut kernel = with_mask(kernel, &node.epilogue, false);
    if node.epilogue.mask.as_ref().is_some_and(|mask| mask.pooled) {
        kernel = kernel.define("POOLED", true);
    }
    ctx.launch(kernel, &dims, &operands, count as u64)?.cost(flops, format!("{dy:?} -> {x:?}"));
    Ok(())
}

/// The gradient of maxima side by side, a window to an invocation: kernel, dimensions, invocations.
fn windows(pool: &Pool2d, x: &[usize], dy: &[usize]) -> (Kernel, Vec<Dim>, usize) {
    let [h, w] = [0, 1].map(|axis| x[2 + axis].div_ceil(pool.kernel[axis]));
    let count = x[0] * x[1] * h * w;
    let mut dims = dims(pool, x, dy, &[h, w, count]);
    dims.extend([reciprocal(w), reciprocal(h)]);
    (exact(kernel("max_pool_windows", pool), count, &[w, h]), dims, count)
}

/// The gradient of any windows, four pixels to an invocation: kernel, dimensions, invocations.
fn quads(pool: &Pool2d, x: &[usize], dy: &[usize]) -> (Kernel, Vec<Dim>, usize) {
    let quads = x[3].div_ceil(4);
    let count = x[0] * x[1] * x[2] * quads;
    let mut dims = dims(pool, x, dy, &pool.padding);
    dims.extend([Dim::U(quads as u32), Dim::U(count as u32), reciprocal(quads), reciprocal(x[2])]);
    let name = if pool.average { "avg_pool_backward" } else { "max_pool_backward" };
    let ([kernel_h, kernel_w], [stride_h, stride_w]) = (pool.kernel, pool.stride);
    let kernel = kernel(name, pool)
        .define("STRIDE_H", stride_h)
        .define("STRIDE_W", stride_w)
        .define("COVER_H", (kernel_h - 1) / stride_h + 1)
        .define("COVER_W", (kernel_w + 2) / stride_w + 1);
    (exact(kernel, count, &[quads, x[2]]), dims, count)
}
