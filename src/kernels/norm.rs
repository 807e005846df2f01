//! Layer and group normalisation on `norm_stats` and `norm`, their gradients on `norm_sums` and `norm_backward`.

use super::activation::with_epilogue;
use super::reduce::{PIECE, add_splits, pieces};
use super::{Dim, Kernel};
use crate::graph::{Node, Norm, NormExtents};
use crate::plan::{Lowering, Operand};
use crate::{Error, Result};

/// Rows and weights of the tensor at input `index`, and its shape for people.
fn extents(ctx: &Lowering, node: &Node, norm: &Norm, index: usize) -> Result<(NormExtents, String)> {
    let shape = ctx.shape(node.inputs[index]);
    let extents = norm.extents(&shape).map_err(|message| Error::shape(&*node.layer, message))?;
    Ok((extents, format!("{shape:?} in {} rows", extents.rows)))
}

fn u(numbers: &[usize]) -> Vec<Dim> {
    numbers.iter().map(|&number| Dim::U(number as u32)).collect()
}

fn operand(node: &Node, index: usize) -> Operand {
    node.inputs.get(index).map_or(Operand::Null, |&value| Operand::Value(value))
}

pub fn forward(ctx: &mut Lowering, node: &Node, norm: &Norm) -> Result<()> {
    let (at, note) = extents(ctx, node, norm, 0)?;
    let [y, mean, rstd] = [0, 1, 2].map(|index| Operand::Value(node.outputs[index]));
    let x = operand(node, 0);
    statistics(ctx, x, [mean, rstd], at, norm.eps)?;
    let count = at.rows * at.length;
    let kernel = Kernel::new("norm").define("WEIGHT", node.inputs.len() > 1).define("BIAS", node.inputs.len() > 2);
    let kernel = with_epilogue(kernel, &node.epilogue, false);
    let operands = [x, mean, rstd, operand(node, 1), operand(node, 2), y];
    let dims = u(&[at.length, at.weights, at.inner, count]);
    ctx.launch(kernel, &dims, &operands, count as u64)?.cost(4 * count as u64, note);
    Ok(())
}

/// Mean and one over the deviation of each row: of pieces first where rows are long, then of the pieces' results.
fn statistics(ctx: &mut Lowering, x: Operand, results: [Operand; 2], at: NormExtents, eps: f32) -> Result<()> {
    let rows = at.rows;
    let (mut from, mut count, mut unit) = ([x, Operand::Null], at.length, 1);
    loop {
        let merge = unit > 1;
        let wanted = if merge && count <= PIECE { 1 } else { pieces(ctx, rows, count) };
        let per_part = count.div_ceil(wanted);
        let parts = count.div_ceil(per_part);
        let to = if parts == 1 { results } else { [0; 2].map(|_| ctx.temporary(4 * (rows * parts) as u64)) };
        let kernel = Kernel::new("norm_stats").define("PARTS", merge).define("FINAL", parts == 1);
        let mut dims = u(&[rows, count, per_part, unit, at.length, rows * parts]);
        dims.push(Dim::F(eps));
        let launch = ctx.launch(kernel, &dims, &[from[0], from[1], to[0], to[1]], (rows * parts) as u64)?;
        launch.cost(4 * (rows * count) as u64, format!("{rows} rows of {count}"));
        if parts == 1 {
            return Ok(());
        }
        (from, count, unit) = (to, parts, unit * per_part);
    }
}

pub fn backward(ctx: &mut Lowering, node: &Node, norm: &Norm) -> Result<()> {
    let (at, note) = extents(ctx, node, norm, 1)?;
    let count = at.rows * at.length;
    let sums = [0; 2].map(|_| ctx.temporary(4 * at.rows as u64));
    sum(ctx, node, at, true, sums)?;
    let kernel = Kernel::new("norm_backward").define("WEIGHT", node.inputs.len() > 4);
    let [dy, x, mean, rstd, weight] = [0, 1, 2, 3, 4].map(|index| operand(node, index));
    let operands = [dy, x, mean, rstd, weight, sums[0], sums[1], Operand::Value(node.outputs[0])];
    let dims = u(&[at.length, at.weights, at.inner, count]);
    ctx.launch(kernel, &dims, &operands, count as u64)?.cost(8 * count as u64, note);
    Ok(())
}

pub fn backward_weight(ctx: &mut Lowering, node: &Node, norm: &Norm) -> Result<()> {
    let (at, _) = extents(ctx, node, norm, 1)?;
    sum(ctx, node, at, false, [0, 1].map(|index| Operand::Value(node.outputs[index])))
}

/// Sums of `g xhat` and of `g` over rows, or over what shares a weight.
fn sum(ctx: &mut Lowering, node: &Node, at: NormExtents, by_row: bool, sums: [Operand; 2]) -> Result<()> {
    let results = if by_row { at.rows } else { at.weights };
    let terms = at.rows * at.length / results;
    let per_part = terms.div_ceil(pieces(ctx, results, terms).min(PIECE));
    let parts = terms.div_ceil(per_part);
    let weight = if by_row { operand(node, 4) } else { Operand::Null };
    let kernel = Kernel::new("norm_sums").define("BY_ROW", by_row).define("WEIGHT", weight != Operand::Null);
    let dims = u(&[at.length, at.weights, at.inner, results, terms, per_part, results * parts]);
    add_splits(ctx, parts, sums.map(|sum| (sum, results)), |ctx, [a, b]| {
        let [dy, x, mean, rstd] = [0, 1, 2, 3].map(|index| operand(node, index));
        let operands = [dy, x, mean, rstd, weight, a, b];
        let launch = ctx.launch(kernel, &dims, &operands, (results * parts) as u64)?;
        launch.cost(5 * (results * terms) as u64, format!("{results} sums of {terms}"));
        Ok(())
    })
}
