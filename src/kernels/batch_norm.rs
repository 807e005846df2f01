//! Batch normalisation on `batch_norm_moments`, `batch_norm_merge` and `batch_norm`, its gradients on `batch_norm_sums`
//! with `reduce_splits` and `batch_norm_backward`.

use super::activation::expression;
use super::reduce::add_splits;
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{BatchNorm, BatchNormBackward, Node, batch_norm_extents};
use crate::plan::{Lowering, Operand};

/// Vectors that one invocation sums, and the most pieces that a channel is cut into; larger channels have longer pieces.
const PER_PIECE: usize = 64;
const PIECES: usize = 256;

/// How a tensor `[N,C,HW]` is read: in vectors of four where planes consist of whole ones.
struct Reading {
    samples: usize,
    channels: usize,
    plane: usize,
    width: usize,
}

impl Reading {
    fn new(shape: &[usize]) -> Self {
        let [samples, channels, plane] = batch_norm_extents(shape);
        let width = if plane.is_multiple_of(4) { 4 } else { 1 };
        Self { samples, channels, plane: plane / width, width }
    }

    /// Vectors of a channel.
    fn length(&self) -> usize {
        self.samples * self.plane
    }

    /// Pieces of a channel.
    fn pieces(&self) -> usize {
        self.length().div_ceil(PER_PIECE).min(PIECES).max(self.length().div_ceil(1 << 14))
    }

    fn count(&self) -> usize {
        self.length() * self.channels
    }

    fn kernel(&self, name: &'static str) -> Kernel {
        let kernel = Kernel::new(name);
        if self.width == 1 { kernel } else { kernel.define("T", "vec4<f32>") }
    }

    /// A kernel that sums vectors.
    fn summing(&self, name: &'static str) -> Kernel {
        let kernel = self.kernel(name);
        if self.width == 1 { kernel } else { kernel.define("total", "return (v.x + v.y) + (v.z + v.w);") }
    }

    /// The dimensions of a kernel that sums pieces of channels, and its number of invocations.
    fn sums(&self) -> ([Dim; 5], u64) {
        let invocations = self.channels * self.pieces();
        ([self.channels, self.plane, self.length(), self.pieces(), invocations].map(u), invocations as u64)
    }
}

fn u(value: usize) -> Dim {
    Dim::U(value as u32)
}

pub fn forward(ctx: &mut Lowering, node: &Node, norm: &BatchNorm) -> Result<()> {
    let shape = ctx.shape(node.inputs[0]);
    let reading = Reading::new(&shape);
    let [x, weight, bias, mean, var] = [0, 1, 2, 3, 4].map(|i| Operand::Value(node.inputs[i]));
    let [y, coefficients] = [0, 1].map(|i| Operand::Value(node.outputs[i]));
    let elements = shape.iter().product::<usize>() as u64;

    let (mut pieces, mut moments) = (0, Operand::Null);
    if norm.training {
        pieces = reading.pieces();
        moments = ctx.temporary(8 * (reading.channels * pieces) as u64);
        let kernel = reading.summing("batch_norm_moments").define("WIDTH", format!("{:?}", reading.width as f32));
        let (dims, invocations) = reading.sums();
        ctx.launch(kernel, &dims, &[x, moments], invocations)?.cost(4 * elements, format!("{shape:?}"));
    }
    let momentum = if norm.training && norm.update { norm.momentum } else { 0.0 };
    let dims = [
        u(reading.channels),
        u(pieces),
        u(reading.length()),
        Dim::F(reading.width as f32),
        Dim::F(norm.eps),
        Dim::F(momentum),
    ];
    let operands = [moments, weight, bias, mean, var, coefficients];
    let launch = ctx.launch(Kernel::new("batch_norm_merge"), &dims, &operands, reading.channels as u64)?;
    launch.cost(0, format!("{} channels in {pieces} pieces", reading.channels));

    let mut kernel = reading.kernel("batch_norm");
    let residual = node.epilogue.add.map_or(Operand::Null, Operand::Value);
    if residual != Operand::Null {
        kernel = kernel.define("RESIDUAL", true);
    }
    if let Some(activation) = node.epilogue.activation {
        let body = format!("let a = v; return {};", expression(activation, reading.width == 4));
        kernel = kernel.define("activate", body);
    }
    let dims = [reading.channels, reading.plane, reading.count()].map(u);
    let launch = ctx.launch(kernel, &dims, &[x, coefficients, residual, y], reading.count() as u64)?;
    launch.cost(3 * elements, format!("{shape:?}"));
    Ok(())
}

pub fn backward(ctx: &mut Lowering, node: &Node, back: &BatchNormBackward) -> Result<()> {
    let shape = ctx.shape(node.inputs[0]);
    let reading = Reading::new(&shape);
    let [dy, x, coefficients] = [0, 1, 2].map(|i| Operand::Value(node.inputs[i]));
    let [dx, dweight, dbias] = [0, 1, 2].map(|i| Operand::Value(node.outputs[i]));
    let elements = shape.iter().product::<usize>();
    let results = [(dweight, reading.channels), (dbias, reading.channels)];
    add_splits(ctx, reading.pieces(), results, |ctx, [dweight, dbias]| {
        let (dims, invocations) = reading.sums();
        let operands = [dy, x, coefficients, dweight, dbias];
        let launch = ctx.launch(reading.summing("batch_norm_sums"), &dims, &operands, invocations)?;
        launch.cost(4 * elements as u64, format!("{shape:?}"));
        Ok(())
    })?;
    let share = if back.training { 1.0 / (elements / reading.channels) as f32 } else { 0.0 };
    let dims = [u(reading.channels), u(reading.plane), u(reading.count()), Dim::F(share)];
    let operands = [dy, x, coefficients, dweight, dbias, dx];
    let launch = ctx.launch(reading.kernel("batch_norm_backward"), &dims, &operands, reading.count() as u64)?;
    launch.cost(5 * elements as u64, format!("{shape:?}"));
    Ok(())
}
