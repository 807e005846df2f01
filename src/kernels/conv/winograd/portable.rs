//! Winograd's convolutions on any adapter: `winograd_transform`, products of the matrix kernels, `winograd_inverse`.
//!
//! ```text
//! forward, backward data   p [xi][K, tiles] = u [xi][K, C] v [xi][C, tiles]
//! backward weights         p [xi][K, C] = z [xi][K, tiles] v [xi][C, tiles]^T
//! ```
//!
//! The 16 or 36 products are one batch. Whatever the storage of tensors, transformed matrices are f32: in F(4x4) numbers of
//! different sizes are added, and 16 bits would lose the small ones.

use super::Shape;
use super::choose::Winograd;
use super::matrices::{Matrix, matrices};
use super::passes::Charge;
use crate::Result;
use crate::graph::{Node, Value};
use crate::kernels::activation::with_epilogue;
use crate::kernels::conv::choose::Pass;
use crate::kernels::conv::i;
use crate::kernels::matmul::batch;
use crate::kernels::pad::put_columns;
use crate::kernels::reduce::sum;
use crate::kernels::{Dim, Kernel};
use crate::plan::{Class, Lowering, Operand};
use std::ops::Range;

/// The most bytes of what lies between the steps, for the tiles of a range: on CPUs as much as caches hold.
fn tiles_bytes(class: Class) -> usize {
    if class == Class::Cpu { 8 << 20 } else { 64 << 20 }
}

/// Images of which windows, or tiles, are taken.
struct Images {
    operand: Operand,
    extents: [usize; 2],
    padding: [i64; 2],
}

impl Winograd {
    /// The forward pass, or the gradient by the input.
    pub(super) fn convolve_anywhere(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        bias: Option<Operand>,
        note: &str,
    ) -> Result<()> {
        let shape = self.shape;
        let n = ctx.shape(node.inputs[0])[0];
        let of = matrices(self.m);
        let (class, c) = (ctx.target.class, shape.inputs);
        let (ranges, step) = (self.tile_ranges(class, n), self.channel_step(class));
        let longest = ranges[0].len().next_multiple_of(4);
        let u = ctx.temporary(self.matrix_bytes(step, c));
        let v = ctx.temporary(self.matrix_bytes(c, longest));
        let p = ctx.temporary(self.matrix_bytes(step, longest));
        let mut charge = Charge::new(shape.flops(n), self.tiles(n) * shape.outputs);
        let x = Images { operand: Operand::Value(node.inputs[0]), extents: shape.input, padding: shape.padding };
        for first in (0..shape.outputs).step_by(step) {
            let k = first..shape.outputs.min(first + step);
            let flipped = self.pass == Pass::BackwardData;
            let kernel = self.transform(&of.g).define("FILTER", true).define("FLIPPED", flipped);
            // Flipped filters are found by the channels of the tensor, which are the rows here.
            let dims = [first, k.len(), c, shape.outputs, 0, 0, 1, 1, 0, 0, 0, 0].map(i);
            let filters = format!("{} by {c} filters, F({1}x{1})", k.len(), self.m);
            ctx.launch(kernel, &dims, &[Operand::Value(node.inputs[1]), u], (k.len() * c) as u64)?.cost(0, filters);
            for tiles in &ranges {
                if first == 0 || ranges.len() > 1 {
                    self.scatter(ctx, &x, (0..c, c), &of.bt, v, tiles, n)?;
                }
                let extents = [k.len(), tiles.len().next_multiple_of(4), c];
                let (flops, note) = (charge.next(tiles.len() * k.len()), format!("F({0}x{0}), {note}", self.m));
                batch(ctx, [u, v, p], Operand::Null, (self.points(), extents, false), flops, &note)?;
                self.gather(ctx, node, p, bias, k.clone(), tiles, n)?;
            }
        }
        Ok(())
    }

    /// The gradients by the weights and, where `bias` is a place for it, by the bias.
    pub(super) fn weigh_anywhere(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        bias: Option<Operand>,
        note: &str,
    ) -> Result<()> {
        let shape = self.shape;
        let of = matrices(self.m);
        let (class, c) = (ctx.target.class, shape.inputs);
        let values = [node.inputs[0], node.inputs[1]];
        let samples = ctx.row_ranges(&values, ctx.target.block())?;
        // Where samples go through several layers block by block, products of all blocks are alive at once.
        let step = if samples.len() > 1 { shape.outputs } else { self.channel_step(class) };
        let most = samples.iter().map(Range::len).max().unwrap_or(1);
        let longest = self.tile_ranges(class, most)[0].len().next_multiple_of(4);
        let v = ctx.temporary(self.matrix_bytes(c, longest));
        let z = ctx.temporary(self.matrix_bytes(step, longest));
        let single = samples.len() == 1 && self.tile_ranges(class, most).len() == 1;
        let all: usize = samples.iter().map(|range| self.tiles(range.len())).sum();
        let mut charge = Charge::new(shape.flops(ctx.shape(values[0])[0]), all * shape.outputs);
        let x = Images { operand: Operand::Value(values[0]), extents: shape.input, padding: shape.padding };
        let dy = Images { operand: Operand::Value(values[1]), extents: shape.output, padding: [0; 2] };
        for first in (0..shape.outputs).step_by(step) {
            let k = first..shape.outputs.min(first + step);
            let mut p = Operand::Null;
            for range in &samples {
                let n = range.len();
                ctx.within(range.clone(), &values, |ctx| {
                    for tiles in self.tile_ranges(class, n) {
                        if first == 0 || !single {
                            self.scatter(ctx, &x, (0..c, c), &of.bt, v, &tiles, n)?;
                        }
                        self.scatter(ctx, &dy, (k.clone(), shape.outputs), &of.a, z, &tiles, n)?;
                        let before = p;
                        p = ctx.temporary(self.matrix_bytes(k.len(), c));
                        let extents = [k.len(), c, tiles.len().next_multiple_of(4)];
                        let (flops, note) = (charge.next(tiles.len() * k.len()), format!("F({0}x{0}), {note}", self.m));
                        batch(ctx, [z, v, p], before, (self.points(), extents, true), flops, &note)?;
                    }
                    Ok(())
                })?;
            }
            let kernel = self.inverse(&of.g.transposed()).define("FILTER", true);
            let dims = [first, k.len(), c, 0, 0, 0, 1, 1, 0, 0].map(i);
            let operands = [p, Operand::Null, Operand::Null, Operand::Value(node.outputs[0])];
            let filters = format!("{} by {c} filters, F({1}x{1})", k.len(), self.m);
            ctx.launch(kernel, &dims, &operands, (k.len() * c) as u64)?.cost(0, filters);
        }
        bias.map_or(Ok(()), |bias| self.sum_gradients(ctx, &values, &samples, bias))
    }

    /// The gradient by the bias: the sums of the second of `values` over all samples and pixels.
    fn sum_gradients(
        &self,
        ctx: &mut Lowering,
        values: &[Value],
        samples: &[Range<usize>],
        bias: Operand,
    ) -> Result<()> {
        let (plane, k) = (self.shape.output.iter().product(), self.shape.outputs);
        let single = samples.len() == 1;
        let parts = if single { bias } else { ctx.temporary(4 * (samples.len() * k) as u64) };
        for (index, range) in samples.iter().enumerate() {
            ctx.within(range.clone(), values, |ctx| {
                let by_sample = ctx.temporary(4 * (range.len() * k) as u64);
                sum(ctx, Operand::Value(values[1]), by_sample, [range.len() * k, plane, 1], 1.0)?;
                let part = if single { bias } else { ctx.temporary(4 * k as u64) };
                sum(ctx, by_sample, part, [1, range.len(), k], 1.0)?;
                match single {
                    true => Ok(()),
                    false => put_columns(ctx, part, parts, [1, samples.len() * k], index * k, k),
                }
            })?;
        }
        if single { Ok(()) } else { sum(ctx, parts, bias, [1, samples.len(), k], 1.0) }
    }

    /// Brings the windows or tiles of these channels, of so many, to `v`.
    #[allow(clippy::too_many_arguments)]
    fn scatter(
        &self,
        ctx: &mut Lowering,
        images: &Images,
        (channels, of): (Range<usize>, usize),
        matrix: &Matrix,
        v: Operand,
        tiles: &Range<usize>,
        n: usize,
    ) -> Result<()> {
        let columns = tiles.len().next_multiple_of(4);
        let ([h, w], [tiles_h, tiles_w]) = (images.extents, self.grid());
        let mut dims = [channels.start, channels.len(), columns, of, h, w, tiles_h, tiles_w].map(i).to_vec();
        dims.extend(images.padding.map(|padding| Dim::I(padding as i32)));
        dims.extend([tiles.start, self.tiles(n)].map(i));
        let invocations = (channels.len() * columns) as u64;
        let note = format!("{} tiles of {} channels", tiles.len(), channels.len());
        ctx.launch(self.transform(matrix), &dims, &[images.operand, v], invocations)?.cost(0, note);
        Ok(())
    }

    /// Brings `p` back to these channels of the results of `node`.
    #[allow(clippy::too_many_arguments)]
    fn gather(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        p: Operand,
        bias: Option<Operand>,
        channels: Range<usize>,
        tiles: &Range<usize>,
        n: usize,
    ) -> Result<()> {
        let (rows, columns) = (channels.len(), tiles.len().next_multiple_of(4));
        let ([oh, ow], [tiles_h, tiles_w]) = (self.shape.output, self.grid());
        let dims =
            [channels.start, rows, columns, self.shape.outputs, oh, ow, tiles_h, tiles_w, tiles.start, self.tiles(n)]
                .map(i);
        let in_place = ctx.is_shared(node.outputs[0]);
        let mask = node.epilogue.mask.as_ref().filter(|_| !in_place);
        let kernel = self.inverse(&matrices(self.m).a.transposed()).define("BIAS", bias.is_some());
        let kernel = with_epilogue(kernel, &node.epilogue, false);
        let kernel = if in_place { kernel.define("load_mask", "return y[at];") } else { kernel };
        let mask = mask.map_or(Operand::Null, |mask| Operand::Value(mask.output));
        let operands = [p, bias.unwrap_or(Operand::Null), mask, Operand::Value(node.outputs[0])];
        let note = format!("{} tiles of {rows} channels", tiles.len());
        let launch = ctx.launch(kernel, &dims, &operands, (rows * columns) as u64)?;
        launch.cost(0, note);
        launch.in_place = in_place;
        Ok(())
    }

    fn transform(&self, matrix: &Matrix) -> Kernel {
        Kernel::new("winograd_transform")
            .define("SIDE", self.side())
            .define("TAKEN", matrix.columns())
            .define("STEP", self.m)
            .define("L", matrix.text())
    }

    fn inverse(&self, matrix: &Matrix) -> Kernel {
        Kernel::new("winograd_inverse")
            .define("SIDE", self.side())
            .define("MADE", matrix.rows())
            .define("L", matrix.text())
    }

    /// The tiles of `n` images in ranges, all but the last a multiple of four.
    fn tile_ranges(&self, class: Class, n: usize) -> Vec<Range<usize>> {
        let all = self.tiles(n);
        let most = tiles_bytes(class) / (4 * self.points() * (self.shape.inputs + self.shape.outputs));
        let step = all.div_ceil(all.div_ceil(most.max(4))).next_multiple_of(4);
        (0..all).step_by(step).map(|first| first..all.min(first + step)).collect()
    }

    /// How many output channels are worked on at a time. GPUs have memory for more, and fewer passes over tiles.
    fn channel_step(&self, class: Class) -> usize {
        let Shape { inputs, outputs, .. } = self.shape;
        match class {
            Class::Cpu => self.output_range().min(outputs),
            _ => outputs.min((tiles_bytes(class) / (4 * self.points() * inputs)).max(32)),
        }
    }

    /// Bytes of a matrix for each point.
    fn matrix_bytes(&self, rows: usize, columns: usize) -> u64 {
        4 * (self.points() * rows * columns) as u64
    }

    /// Whether what lies between the steps can be bound.
    pub(super) fn fits_anywhere(&self, limit: u64) -> bool {
        let (inputs, outputs) = (self.shape.inputs, self.shape.outputs);
        self.matrix_bytes(outputs, inputs) <= limit && self.matrix_bytes(inputs + outputs, 16) <= limit.min(32 << 20)
    }
}
