//! Convolution and its gradient by the input, on `conv` or `conv_lanes` with `conv_pack`, or on `conv_tiles` where the
//! adapter is a GPU and there are tiles to fill; where a rule says so ([`choose`]) as products of columns or by Winograd's
//! algorithms.

mod choose;
mod columns;
mod direct;
mod phases;
mod quads;
mod rows;
mod samples;
mod tile;
mod tiles;
mod weight;
mod weight_tiles;
mod winograd;

pub use weight::backward_weight;

use self::choose::{Algorithm, Pass, Problem, choose};
use super::Dim;
use crate::Result;
use crate::graph::{Conv2d, Conv2dBackwardData, Node};
use crate::plan::{Lowering, Operand};
use direct::Direct;
use phases::{Phase, phases};

/// Output positions of an invocation at most, and the positions that weight gradients take at a time.
const ROWS: usize = 2;
const COLS: usize = 4;

fn span(count: usize, stride: usize, taps: usize, dilation: usize) -> usize {
    (count - 1) * stride + (taps - 1) * dilation + 1
}

fn i(value: usize) -> Dim {
    Dim::I(value as i32)
}

pub fn forward(ctx: &mut Lowering, node: &Node, conv: &Conv2d) -> Result<()> {
    let (x, w) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let y = ctx.shape(node.outputs[0]);
    let note = format!("x {x:?}, w {w:?} -> {y:?}");
    let bias = node.inputs.get(2).map(|&bias| Operand::Value(bias));
    let [all_x, all_y] = [node.inputs[0], node.outputs[0]].map(|value| ctx.graph.shape(value));
    match choose(ctx, Problem::new(Pass::Forward, conv, all_x, &w, all_y)) {
        Algorithm::Winograd(winograd) => return winograd.convolve(ctx, node, bias, note),
        Algorithm::Columns(columns) if columns.suits(x[0]) => return columns.forward(ctx, node, bias, &note),
        _ => {}
    }
    let direct = Direct {
        n: x[0],
        groups: conv.groups,
        inputs: w[1],
        input: [x[2], x[3]],
        outputs: w[0] / conv.groups,
        output: [y[2], y[3]],
        taps: [w[2], w[3]],
        stride: conv.stride,
        dilation: conv.dilation,
        padding: conv.padding.map(|padding| padding as i64),
        out_shape: [y[2], y[3]],
        out_stride: [1; 2],
        out_offset: [0; 2],
        flops: 2 * y.iter().chain(&w[1..]).map(|&extent| extent as u64).product::<u64>(),
    };
    if let Some(tile) = tiles::suit(ctx, &direct) {
        return tiles::launch(ctx, node, &direct, tile, None, note);
    }
    let packed = direct.pack(ctx, Operand::Value(node.inputs[1]), [w[2], w[3]], None)?;
    direct.launch(ctx, node, packed, bias, note)
}

/// One launch for each phase, see [`phases`].
pub fn backward_data(ctx: &mut Lowering, node: &Node, back: &Conv2dBackwardData) -> Result<()> {
    let (dy, w) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let note = format!("dy {dy:?}, w {w:?} -> {:?}", back.input);
    match choose(ctx, backward_problem(ctx, node, back)) {
        Algorithm::Winograd(winograd) => return winograd.convolve(ctx, node, None, note),
        Algorithm::Columns(columns) if columns.suits(dy[0]) => return columns.backward_data(ctx, node, &note),
        _ => {}
    }
    for (direct, row, column) in backward_phases(back, &dy, &w) {
        let weight = Operand::Value(node.inputs[1]);
        let note = note.clone();
        match tiles::suit(ctx, &direct) {
            Some(tile) => {
                let phase = Some(([&row, &column], [w[2], w[3]]));
                tiles::launch(ctx, node, &direct, tile, phase, note)?;
            }
            None => {
                let packed = direct.pack(ctx, weight, [w[2], w[3]], Some([&row, &column]))?;
                direct.launch(ctx, node, packed, None, note)?;
            }
        }
    }
    Ok(())
}

/// Whether each element of the gradient is written by one invocation alone, for so many samples: then its mask can lie where
/// it is written. Tiles that are moved back onto an edge, and invocations beyond the last, write elements again.
pub fn writes_once(ctx: &Lowering, node: &Node, back: &Conv2dBackwardData, samples: usize) -> bool {
    let mut dy = ctx.shape(node.inputs[0]);
    match choose(ctx, backward_problem(ctx, node, back)) {
        Algorithm::Winograd(winograd) => return winograd.writes_once(ctx),
        Algorithm::Columns(columns) if columns.suits(samples) => return columns.writes_once(samples),
        _ => {}
    }
    dy[0] = samples;
    backward_phases(back, &dy, &ctx.shape(node.inputs[1]))
        .iter()
        .all(|(direct, ..)| tiles::suit(ctx, direct).is_some() || direct.writes_once(ctx))
}

/// The gradient by the input as a pass of the whole batch.
fn backward_problem(ctx: &Lowering, node: &Node, back: &Conv2dBackwardData) -> Option<Problem> {
    let [dy, w] = [node.inputs[0], node.inputs[1]].map(|value| ctx.graph.shape(value));
    let x = [&dy[..1], &back.input[1..]].concat();
    Problem::new(Pass::BackwardData, &back.conv, &x, w, dy)
}

fn backward_phases(back: &Conv2dBackwardData, dy: &[usize], w: &[usize]) -> Vec<(Direct, Phase, Phase)> {
    let conv = &back.conv;
    let mut all = vec![];
    for row in phases(conv, 0, w[2], back.input[2]) {
        for column in phases(conv, 1, w[3], back.input[3]) {
            let direct = Direct {
                n: dy[0],
                groups: conv.groups,
                inputs: w[0] / conv.groups,
                input: [dy[2], dy[3]],
                outputs: w[1],
                output: [row.count, column.count],
                taps: [row.taps, column.taps],
                stride: [1; 2],
                dilation: [row.dilation, column.dilation],
                padding: [row.padding, column.padding],
                out_shape: [back.input[2], back.input[3]],
                out_stride: conv.stride,
                out_offset: [row.offset, column.offset],
                flops: 2
                    * dy.iter().map(|&extent| extent as u64).product::<u64>()
                    * (w[1] * row.taps * column.taps) as u64,
            };
            all.push((direct, row.clone(), column));
        }
    }
    all
}
