//! Batch normalisation on `batch_norm_moments`, `batch_norm_merge` and `batch_norm`, its gradients on `batch_norm_sums`
//! with `reduce_splits` and `batch_norm_backward`.

use super::activation::with_epilogue;
use super::reduce::add_splits;
use super::wide::{WIDTH, widened};
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{BatchNorm, BatchNormBackward, Node, Value, batch_norm_extents};
use crate::plan::{Apart, Lowering, Operand};
use std::ops::Range;

/// Vectors that one invocation sums, and the most pieces that a channel is cut into; larger channels have longer pieces.
const PER_PIECE: usize = 64;
const PIECES: usize = 256;

/// The most pieces that take turns in a stretch of a channel: as many as CPU drivers have lanes. For GPUs their vectors are a
/// whole line of a cache.
const RUN: usize = 8;

/// How a tensor `[N,C,HW]` is read: in vectors of four where planes consist of whole ones.
struct Reading {
    samples: usize,
    channels: usize,
    plane: usize,
    width: usize,
}

impl Reading {
    fn new(shape: &[usize]) -> Self {
        Self::of_samples(shape, shape[0])
    }

    fn of_samples(shape: &[usize], samples: usize) -> Self {
        let [_, channels, plane] = batch_norm_extents(shape);
        let width = if plane.is_multiple_of(4) { 4 } else { 1 };
        Self { samples, channels, plane: plane / width, width }
    }

    /// Vectors of a channel.
    fn length(&self) -> usize {
        self.samples * self.plane
    }

    /// Pieces of a channel: whole stretches of [`run`](Self::run).
    fn pieces(&self) -> usize {
        let pieces = self.length().div_ceil(PER_PIECE).min(PIECES).max(self.length().div_ceil(1 << 14));
        pieces.next_multiple_of(self.run())
    }

    /// Pieces of a stretch, which they share vector by vector.
    fn run(&self) -> usize {
        self.length().div_ceil(PER_PIECE).min(RUN)
    }

    fn count(&self) -> usize {
        self.length() * self.channels
    }

    /// The dimensions of a kernel that takes every vector; of one of its tensors samples may lie apart.
    fn elementwise(&self, apart: Apart) -> Vec<Dim> {
        let reciprocal = |extent: usize| Dim::F(1.0 / extent as f32);
        let [c, plane, count] = [self.channels, self.plane, self.count()].map(u);
        let mut dims = vec![c, plane, count, reciprocal(self.plane), reciprocal(self.channels)];
        dims.extend(self.vectors(apart));
        dims
    }

    /// Where the samples of a tensor lie, counted in vectors. Views begin and end with whole planes.
    fn vectors(&self, apart: Apart) -> [Dim; 2] {
        [apart.first, apart.gap].map(|numbers| u(numbers / self.width))
    }

    /// As kernels that take every vector read it, eight numbers at once where the adapter can.
    fn every(ctx: &Lowering, shape: &[usize]) -> Self {
        let narrow = Self::new(shape);
        let plane = narrow.plane * narrow.width;
        match ctx.target.wide && plane.is_multiple_of(WIDTH) {
            true => Self { plane: plane / WIDTH, width: WIDTH, ..narrow },
            false => narrow,
        }
    }

    fn kernel(&self, name: &'static str) -> Kernel {
        let kernel = Kernel::new(name);
        match self.width {
            1 => kernel,
            WIDTH => widened(kernel.define("T", "vec4<f32>")),
            _ => kernel.define("T", "vec4<f32>"),
        }
    }
}

/// The sums over a channel: pieces of blocks of samples, the same on every adapter.
struct Sums {
    /// The samples of each block.
    blocks: Vec<Range<usize>>,
    /// What is read in blocks.
    values: Vec<Value>,
    /// Pieces of all blocks.
    total: usize,
}

impl Sums {
    fn new(ctx: &Lowering, values: &[Value]) -> Result<Self> {
        let blocks = ctx.row_ranges(values, ctx.target.block())?;
        let shape = ctx.shape(values[0]);
        let total = blocks.iter().map(|block| Reading::of_samples(&shape, block.len()).pieces()).sum();
        Ok(Self { blocks, values: values.into(), total })
    }

    /// A launch of kernel `name` for each block.
    fn launch(&self, ctx: &mut Lowering, name: &'static str, operands: &[Operand], cost: u64) -> Result<()> {
        let mut first = 0;
        for block in &self.blocks {
            ctx.within(block.clone(), &self.values, |ctx| {
                let shape = ctx.shape(self.values[0]);
                let reading = Reading::new(&shape);
                let mut kernel = reading.kernel(name);
                if reading.width > 1 {
                    kernel = kernel.define("total", "return (v.x + v.y) + (v.z + v.w);");
                    if name == "batch_norm_moments" {
                        kernel = kernel.define("WIDTH", format!("{:?}", reading.width as f32));
                    }
                }
                let (pieces, channels) = (reading.pieces(), reading.channels);
                let invocations = channels * pieces;
                let dims =
                    [channels, reading.plane, reading.length(), pieces, reading.run(), first, self.total, invocations]
                        .map(u);
                let mut dims = dims.to_vec();
                if name == "batch_norm_sums" {
                    dims.extend(reading.vectors(ctx.apart(self.values[0])));
                }
                let launch = ctx.launch(kernel, &dims, operands, invocations as u64)?;
                launch.cost(cost * shape.iter().product::<usize>() as u64, format!("{shape:?}"));
                first += pieces;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The kernel `name` that takes every vector.
fn elementwise(reading: &Reading, name: &'static str) -> Kernel {
    let kernel = reading.kernel(name);
    if reading.width == 4 { kernel.define("Packed", "vec4<f32>") } else { kernel }
}

fn u(value: usize) -> Dim {
    Dim::U(value as u32)
}

pub fn forward(ctx: &mut Lowering, node: &Node, norm: &BatchNorm) -> Result<()> {
    let channels = ctx.shape(node.inputs[0])[1];
    let [weight, bias, mean, var] = [1, 2, 3, 4].map(|i| Operand::Value(node.inputs[i]));
    let coefficients = Operand::Value(node.outputs[1]);

    let (mut pieces, mut moments) = (0, Operand::Null);
    if norm.training {
        let sums = Sums::new(ctx, &node.inputs[..1])?;
        pieces = sums.total;
        moments = ctx.temporary(16 * (channels * pieces) as u64);
        sums.launch(ctx, "batch_norm_moments", &[Operand::Value(node.inputs[0]), moments], 5)?;
    }
    let momentum = if norm.training && norm.update { norm.momentum } else { 0.0 };
    let dims = [u(channels), u(pieces), Dim::F(norm.eps), Dim::F(momentum)];
    let operands = [moments, weight, bias, mean, var, coefficients];
    let launch = ctx.launch(Kernel::new("batch_norm_merge"), &dims, &operands, channels as u64)?;
    launch.cost(0, format!("{channels} channels in {pieces} pieces"));

    let (x, y, residual) = (node.inputs[0], node.outputs[0], node.epilogue.add);
    let values: Vec<Value> = [x, y].into_iter().chain(residual).collect();
    for rows in ctx.row_ranges(&values, ctx.target.max_binding)? {
        ctx.within(rows, &values, |ctx| {
            let shape = ctx.shape(x);
            let reading = Reading::every(ctx, &shape);
            let mut kernel = with_epilogue(elementwise(&reading, "batch_norm"), &node.epilogue, reading.width > 1);
            if residual.is_some() {
                kernel = kernel.define("RESIDUAL", true);
            }
            let dims = reading.elementwise(ctx.apart(y));
            let residual = residual.map_or(Operand::Null, Operand::Value);
            let operands = [Operand::Value(x), coefficients, residual, Operand::Value(y)];
            let launch = ctx.launch(kernel, &dims, &operands, reading.count() as u64)?;
            launch.cost(3 * shape.iter().product::<usize>() as u64, format!("{shape:?}"));
            Ok(())
        })?;
    }
    Ok(())
}

pub fn backward(ctx: &mut Lowering, node: &Node, back: &BatchNormBackward) -> Result<()> {
    let [dy, x, dx] = [node.inputs[0], node.inputs[1], node.outputs[0]];
    let shape = ctx.shape(x);
    let channels = shape[1];
    let coefficients = Operand::Value(node.inputs[2]);
    let [dweight, dbias] = [1, 2].map(|i| Operand::Value(node.outputs[i]));
    let sums = Sums::new(ctx, &[dy, x])?;
    add_splits(ctx, sums.total, [(dweight, channels), (dbias, channels)], |ctx, [dweight, dbias]| {
        let operands = [Operand::Value(dy), Operand::Value(x), coefficients, dweight, dbias];
        sums.launch(ctx, "batch_norm_sums", &operands, 4)
    })?;
    let share = if back.training { (channels as f64 / shape.iter().product::<usize>() as f64) as f32 } else { 0.0 };
    let values = [dy, x, dx];
    for rows in ctx.row_ranges(&values, ctx.target.max_binding)? {
        ctx.within(rows, &values, |ctx| {
            let shape = ctx.shape(x);
            let reading = Reading::every(ctx, &shape);
            let dims = [&reading.elementwise(ctx.apart(dy))[..], &[Dim::F(share)]].concat();
            let operands = [Operand::Value(dy), Operand::Value(x), coefficients, dweight, dbias, Operand::Value(dx)];
            let launch =
                ctx.launch(elementwise(&reading, "batch_norm_backward"), &dims, &operands, reading.count() as u64)?;
            launch.cost(5 * shape.iter().product::<usize>() as u64, format!("{shape:?}"));
            Ok(())
        })?;
    }
    Ok(())
}
