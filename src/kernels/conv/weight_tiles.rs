//! Gradients of a convolution by weight and bias by tiles of a workgroup each, on `conv_weight_tiles`: for GPUs.

use super::i;
use crate::Result;
use crate::graph::{Conv2dBackwardWeight, Node};
use crate::kernels::reduce::add_splits;
use crate::kernels::tiles::{Choice, choose};
use crate::kernels::{Dim, Kernel};
use crate::plan::{Lowering, Operand};
use std::ops::Range;

/// The most positions of a split: a longer sum loses accuracy.
const LONGEST: usize = 1 << 14;

/// The most bytes of partial results, unless splits would be longer than that.
const WORKSPACE: usize = 64 << 20;

/// The tile and the number of splits of all positions, if the gradient is one for this family.
pub fn suit(ctx: &Lowering, node: &Node, back: &Conv2dBackwardWeight) -> Option<Choice> {
    let (dy, w, groups) = (ctx.shape(node.inputs[1]), &back.weight, back.conv.groups);
    let positions = dy[0] * dy[2] * dy[3];
    let most = WORKSPACE / (4 * w.iter().product::<usize>());
    let choice = choose(
        ctx,
        "conv weight",
        groups,
        [w[0] / groups, w[1] * w[2] * w[3], positions],
        most,
        ctx.target.cooperative.first(),
    )?;
    Some(Choice { splits: choice.splits.max(positions.div_ceil(LONGEST)), ..choice })
}

pub fn launch(
    ctx: &mut Lowering,
    node: &Node,
    back: &Conv2dBackwardWeight,
    Choice { tile, splits }: Choice,
) -> Result<()> {
    let (x, dy) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let (conv, w) = (&back.conv, &back.weight);
    let (outputs, columns) = (w[0] / conv.groups, w[1] * w[2] * w[3]);
    let plane = dy[2] * dy[3];
    // Samples are summed in the blocks in which every adapter sums them, and no split belongs to two.
    let values = [node.inputs[0], node.inputs[1]];
    let blocks = ctx.row_ranges(&values, ctx.target.block())?;
    let positions = |block: &Range<usize>| block.len() * plane;
    let per_split = (dy[0] * plane).div_ceil(splits).next_multiple_of(tile.k);
    let splits_of = |block: &Range<usize>| positions(block).div_ceil(per_split);
    let splits = blocks.iter().map(splits_of).sum();

    let beyond = |axis: usize| {
        let reach = (dy[2 + axis] - 1) * conv.stride[axis] + (w[2 + axis] - 1) * conv.dilation[axis];
        conv.padding[axis] > 0 || reach >= x[2 + axis]
    };
    let kernel = tile
        .constants(Kernel::new("conv_weight_tiles"))
        .define("R", format!("{}u", w[2]))
        .define("S", format!("{}u", w[3]))
        .define("PADDED", beyond(0) || beyond(1))
        .define("BIAS", back.bias);
    let flops = 2 * (w.iter().product::<usize>() * plane) as u64;
    let note = format!("x {x:?}, dy {dy:?} -> {w:?}, {splits} splits");
    let bias = node.outputs.get(1).map_or(Operand::Null, |&bias| Operand::Value(bias));
    let results = [(Operand::Value(node.outputs[0]), w.iter().product()), (bias, if back.bias { w[0] } else { 0 })];
    add_splits(ctx, splits, results, |ctx, [dw, db]| {
        let mut first_split = 0;
        for block in &blocks {
            let units = conv.groups * tile.across([outputs, columns]) * splits_of(block);
            let u = |value: usize| Dim::U(value as u32);
            let mut dims = vec![u(conv.groups), u(w[1]), i(x[2]), i(x[3]), u(outputs), u(dy[2]), u(dy[3])];
            let window = [conv.stride, conv.dilation, conv.padding];
            dims.extend(window.as_flattened().iter().map(|&value| i(value)));
            let tiles = [outputs.div_ceil(tile.m), columns.div_ceil(tile.n)];
            dims.extend([positions(block), tiles[0], tiles[1], per_split, first_split, units].map(u));
            ctx.within(block.clone(), &values, |ctx| {
                let operands = [Operand::Value(values[0]), Operand::Value(values[1]), dw, db];
                let launch = ctx.launch_groups(kernel.clone(), &dims, &operands, units as u64)?;
                launch.cost(flops * block.len() as u64, note.clone());
                Ok(())
            })?;
            first_split += splits_of(block);
        }
        Ok(())
    })
}
