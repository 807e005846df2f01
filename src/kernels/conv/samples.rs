//! Small images on `conv_samples`, a lane for each sample: which convolutions these are, their tiles and their launch.

use super::direct::Direct;
use super::i;
use super::tile::{Family, Tile, fills_rows, widest};
use crate::Result;
use crate::graph::Node;
use crate::kernels::activation::{runtime_epilogue, with_runtime_epilogue};
use crate::kernels::{Dim, Kernel};
use crate::plan::{Lowering, Operand};

/// The longest row, or part of one, of a lane: it has that many sums in registers.
const LONGEST: usize = 16;

/// The most multiplications in an unrolled loop body.
const BODY: usize = 1000;

/// So many iterations are far from what some drivers allow (65,535).
const ITERATIONS: usize = 1 << 15;

/// The window of a row of x that a lane reads.
struct Window {
    /// Whether it is the whole row.
    whole: bool,
    /// Columns of the filter before it.
    left: i64,
    /// Pixels.
    width: usize,
    /// Pixels to a vector.
    read: usize,
}

impl Direct {
    /// Whether there is a sample for each lane, windows have more than one column of an image, and lanes of `conv_lanes` could
    /// not have pixels from their neighbours, which is faster yet.
    pub(super) fn suits_samples(&self, lanes: usize) -> bool {
        let reach = (self.taps[1].max(1) - 1) * self.dilation[1];
        let meets = (reach as i64) < self.input[1] as i64 + self.padding[1];
        self.halo().is_none()
            && self.n >= lanes
            && self.taps[0] > 0
            && self.taps[1] > 1
            && meets
            && self.inputs * self.taps[0] < ITERATIONS
    }

    pub(super) fn sample_tile(&self, lanes: usize) -> Tile {
        let width = self.output[1];
        let cols = width.div_ceil(width.div_ceil(LONGEST));
        let most = (BODY / (cols * self.taps[1])).clamp(1, 16);
        let kt = self.outputs.div_ceil(self.outputs.div_ceil(most));
        Tile { family: Family::Samples(lanes), rows: 1, cols, kt, tap_rows: 1, channels: 1, width: 4 }
    }

    fn blocks(&self, tile: &Tile, lanes: usize) -> usize {
        self.n.div_ceil(lanes) * self.output[0] * self.output[1].div_ceil(tile.cols)
    }

    /// Whether no tile of samples, columns or channels is moved back, and no workgroup is beyond the last.
    pub(super) fn samples_write_once(&self, ctx: &Lowering, tile: &Tile, lanes: usize) -> bool {
        let groups = self.groups * self.outputs.div_ceil(tile.kt) * self.blocks(tile, lanes);
        let whole = self.n.is_multiple_of(lanes)
            && self.outputs.is_multiple_of(tile.kt)
            && self.output[1].is_multiple_of(tile.cols);
        whole && fills_rows(ctx.target, groups)
    }

    fn window(&self, tile: &Tile) -> Window {
        let (stride, padding, width) = (self.stride[1], self.padding[1], self.input[1]);
        if tile.cols == self.output[1] {
            return Window { whole: true, left: padding, width, read: widest(4, &[width]) };
        }
        let read = widest(4, &[width, (self.output[1] - tile.cols) * stride, tile.cols * stride]);
        let before = (-padding).rem_euclid(read as i64);
        let reach = (self.taps[1] - 1) * self.dilation[1] + (tile.cols - 1) * stride + 1;
        let width = (before as usize + reach).next_multiple_of(read);
        Window { whole: false, left: -before, width, read }
    }

    pub(super) fn launch_samples(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        tile: &Tile,
        lanes: usize,
        operands: &[Operand],
        note: String,
    ) -> Result<()> {
        let (tiles, blocks) = (self.outputs.div_ceil(tile.kt), self.blocks(tile, lanes));
        let [n, groups, inputs, outputs] = [self.n, self.groups, self.inputs, self.outputs].map(i);
        let [[h, w], [oh, ow], [yh, yw]] = [self.input, self.output, self.out_shape].map(|extents| extents.map(i));
        let mut dims = vec![n, groups, inputs, h, w, outputs, i(tiles), oh, ow];
        dims.extend([self.taps[0], self.stride[0], self.dilation[0]].map(i));
        dims.extend(self.padding.map(|padding| Dim::I(padding as i32)));
        dims.extend([yh, yw]);
        dims.extend([self.out_stride, self.out_offset].concat().into_iter().map(i));
        dims.push(Dim::U(blocks as u32));
        dims.extend(runtime_epilogue(&node.epilogue, operands[2] != Operand::Null));
        let in_place = ctx.is_shared(node.outputs[0]);
        let kernel = self.samples_kernel(tile, lanes, if in_place { "y" } else { "mask" });
        let kernel = with_runtime_epilogue(kernel, &node.epilogue);
        let launch = ctx.launch_groups(kernel, &dims, operands, (self.groups * tiles * blocks) as u64)?;
        launch.cost(self.flops, note);
        launch.in_place = in_place;
        Ok(())
    }

    /// `mask` is the binding that the mask is read from.
    fn samples_kernel(&self, tile: &Tile, lanes: usize, mask: &str) -> Kernel {
        let Window { whole, left, width, read } = self.window(tile);
        let (fours, vectors) = (tile.cols.div_ceil(4), tile.padded(self.taps[1]) / 4);
        let kernel = [
            ("TAP_COLS", self.taps[1]),
            ("STRIDE_W", self.stride[1]),
            ("DILATION_W", self.dilation[1]),
            ("COLS", tile.cols),
            ("FOURS", fours),
            ("KT", tile.kt),
            ("TILE", 4 * fours * tile.kt),
            ("VECTORS", width / read),
            ("WIDTH", width),
            ("TAP_VECTORS", vectors),
            ("LOADS", vectors.div_ceil(lanes)),
            ("IN", read),
        ]
        .into_iter()
        .fold(Kernel::new("conv_samples"), |kernel, (name, value)| kernel.define(name, value))
        .define("LANES", format!("{lanes}u"))
        .define("WHOLE", whole)
        .define("LEFT", left);
        let kernel = match read {
            1 => kernel,
            _ => kernel.define("X", format!("vec{read}<f32>")).define("part", "return v[i];"),
        };
        let wide = if self.out_stride[1] == 1 { widest(4, &[self.out_shape[1], self.output[1], tile.cols]) } else { 1 };
        match wide {
            4 => kernel
                .define("Y", "vec4<f32>")
                .define("load_mask", format!("return {mask}[at / 4];"))
                .define("store", "y[at / 4] = v;"),
            2 => kernel
                .define("Y", "vec2<f32>")
                .define(
                    "load_mask",
                    format!(
                        "let next = at / 2 + select(0, 1, count > 2); return vec4<f32>({mask}[at / 2], {mask}[next]);"
                    ),
                )
                .define("store", "y[at / 2] = v.xy; if count > 2 { y[at / 2 + 1] = v.zw; }"),
            _ => {
                let at = |column: usize| format!("at + {column} * dims.out_stride_w");
                let read = |column| format!("{mask}[select(at, {}, count > {column})]", at(column));
                let write = |column: usize| {
                    let name = ["x", "y", "z", "w"][column];
                    format!("if count > {column} {{ y[{}] = v.{name}; }}", at(column))
                };
                kernel
                    .define("load_mask", format!("return vec4<f32>({});", [0, 1, 2, 3].map(read).join(", ")))
                    .define("store", [0, 1, 2, 3].map(write).join(" "))
            }
        }
    }
}
