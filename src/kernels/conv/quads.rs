//! Planes of 2 x 2 on `conv_quads`: which convolutions these are, their tiles and their launch.

use super::direct::Direct;
use super::i;
use super::tile::{Family, Tile, fills_rows};
use crate::Result;
use crate::graph::Node;
use crate::kernels::activation::{runtime_epilogue, with_runtime_epilogue};
use crate::kernels::{Dim, Kernel, LIGHT};
use crate::plan::{Lowering, Operand};

impl Direct {
    /// Whether windows of 3 x 3 go over planes of 2 x 2 with one pixel of padding, as the last layers of small networks do.
    pub(super) fn is_quad(&self) -> bool {
        let dense = [self.stride, self.dilation, self.out_stride] == [[1; 2]; 3] && self.out_offset == [0; 2];
        let planes = [self.input, self.output, self.out_shape] == [[2; 2]; 3];
        dense && planes && self.taps == [3; 2] && self.padding == [1; 2]
    }

    /// Rows stand for samples.
    pub(super) fn quad_tile(&self, lanes: usize) -> Tile {
        let (most, channels) = if self.flops < LIGHT { (2, 8) } else { (4, 16) };
        let rows = self.n.div_ceil(lanes).min(most).min(self.n);
        let kt = self.outputs.div_ceil(self.outputs.div_ceil(channels));
        Tile { family: Family::Quads(lanes), rows, cols: 4, kt, tap_rows: 3, channels: 1, width: 4 }
    }

    /// Whether no tile of samples or channels is moved back, and no workgroup is beyond the last.
    pub(super) fn quads_write_once(&self, ctx: &Lowering, tile: &Tile, lanes: usize) -> bool {
        let groups = self.groups * self.outputs.div_ceil(tile.kt) * self.n.div_ceil(tile.rows * lanes);
        let whole = self.n.is_multiple_of(tile.rows * lanes) && self.outputs.is_multiple_of(tile.kt);
        whole && fills_rows(ctx.target, groups)
    }

    pub(super) fn launch_quads(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        tile: &Tile,
        lanes: usize,
        operands: &[Operand],
        note: String,
    ) -> Result<()> {
        let (tiles, blocks) = (self.outputs.div_ceil(tile.kt), self.n.div_ceil(tile.rows * lanes));
        let mut dims = [self.n, self.groups, self.inputs, self.outputs, tiles].map(i).to_vec();
        dims.push(Dim::U(blocks as u32));
        dims.extend(runtime_epilogue(&node.epilogue, operands[2] != Operand::Null));
        let vectors = tile.padded(3) / 4;
        let in_place = ctx.is_shared(node.outputs[0]);
        let kernel = [
            ("KT", tile.kt),
            ("SAMPLES", tile.rows),
            ("TILE", tile.rows * tile.kt),
            ("TAP_VECTORS", vectors),
            ("LOADS", vectors.div_ceil(lanes)),
        ]
        .into_iter()
        .fold(Kernel::new("conv_quads"), |kernel, (name, value)| kernel.define(name, value))
        .define("LANES", format!("{lanes}u"))
        .define("load_mask", if in_place { "return y[at];" } else { "return mask[at];" });
        let kernel = with_runtime_epilogue(kernel, &node.epilogue);
        let launch = ctx.launch_groups(kernel, &dims, operands, (self.groups * tiles * blocks) as u64)?;
        launch.cost(self.flops, note);
        launch.in_place = in_place;
        Ok(())
    }
}
