//! Gradients of a convolution by weight and bias, on `conv_weight`, `conv_weight_lanes` or `conv_weight_rows` with
//! `reduce_splits`.

use super::choose::{Algorithm, Pass, Problem, choose};
use super::rows::Rows;
use super::tile::widest;
use super::{COLS, i, span, weight_tiles};
use crate::Result;
use crate::graph::{Conv2dBackwardWeight, Node};
use crate::kernels::reduce::add_splits;
use crate::kernels::{Dim, Kernel, LIGHT};
use crate::plan::{Lowering, Operand};
use std::ops::Range;

/// The most multiplications in an unrolled loop body of `conv_weight_lanes`, and where the kernel is to compile fast.
const LANES_BODY: usize = 1000;
const LIGHT_BODY: usize = 500;

/// The most pixels of a row in it.
const SPAN: usize = 64;

/// Filter rows of an iteration of a weight gradient: all, where there are at most 25 taps.
fn weight_tap_rows(r: usize, s: usize) -> usize {
    if r * s <= 25 { r } else { 1 }
}

pub fn backward_weight(ctx: &mut Lowering, node: &Node, back: &Conv2dBackwardWeight) -> Result<()> {
    let (x, dy) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let (conv, w) = (&back.conv, &back.weight);
    let bias = node.outputs.get(1).filter(|_| back.bias).map(|&bias| Operand::Value(bias));
    let note = format!("x {x:?}, dy {dy:?} -> {w:?}");
    match choose(ctx, Problem::new(Pass::BackwardWeight, conv, &x, w, &dy)) {
        Algorithm::Winograd(winograd) => return winograd.weigh(ctx, node, bias, &note),
        Algorithm::Columns(columns) => return columns.backward_weight(ctx, node, bias, &note),
        Algorithm::Direct => {}
    }
    if let Some(choice) = weight_tiles::suit(ctx, node, back) {
        return weight_tiles::launch(ctx, node, back, choice);
    }
    let outputs = w[0] / conv.groups;
    let [r, s] = [w[2], w[3]];
    let taps_h = weight_tap_rows(r, s);
    let blocks = r / taps_h;
    let lanes = ctx.target.lanes.map(|lanes| lanes as usize);
    let flops = 2 * (w.iter().product::<usize>() * dy[0] * dy[2]) as u64 * dy[3] as u64;
    let light = flops < LIGHT;
    let by_rows = lanes.and_then(|lanes| Rows::new(back, lanes, [x[3], dy[3]], flops));
    // Where groups are of one channel, lanes are on the outputs of all of them.
    let depthwise = lanes.is_some() && by_rows.is_none() && conv.groups > 1 && w[1] == 1;
    let (groups, outputs) = if depthwise { (1, w[0]) } else { (conv.groups, outputs) };
    // Output channels of an invocation or workgroup, its input channels, and the positions that it takes at a time.
    let (kt, ct, pos) = match (lanes, &by_rows) {
        (Some(lanes), Some(rows)) => (lanes * rows.kl, rows.ct, rows.pos),
        (Some(lanes), None) => {
            let per_lane = if outputs > lanes && !depthwise { 2 } else { 1 };
            let body = if light { LIGHT_BODY } else { LANES_BODY };
            let most = (body / (taps_h * s * per_lane)).clamp(COLS, SPAN / conv.stride[1].min(SPAN / COLS));
            let pos = dy[3].div_ceil(dy[3].div_ceil(most));
            (lanes * per_lane, (body / (taps_h * s * per_lane * pos)).clamp(1, 4).min(w[1]), pos)
        }
        (None, _) => (4, 1, COLS),
    };
    let (tiles, channel_tiles) = (outputs.div_ceil(kt), w[1].div_ceil(ct));
    let units = groups * tiles * channel_tiles * blocks;
    let weights: usize = w.iter().product();

    // Enough splits to keep the adapter busy, not so many that adding them up dominates; and never so few that an
    // invocation loops more than some drivers allow (65,535 iterations).
    let values = [node.inputs[0], node.inputs[1]];
    let sample_blocks = ctx.row_ranges(&values, ctx.target.block())?;
    let rows = sample_blocks[0].len() * dy[2];
    let blocks_w = dy[3].div_ceil(pos);
    let busy = ctx.target.busy() as usize / lanes.map_or(1, |lanes| 2 * lanes);
    let wanted = busy.div_ceil(units).min((16 << 20) / (4 * weights)).max(1);
    let rows_per_split = rows.div_ceil(wanted).min((32_768 / blocks_w).max(1));
    let splits_of = |block: &Range<usize>| (block.len() * dy[2]).div_ceil(rows_per_split);
    let splits = sample_blocks.iter().map(splits_of).sum();

    let (kernel, own) = match (lanes, &by_rows) {
        (Some(_), Some(rows)) => (rows.kernel(), vec![]),
        (Some(lanes), None) => {
            let read = widest(4, &[x[3], pos * conv.stride[1]]);
            let wide = widest(4, &[dy[3], pos]);
            let offset = (read - conv.padding[1] % read) % read;
            let vectors = (offset + span(pos, conv.stride[1], s, conv.dilation[1])).div_ceil(read);
            let window = ct * taps_h * vectors;
            let sharers = if depthwise { 1 } else { lanes };
            let own = vec![
                ("KL", kt / lanes),
                ("CT", ct),
                ("POS", pos),
                ("OFFSET", offset),
                ("VECTORS", vectors),
                ("SPAN_W", vectors * read),
                ("WINDOW", window),
                ("SHARERS", sharers),
                ("LOADS", window.div_ceil(sharers)),
                ("TILE", taps_h * s * ct * kt / lanes),
                ("GRADS", pos * kt / lanes),
                ("IN", read),
                ("WIDE", wide),
            ];
            let kernel = Kernel::new("conv_weight_lanes")
                .define("LANES", format!("{lanes}u"))
                .define("DEPTHWISE", depthwise)
                .define("EVEN", dy[3].is_multiple_of(pos));
            let vector = |kernel: Kernel, width, alias, element| match width {
                1 => kernel,
                _ => kernel.define(alias, format!("vec{width}<f32>")).define(element, "return v[i];"),
            };
            let kernel = vector(vector(kernel, read, "X", "part"), wide, "DY", "single");
            (kernel, own)
        }
        (None, _) => {
            let own = vec![
                ("COLS", COLS),
                ("SPAN_W", span(COLS, conv.stride[1], s, conv.dilation[1])),
                ("KT", kt),
                ("KV", kt / 4),
                ("TILE", taps_h * s * kt / 4),
            ];
            (Kernel::new("conv_weight").define("EDGE", outputs < kt), own)
        }
    };
    let common = [
        ("TAP_ROWS", taps_h),
        ("TAP_COLS", s),
        ("STRIDE_W", conv.stride[1]),
        ("DILATION_H", conv.dilation[0]),
        ("DILATION_W", conv.dilation[1]),
    ];
    let common = common.into_iter().filter(|_| by_rows.is_none());
    let kernel =
        common.chain(own).fold(kernel.define("BIAS", back.bias), |kernel, (name, value)| kernel.define(name, value));
    let note = format!("{note}, {splits} splits");
    let bias = bias.unwrap_or(Operand::Null);
    let results = [(Operand::Value(node.outputs[0]), weights), (bias, if back.bias { w[0] } else { 0 })];
    add_splits(ctx, splits, results, |ctx, [dw, db]| {
        let mut first_split = 0;
        for block in &sample_blocks {
            let samples = block.len();
            let total = (units * splits_of(block)) as u64;
            let mut dims = vec![i(samples), i(conv.groups), i(w[1]), i(x[2]), i(x[3]), i(w[0] / conv.groups), i(tiles)];
            if lanes.is_some() {
                dims.push(i(channel_tiles));
            }
            dims.extend([dy[2], dy[3], conv.stride[0], r, blocks, conv.padding[0], conv.padding[1]].map(i));
            dims.extend([rows_per_split, first_split].map(i));
            dims.push(if lanes.is_some() { i(total as usize) } else { Dim::U(total as u32) });
            ctx.within(block.clone(), &values, |ctx| {
                let operands = [Operand::Value(values[0]), Operand::Value(values[1]), dw, db];
                let launch = match lanes {
                    Some(_) => ctx.launch_groups(kernel.clone(), &dims, &operands, total)?,
                    None => ctx.launch(kernel.clone(), &dims, &operands, total)?,
                };
                launch.cost(flops / dy[0] as u64 * samples as u64, note.clone());
                Ok(())
            })?;
            first_split += splits_of(block);
        }
        Ok(())
    })
}
