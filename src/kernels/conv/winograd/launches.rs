//! The launches of Winograd's convolutions.

use super::choose::{BLOCK, Winograd};
use super::passes::Tiles;
use crate::Result;
use crate::graph::Node;
use crate::kernels::activation::{runtime_epilogue, with_runtime_epilogue};
use crate::kernels::conv::choose::Pass;
use crate::kernels::conv::i;
use crate::kernels::matmul::HALVES;
use crate::kernels::wide::JOIN;
use crate::kernels::{Dim, Kernel};
use crate::plan::{Lowering, Operand};
use std::ops::Range;

/// An image from which windows or tiles are taken.
pub struct Image {
    pub operand: Operand,
    pub channels: Range<usize>,
    /// Of the tensor.
    pub all_channels: usize,
    pub extents: [usize; 2],
    pub padding: [i64; 2],
    /// Whether it is a gradient, of which the tiles themselves are taken.
    pub gradient: bool,
}

impl Winograd {
    fn kernel(&self, name: &'static str, lanes: usize) -> Kernel {
        let kernel = Kernel::new(name).define("LANES", format!("{lanes}u"));
        if self.m == 4 { kernel } else { kernel.define("M", self.m).define("SIDE", self.side()) }
    }

    fn lanes(&self, ctx: &Lowering) -> usize {
        ctx.target.lanes.unwrap_or(8) as usize
    }

    /// A launch with a lane for each quad along x, and so many workgroups along y.
    fn launch(
        &self,
        ctx: &mut Lowering,
        kernel: Kernel,
        dims: &[Dim],
        operands: &[Operand],
        [quads, rows]: [usize; 2],
        note: String,
    ) -> Result<()> {
        let groups = quads.div_ceil(self.lanes(ctx)) as u32;
        let launch = ctx.launch_groups(kernel, dims, operands, u64::from(groups))?;
        launch.workgroups = [groups, rows as u32, 1];
        launch.cost(0, note);
        Ok(())
    }

    pub fn filters(&self, ctx: &mut Lowering, w: Operand, u: Operand, range: Range<usize>) -> Result<()> {
        let shape = self.shape;
        let backward = self.pass == Pass::BackwardData;
        // The stored filters are [K, C]; backward, K is what is summed over.
        let (channels, outputs, c, k) = match backward {
            false => (shape.inputs, shape.outputs, 0..shape.inputs, range),
            true => (shape.outputs, shape.inputs, range, 0..shape.inputs),
        };
        let quads = c.len().div_ceil(4);
        let k_quads = k.len().div_ceil(4);
        let kernel = self.kernel("winograd_filter", self.lanes(ctx)).define("BACKWARD", backward);
        let kernel = match channels % 4 {
            0 => kernel.define("W", "vec4<f32>").define("four", "return w[at / 4 + i];"),
            _ => kernel,
        };
        let dims = [channels, outputs, c.start / 4, quads, k.start, k_quads].map(i);
        let note = format!("[{outputs}, {channels}, 3, 3], F({0}x{0})", self.m);
        self.launch(ctx, kernel, &dims, &[w, u], [quads, k_quads.div_ceil(8)], note)
    }

    pub fn tiles_of(
        &self,
        ctx: &mut Lowering,
        image: &Image,
        v: Operand,
        tiles: Tiles,
        sums: Option<(Operand, usize)>,
    ) -> Result<()> {
        let [h, w] = image.extents;
        let taken = if image.gradient { self.m } else { self.side() };
        let whole = |width: &usize| w.is_multiple_of(*width) && self.m.is_multiple_of(*width);
        let read = [4, 2].into_iter().find(whole).unwrap_or(1);
        let offset = (-image.padding[1]).rem_euclid(read as i64) as usize;
        let width = (offset + taken).next_multiple_of(read);
        let kept = width / read - self.m / read;
        let kernel = self
            .kernel("winograd_tiles", self.lanes(ctx))
            .define("TAKEN", taken)
            .define("GRADIENT", image.gradient)
            .define("SUMS", sums.is_some())
            .define("IN", read)
            .define("OFFSET", offset)
            .define("VECTORS", width / read)
            .define("WIDTH", width)
            .define("KEPT", kept)
            .define("ALL_KEPT", format!("{}u", (4 * taken * kept).max(1)));
        let kernel = match read {
            1 => kernel,
            _ => kernel.define("X", format!("vec{read}<f32>")).define("part", "return v[i];"),
        };
        let quads = image.channels.len().div_ceil(4);
        let [tiles_h, tiles_w] = self.grid();
        let mut dims =
            vec![i(image.all_channels), i(image.channels.start / 4), i(quads), i(h), i(w), i(tiles_h), i(tiles_w)];
        dims.extend(image.padding.map(|padding| Dim::I(padding as i32)));
        dims.extend([tiles.first, tiles.all, tiles.blocks, sums.map_or(0, |(_, first)| first)].map(i));
        dims.push(i(image.all_channels.div_ceil(4)));
        let operands = [image.operand, v, sums.map_or(Operand::Null, |(sums, _)| sums)];
        let note = format!("{} tiles of {} channels", tiles.blocks * BLOCK, image.channels.len());
        self.launch(ctx, kernel, &dims, &operands, [quads, tiles.blocks], note)
    }

    /// `operands` are the left one, the right one and the product, of so many `rows` in `blocks`.
    #[allow(clippy::too_many_arguments)]
    pub fn multiply(
        &self,
        ctx: &mut Lowering,
        operands: [Operand; 3],
        (blocks, rows): (usize, usize),
        columns: usize,
        terms: usize,
        resume: bool,
        flops: u64,
        note: &str,
    ) -> Result<()> {
        let lanes = self.lanes(ctx);
        let [a_by_row, b_by_row] = match self.pass {
            Pass::Forward => [true; 2],
            Pass::BackwardData => [true, false],
            Pass::BackwardWeight => [false; 2],
        };
        let quads = columns.div_ceil(4);
        // Images are read so fast that code which stays in the processor's caches counts for more.
        let per_lane = if quads > lanes && !ctx.target.images { 2 } else { 1 };
        let at_once = if rows <= BLOCK / 2 && lanes <= 8 { BLOCK / 2 } else { BLOCK };
        let kernel = Kernel::new("winograd_multiply")
            .define("LANES", format!("{lanes}u"))
            .define("A_BY_ROW", a_by_row)
            .define("B_BY_ROW", b_by_row)
            .define("COLUMNS", format!("{per_lane}u"))
            .define("ROWS", format!("{at_once}u"))
            .define("QUADS", format!("{}u", at_once / 4))
            .define("LOADS", format!("{}u", at_once / 2 / lanes))
            .define("TILE", format!("{}u", at_once * per_lane))
            .define("READS", format!("{}u", 2 * per_lane));
        let kernel = match ctx.target.wide {
            true => kernel
                .define("Vector", "vec4<u64>")
                .define("load_a", format!("let v = a[at]; {HALVES}"))
                .define("load_b", format!("let v = b[at]; {HALVES}"))
                .define("Stored", "vec4<u64>")
                .define("TWO", "2u")
                .define("load_y", LOAD_Y)
                .define("join", JOIN),
            false => kernel,
        };
        let k_quads = terms.div_ceil(4);
        let dims = [blocks, rows.div_ceil(4), quads, k_quads, k_quads.div_ceil(8), usize::from(resume)];
        let dims = dims.map(|value| Dim::U(value as u32));
        let groups = [rows.div_ceil(at_once), quads.div_ceil(lanes * per_lane), self.points()];
        let launch = ctx.launch_groups(kernel, &dims, &operands, 1)?;
        launch.workgroups = groups.map(|value| value as u32);
        launch.cost(flops, format!("F({0}x{0}), {note}", self.m));
        Ok(())
    }

    pub fn images(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        p: Operand,
        bias: Option<Operand>,
        channels: Range<usize>,
        tiles: Tiles,
    ) -> Result<()> {
        let [oh, ow] = self.shape.output;
        let [tiles_h, tiles_w] = self.grid();
        let in_place = ctx.is_shared(node.outputs[0]);
        let mask =
            node.epilogue.mask.as_ref().filter(|_| !in_place).map_or(Operand::Null, |mask| Operand::Value(mask.output));
        let kernel =
            self.with_vectors(self.kernel("winograd_output", self.lanes(ctx)), if in_place { "y" } else { "mask" });
        let kernel = with_runtime_epilogue(kernel, &node.epilogue);
        let quads = channels.len().div_ceil(4);
        let mut dims: Vec<Dim> = [self.shape.outputs, channels.start, quads, oh, ow, tiles_h, tiles_w].map(i).into();
        dims.extend([tiles.first, tiles.all, tiles.blocks].map(i));
        dims.extend(runtime_epilogue(&node.epilogue, bias.is_some()));
        let operands = [p, bias.unwrap_or(Operand::Null), mask, Operand::Value(node.outputs[0])];
        let note = format!("{} tiles of {} channels", tiles.blocks * BLOCK, channels.len());
        self.launch(ctx, kernel, &dims, &operands, [quads, tiles.blocks], note)?;
        ctx.last().into_iter().for_each(|launch| launch.in_place = in_place);
        Ok(())
    }

    /// Rows of results in vectors as wide as they allow.
    fn with_vectors(&self, kernel: Kernel, mask: &str) -> Kernel {
        let whole = |width: &usize| self.shape.output[1].is_multiple_of(*width) && *width <= self.m;
        match ([4, 2].into_iter().find(whole), self.m) {
            (Some(4), _) => kernel
                .define("Y", "vec4<f32>")
                .define("columns", "return vec4<i32>(0, 1, 2, 3);")
                .define("shifted", "return v;")
                .define("load_mask", format!("return {mask}[at.x / 4];"))
                .define("store", "y[at.x / 4] = v;"),
            (Some(_), 4) => kernel
                .define("Y", "vec2<f32>")
                .define("columns", "return min(vec4<i32>(0, 0, 2, 2), vec4<i32>(room - 2));")
                .define("shifted", "return select(v.xyxy, v, vec4<bool>(room > 2));")
                .define("load_mask", format!("return vec4<f32>({mask}[at.x / 2], {mask}[at.z / 2]);"))
                .define("store", "y[at.x / 2] = v.xy; y[at.z / 2] = v.zw;"),
            (Some(_), _) => kernel
                .define("Y", "vec2<f32>")
                .define("columns", "return vec4<i32>(0, 1, 0, 1);")
                .define("shifted", "return v;")
                .define("load_mask", format!("return vec4<f32>({mask}[at.x / 2], 0.0, 0.0);"))
                .define("store", "y[at.x / 2] = v.xy;"),
            (None, 4) => kernel.define(
                "load_mask",
                format!("return vec4<f32>({mask}[at.x], {mask}[at.y], {mask}[at.z], {mask}[at.w]);"),
            ),
            (None, _) => kernel
                .define("load_mask", format!("return vec4<f32>({mask}[at.x], {mask}[at.y], 0.0, 0.0);"))
                .define("store", "y[at.x] = v.x; y[at.y] = v.y;"),
        }
    }

    pub fn weights(&self, ctx: &mut Lowering, p: Operand, dw: Operand, outputs: Range<usize>) -> Result<()> {
        let channels = self.shape.inputs;
        let kernel = self.kernel("winograd_weight", self.lanes(ctx));
        let kernel = match channels % 4 {
            0 => kernel.define("W", "vec4<f32>").define("store", "dw[at / 4 + i] = v;"),
            _ => kernel,
        };
        let (quads, blocks) = (channels.div_ceil(4), outputs.len().div_ceil(BLOCK));
        let dims = [channels, quads, outputs.start, outputs.len(), blocks].map(i);
        let note = format!("[{}, {channels}, 3, 3], F({1}x{1})", outputs.len(), self.m);
        self.launch(ctx, kernel, &dims, &[p, dw], [quads, blocks], note)
    }
}

/// The half of two vectors in which vector `at` of the product is.
const LOAD_Y: &str = "let v = y[at / 2u]; let p = select(v.xy, v.zw, at % 2u == 1u); \
    return bitcast<vec4<f32>>(vec4<u32>(u32(p.x), u32(p.x >> 32u), u32(p.y), u32(p.y >> 32u)));";
