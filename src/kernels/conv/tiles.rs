//! A dense convolution by tiles of a workgroup each, on `conv_tiles`: for GPUs.

use super::direct::Direct;
use super::i;
use super::phases::Phase;
use crate::Result;
use crate::graph::Node;
use crate::kernels::activation::with_epilogue;
use crate::kernels::tiles::{Tile, choose};
use crate::kernels::{Dim, Kernel};
use crate::plan::{Lowering, Operand};

/// The tile, if `direct` is a convolution for this family. A phase without taps never is: there is nothing to sum.
pub fn suit(ctx: &Lowering, direct: &Direct) -> Option<Tile> {
    let [terms, positions] = extents(direct);
    choose(ctx, "conv", direct.groups, [direct.outputs, positions, terms], 1, ctx.target.cooperative.first())
        .map(|choice| choice.tile)
}

/// Terms of each sum, and positions that each channel is summed at.
fn extents(direct: &Direct) -> [usize; 2] {
    let [r, s] = direct.taps;
    [direct.inputs * r * s, direct.n * direct.output[0] * direct.output[1]]
}

/// Launches `direct`, with the weights as they are stored; `phase` asks for the transposed, flipped taps of a phase of a
/// filter with rows of so many.
pub fn launch(
    ctx: &mut Lowering,
    node: &Node,
    direct: &Direct,
    tile: Tile,
    phase: Option<([&Phase; 2], [usize; 2])>,
    note: String,
) -> Result<()> {
    let [_, positions] = extents(direct);
    let units = direct.groups * tile.across([direct.outputs, positions]);
    let u = |value: usize| Dim::U(value as u32);
    let dims = [
        u(direct.groups),
        u(direct.inputs),
        i(direct.input[0]),
        i(direct.input[1]),
        u(direct.outputs),
        u(direct.output[0]),
        u(direct.output[1]),
        i(direct.stride[0]),
        i(direct.stride[1]),
        i(direct.dilation[0]),
        i(direct.dilation[1]),
        Dim::I(direct.padding[0] as i32),
        Dim::I(direct.padding[1] as i32),
        u(direct.out_shape[0]),
        u(direct.out_shape[1]),
        u(direct.out_stride[0]),
        u(direct.out_stride[1]),
        u(direct.out_offset[0]),
        u(direct.out_offset[1]),
        u(positions),
        u(direct.outputs.div_ceil(tile.m)),
        u(positions.div_ceil(tile.n)),
        u(units),
    ];
    let [r, s] = direct.taps;
    let taps = match phase {
        None => [r * s, 0, s, 1],
        Some(([row, column], [filter_r, filter_s])) => {
            let last = |phase: &Phase, taps: usize| phase.first + phase.step * (taps - 1);
            let start = last(row, r) * filter_s + last(column, s);
            [filter_r * filter_s, start, row.step * filter_s, column.step]
        }
    };
    let dims: Vec<Dim> = dims.into_iter().chain(taps.map(u)).collect();
    let bias = node.inputs.get(2).filter(|_| phase.is_none()).map(|&bias| Operand::Value(bias));
    let in_place = ctx.is_shared(node.outputs[0]);
    let mask = node.epilogue.mask.as_ref().filter(|_| !in_place);
    let operands = [
        Operand::Value(node.inputs[0]),
        Operand::Value(node.inputs[1]),
        bias.unwrap_or(Operand::Null),
        mask.map_or(Operand::Null, |mask| Operand::Value(mask.output)),
        Operand::Value(node.outputs[0]),
    ];
    let mut kernel = with_epilogue(tile.constants(Kernel::new("conv_tiles")), &node.epilogue, true)
        .define("R", format!("{}u", direct.taps[0]))
        .define("S", format!("{}u", direct.taps[1]))
        .define("FLIPPED", phase.is_some())
        .define("PADDED", reaches_beyond(direct))
        .define("BIAS", bias.is_some());
    if in_place {
        kernel = kernel.define("load_mask", "return vec4<f32>(y[at.x], y[at.y], y[at.z], y[at.w]);");
    }
    let launch = ctx.launch_groups(kernel, &dims, &operands, units as u64)?;
    launch.cost(direct.flops, note);
    launch.in_place = in_place;
    Ok(())
}

/// Whether the window of some position reaches beyond the input.
fn reaches_beyond(direct: &Direct) -> bool {
    (0..2).any(|axis| {
        let first = -direct.padding[axis];
        let reach = (direct.output[axis] - 1) * direct.stride[axis] + (direct.taps[axis] - 1) * direct.dilation[axis];
        first < 0 || first + reach as i64 >= direct.input[axis] as i64
    })
}
