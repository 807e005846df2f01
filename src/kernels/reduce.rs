//! Sums over axes on `reduce`, and sums of partial results on `reduce_splits`.

use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Node, Reduce};
use crate::plan::{Lowering, Operand};

/// The longest chain of additions that one invocation makes.
pub const PIECE: usize = 1024;

/// Into how many pieces `results` sums of `length` terms are cut: none longer than [`PIECE`], and enough of them to keep
/// the adapter busy.
pub fn pieces(ctx: &Lowering, results: usize, length: usize) -> usize {
    (ctx.target.busy() as usize).div_ceil(results).min(length.div_ceil(64)).max(length.div_ceil(PIECE))
}

/// Sums runs of adjacent axes one after the other, the innermost run first.
pub fn lower(ctx: &mut Lowering, node: &Node, reduce: &Reduce) -> Result<()> {
    let mut shape = ctx.shape(node.inputs[0]);
    let scale = if reduce.mean { 1.0 / reduce.length(&shape) as f32 } else { 1.0 };
    let mut runs = vec![];
    let mut axes = reduce.axes.clone();
    while let Some(last) = axes.pop() {
        let mut first = last;
        while axes.last().is_some_and(|&axis| axis + 1 == first) {
            first -= 1;
            axes.pop();
        }
        runs.push(first..last + 1);
    }
    if runs.is_empty() {
        return super::copy(ctx, Operand::Value(node.inputs[0]), Operand::Value(node.outputs[0]), &shape);
    }
    let mut from = Operand::Value(node.inputs[0]);
    let count = runs.len();
    for (index, run) in runs.into_iter().enumerate() {
        let outer: usize = shape[..run.start].iter().product();
        let length: usize = shape[run.clone()].iter().product();
        let inner: usize = shape[run.end..].iter().product();
        let last = index + 1 == count;
        let to = match last {
            true => Operand::Value(node.outputs[0]),
            false => ctx.temporary(4 * (outer * inner) as u64),
        };
        sum(ctx, from, to, [outer, length, inner], if last { scale } else { 1.0 })?;
        shape[run].fill(1);
        from = to;
    }
    Ok(())
}

/// `y[outer, inner] = scale * sum over the middle axis of x[outer, length, inner]`.
pub fn sum(ctx: &mut Lowering, x: Operand, y: Operand, [outer, length, inner]: [usize; 3], scale: f32) -> Result<()> {
    let results = outer * inner;
    let per_part = length.div_ceil(pieces(ctx, results, length).min(PIECE));
    let parts = length.div_ceil(per_part);
    let invocations = (results * parts) as u64;
    let dims = |scale| {
        [outer, length, inner, per_part]
            .map(|value| Dim::U(value as u32))
            .into_iter()
            .chain([Dim::F(scale), Dim::U(invocations as u32)])
    };
    let note = format!("[{outer}, {length}, {inner}] over the middle");
    let dims: Vec<Dim> = dims(scale).collect();
    if parts <= PIECE {
        return add_splits(ctx, parts, [(y, results), (Operand::Null, 0)], |ctx, [y, _]| {
            ctx.launch(Kernel::new("reduce"), &dims, &[x, y], invocations)?.cost((results * length) as u64, note);
            Ok(())
        });
    }
    let partial = ctx.temporary(4 * invocations);
    ctx.launch(Kernel::new("reduce"), &dims, &[x, partial], invocations)?.cost((results * length) as u64, note);
    sum(ctx, partial, y, [1, parts, results], 1.0)
}

/// Runs `produce` with room for `splits` partial results of each of two tensors, and adds them up; with one split the
/// results are produced in place.
pub fn add_splits(
    ctx: &mut Lowering,
    splits: usize,
    results: [(Operand, usize); 2],
    produce: impl FnOnce(&mut Lowering, [Operand; 2]) -> Result<()>,
) -> Result<()> {
    if splits == 1 {
        return produce(ctx, results.map(|(operand, _)| operand));
    }
    let parts = results.map(|(_, count)| match count {
        0 => Operand::Null,
        _ => ctx.temporary(4 * (splits * count) as u64),
    });
    produce(ctx, parts)?;
    let [(a, a_count), (b, b_count)] = results;
    let dims = [splits, a_count, b_count].map(|value| Dim::U(value as u32));
    let total = a_count + b_count;
    let launch = ctx.launch(Kernel::new("reduce_splits"), &dims, &[parts[0], parts[1], a, b], total as u64)?;
    launch.cost((splits * total) as u64, format!("{splits} splits of {total}"));
    Ok(())
}
