//! A dense convolution on `conv`, `conv_lanes` or `conv_quads` with `conv_pack`: how it is cut into tiles, and its launches.

use super::phases::Phase;
use super::tile::{Family, Tile, fills_rows, widest};
use super::{COLS, i, span};
use crate::Result;
use crate::graph::Node;
use crate::kernels::activation::{runtime_epilogue, with_epilogue, with_runtime_epilogue};
use crate::kernels::{Dim, Kernel};
use crate::plan::{Lowering, Operand};

/// One dense convolution as `conv` runs it: the forward pass, or one phase of the gradient by the input.
pub struct Direct {
    pub n: usize,
    pub groups: usize,
    pub inputs: usize,
    pub input: [usize; 2],
    pub outputs: usize,
    pub output: [usize; 2],
    pub taps: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// May be negative: a phase can begin inside of the input.
    pub padding: [i64; 2],
    pub out_shape: [usize; 2],
    pub out_stride: [usize; 2],
    pub out_offset: [usize; 2],
    /// Two for each product that the definition sums.
    pub flops: u64,
}

impl Direct {
    fn tile(&self, ctx: &Lowering) -> Tile {
        Tile::new(ctx.target.lanes, self)
    }

    /// See [`writes_once`].
    pub fn writes_once(&self, ctx: &Lowering) -> bool {
        let tile = self.tile(ctx);
        match tile.family {
            Family::Quads(lanes) => return self.quads_write_once(ctx, &tile, lanes),
            Family::Samples(lanes) => return self.samples_write_once(ctx, &tile, lanes),
            _ => {}
        }
        let whole = self.output[0].is_multiple_of(tile.rows)
            && self.output[1].is_multiple_of(tile.cols)
            && (self.outputs.is_multiple_of(tile.kt) || (tile.lanes().is_none() && self.outputs < tile.kt));
        let positions = self.n * (self.output[0] / tile.rows) * (self.output[1] / tile.cols);
        match tile.lanes() {
            Some(lanes) => {
                let groups = self.groups * self.tiles(&tile) * (positions / lanes);
                whole && positions.is_multiple_of(lanes) && fills_rows(ctx.target, groups)
            }
            None => whole,
        }
    }

    fn tiles(&self, tile: &Tile) -> usize {
        self.outputs.div_ceil(tile.kt)
    }

    /// The weights in the order in which they are read; `phase` asks for the transposed, flipped taps of a phase.
    pub fn pack(
        &self,
        ctx: &mut Lowering,
        w: Operand,
        stored: [usize; 2],
        phase: Option<[&Phase; 2]>,
    ) -> Result<Operand> {
        let tile = self.tile(ctx);
        let padded = tile.padded(self.taps[1]);
        let blocks = if self.taps[1] == 0 { 0 } else { self.taps[0] / tile.tap_rows };
        // A walk for each pair of a tile and an input channel.
        let walks = self.groups * self.tiles(&tile) * self.inputs;
        let count = walks * blocks * padded;
        let packed = ctx.temporary(4 * count.max(4) as u64);
        if count == 0 {
            return Ok(packed);
        }
        let [r, s] = self.taps;
        let filter = stored[0] * stored[1];
        let (input_stride, output_stride) = match phase {
            None => (filter, self.inputs * filter),
            Some(_) => (self.outputs * filter, filter),
        };
        let (start, row_step, tap_step) = match phase {
            None => (0, stored[1] as i32, 1),
            Some([row, column]) => {
                let last = |phase: &Phase, taps: usize| phase.first + phase.step * (taps - 1);
                let start = last(row, r) * stored[1] + last(column, s);
                (start, -((row.step * stored[1]) as i32), -(column.step as i32))
            }
        };
        let [tiles, taps, vectors] = [self.tiles(&tile), tile.tap_rows * s, padded / 4];
        let mut dims = [self.inputs, self.outputs, tiles, tile.kt, s, taps, blocks, vectors, start].map(i).to_vec();
        dims.extend([row_step, tap_step, tile.tap_rows as i32 * row_step].map(Dim::I));
        dims.extend([self.inputs * self.outputs * filter, input_stride, output_stride, walks].map(i));
        let launch = ctx.launch(Kernel::new("conv_pack"), &dims, &[w, packed], walks as u64)?;
        launch.cost(0, format!("{count} weights"));
        Ok(packed)
    }

    pub fn launch(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        packed: Operand,
        bias: Option<Operand>,
        note: String,
    ) -> Result<()> {
        let tile = self.tile(ctx);
        let in_place = ctx.is_shared(node.outputs[0]);
        let operands = [
            Operand::Value(node.inputs[0]),
            packed,
            bias.unwrap_or(Operand::Null),
            node.epilogue.mask.as_ref().filter(|_| !in_place).map_or(Operand::Null, |mask| Operand::Value(mask.output)),
            Operand::Value(node.outputs[0]),
        ];
        match tile.family {
            Family::Quads(lanes) => return self.launch_quads(ctx, node, &tile, lanes, &operands, note),
            Family::Samples(lanes) => return self.launch_samples(ctx, node, &tile, lanes, &operands, note),
            _ => {}
        }
        // A phase without taps still writes its zeros: no input channels, no iterations.
        let empty = self.taps[0] * self.taps[1] == 0;
        let blocks = if empty { 1 } else { self.taps[0] / tile.tap_rows };
        let tiles = self.tiles(&tile);
        let positions = self.n * self.output[0].div_ceil(tile.rows) * self.output[1].div_ceil(tile.cols);
        let per_tile = tile.lanes().map(|lanes| positions.div_ceil(lanes));
        let total = self.groups * tiles * per_tile.unwrap_or(positions);
        let mut dims = vec![
            i(self.n),
            i(self.groups),
            i(if empty { 0 } else { self.inputs }),
            i(self.input[0]),
            i(self.input[1]),
            i(self.outputs),
            i(tiles),
            i(self.output[0]),
            i(self.output[1]),
            Dim::I(self.padding[0] as i32),
            Dim::I(self.padding[1] as i32),
            i(self.out_shape[0]),
            i(self.out_shape[1]),
            i(self.out_stride[0]),
            i(self.out_stride[1]),
            i(self.out_offset[0]),
            i(self.out_offset[1]),
            Dim::U(per_tile.unwrap_or(total) as u32),
        ];
        match tile.lanes() {
            Some(_) => dims.extend(runtime_epilogue(&node.epilogue, bias.is_some())),
            // Behind the extents of the result; `conv_lanes` has it as a constant.
            None => dims.insert(9, i(blocks)),
        }
        let mask = if in_place { "y" } else { "mask" };
        let kernel = match tile.lanes() {
            Some(_) => with_runtime_epilogue(self.kernel(&tile, mask), &node.epilogue),
            None => with_epilogue(self.kernel(&tile, mask), &node.epilogue, false).define("BIAS", bias.is_some()),
        };
        let launch = match tile.lanes() {
            Some(_) => ctx.launch_groups(kernel, &dims, &operands, total as u64)?,
            None => ctx.launch(kernel, &dims, &operands, total as u64)?,
        };
        launch.cost(self.flops, note);
        launch.in_place = in_place;
        Ok(())
    }

    /// `mask` is the binding that the mask is read from: its own, or that of the result.
    fn kernel(&self, tile: &Tile, mask: &str) -> Kernel {
        let [taps_h, taps_w] = [tile.tap_rows, self.taps[1].max(1)];
        let span_h = span(tile.rows, self.stride[0], taps_h, self.dilation[0]);
        let span_w = span(COLS, self.stride[1], taps_w, self.dilation[1]);
        let (kernel, own) = match tile.lanes() {
            Some(lanes) => {
                let vectors = tile.channels * tile.padded(taps_w) / 4;
                let read = self.read_width(tile);
                let halo = self.halo();
                let (offset, width, vectors_of_row) = match halo {
                    Some(pad) => (0, COLS + 2 * pad, 0),
                    None => {
                        let offset = (-self.padding[1]).rem_euclid(read as i64) as usize;
                        let width = (offset + span_w).next_multiple_of(read);
                        (offset, width, width / read)
                    }
                };
                let own = vec![
                    ("TAP_VECTORS", vectors),
                    ("LOADS", vectors.div_ceil(lanes)),
                    ("TILE", tile.rows * tile.kt),
                    ("OFFSET", offset),
                    ("VECTORS", vectors_of_row),
                    ("WIDTH", width),
                    ("CHANNELS", tile.channels),
                    ("TAP_BLOCKS", if self.taps[0] == 0 { 1 } else { self.taps[0] / taps_h }),
                    ("PLANE", span_h * width),
                    ("WINDOW", tile.channels * span_h * width),
                ];
                let kernel =
                    self.with_vectors(Kernel::new("conv_lanes"), tile, mask).define("LANES", format!("{lanes}u"));
                let kernel = match halo {
                    Some(pad) => kernel
                        .define("HALO_ROWS", span_h)
                        .define("PAD", pad)
                        .define("EDGES", pad > 0 && !lanes.is_multiple_of(self.input[1] / COLS)),
                    None => kernel,
                };
                (kernel, own)
            }
            None => {
                let own = vec![
                    ("COLS", tile.cols),
                    ("KV", tile.kt / 4),
                    ("TILE", tile.rows * tile.cols * tile.kt / 4),
                    ("SPAN_W", span_w),
                    ("WINDOW", span_h * span_w),
                ];
                let kernel = Kernel::new("conv").define("EDGE", self.outputs < tile.kt);
                (kernel.define("load_mask", format!("return {mask}[at];")), own)
            }
        };
        [
            ("TAP_ROWS", taps_h),
            ("TAP_COLS", taps_w),
            ("STRIDE_H", self.stride[0]),
            ("STRIDE_W", self.stride[1]),
            ("DILATION_H", self.dilation[0]),
            ("DILATION_W", self.dilation[1]),
            ("ROWS", tile.rows),
            ("KT", tile.kt),
            ("SPAN_H", span_h),
        ]
        .into_iter()
        .chain(own)
        .fold(kernel, |kernel, (name, value)| kernel.define(name, value))
    }

    /// Pixels beside the four of a lane that it can have from its neighbours: where the result is as wide as the input, in
    /// whole vectors, and windows reach as far to either side.
    pub(super) fn halo(&self) -> Option<usize> {
        let pad = usize::try_from(self.padding[1]).ok()?;
        let dense = self.stride == [1; 2] && self.dilation == [1; 2] && self.out_stride == [1; 2];
        let even = self.output[1] == self.input[1] && self.taps[1] == 2 * pad + 1 && pad <= COLS;
        (dense && even && self.input[1].is_multiple_of(COLS)).then_some(pad)
    }

    /// How many neighbouring pixels can be read at once: rows and the beginnings of windows must be whole vectors.
    fn read_width(&self, tile: &Tile) -> usize {
        let last = (self.output[1] - tile.cols) * self.stride[1];
        widest(tile.width, &[self.input[1], last, COLS * self.stride[1]])
    }

    /// Reads and writes of `conv_lanes` in vectors as wide as rows allow.
    fn with_vectors(&self, kernel: Kernel, tile: &Tile, mask: &str) -> Kernel {
        let read = self.read_width(tile);
        let kernel = kernel.define("COLS", tile.cols).define("IN", read);
        let kernel = match read {
            1 => kernel,
            _ => kernel
                .define("X", format!("vec{read}<f32>"))
                .define("part", "return v[i];")
                .define("four", if read == 4 { "return v;" } else { "return vec4<f32>(v, v);" }),
        };
        let dense = self.out_stride[1] == 1 && tile.cols == COLS;
        let name = |column| ["x", "y", "z", "w"][column];
        let wide = if dense { widest(tile.width, &[self.output[1]]) } else { 1 };
        match wide {
            4 => kernel
                .define("Y", "vec4<f32>")
                .define("load_mask", format!("return {mask}[at / 4];"))
                .define("store", "y[at / 4] = v;"),
            2 => kernel
                .define("Y", "vec2<f32>")
                .define("load_mask", format!("return vec4<f32>({mask}[at / 2], {mask}[at / 2 + 1]);"))
                .define("store", "y[at / 2] = v.xy; y[at / 2 + 1] = v.zw;"),
            _ => {
                let at = |column: usize| format!("at + {column} * dims.out_stride_w");
                let reads: Vec<String> = (0..4)
                    .map(|column| if column < tile.cols { format!("{mask}[{}]", at(column)) } else { "0.0".into() })
                    .collect();
                let writes: Vec<String> =
                    (0..tile.cols).map(|column| format!("y[{}] = v.{};", at(column), name(column))).collect();
                kernel
                    .define("load_mask", format!("return vec4<f32>({});", reads.join(", ")))
                    .define("store", writes.join(" "))
            }
        }
    }
}
