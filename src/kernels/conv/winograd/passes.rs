//! The passes of a convolution by Winograd's algorithms, in ranges of tiles and of output channels.

use super::choose::{BLOCK, Winograd};
use super::launches::Image;
use crate::Result;
use crate::graph::Node;
use crate::kernels::copy;
use crate::kernels::reduce::sum;
use crate::plan::{Lowering, Operand};

/// Tiles that are worked on together.
#[derive(Clone, Copy)]
pub struct Tiles {
    pub first: usize,
    /// Of all ranges.
    pub all: usize,
    pub blocks: usize,
}

impl Tiles {
    /// Those that there are; blocks are filled up with zeros.
    fn count(&self) -> usize {
        (self.blocks * BLOCK).min(self.all - self.first)
    }
}

impl Winograd {
    /// The forward pass, or the gradient by the input.
    pub fn convolve(&self, ctx: &mut Lowering, node: &Node, bias: Option<Operand>, note: String) -> Result<()> {
        if ctx.target.lanes.is_none() {
            return self.convolve_anywhere(ctx, node, bias, &note);
        }
        let n = ctx.shape(node.inputs[0])[0];
        let shape = self.shape;
        let x = Image {
            operand: Operand::Value(node.inputs[0]),
            channels: 0..shape.inputs,
            all_channels: shape.inputs,
            extents: shape.input,
            padding: shape.padding,
            gradient: false,
        };
        let ranges = self.ranges(n);
        let mut charge =
            Charge::new(shape.flops(n), ranges.iter().map(|tiles| tiles.blocks).sum::<usize>() * shape.outputs);
        let step = self.output_range().min(shape.outputs);
        let blocks = ranges[0].blocks;
        let u = ctx.temporary(self.bytes(shape.inputs.div_ceil(4).div_ceil(8), step.div_ceil(4)));
        let v = ctx.temporary(self.bytes(blocks, shape.inputs.div_ceil(4)));
        let p = ctx.temporary(self.bytes(blocks, step.div_ceil(4)));
        for first in (0..shape.outputs).step_by(step) {
            let outputs = first..shape.outputs.min(first + step);
            self.filters(ctx, Operand::Value(node.inputs[1]), u, outputs.clone())?;
            for &tiles in &ranges {
                if first == 0 || ranges.len() > 1 {
                    self.tiles_of(ctx, &x, v, tiles, None)?;
                }
                let rows = (tiles.blocks, tiles.count());
                let product = charge.next(tiles.blocks * outputs.len());
                self.multiply(ctx, [v, u, p], rows, outputs.len(), shape.inputs, false, product, &note)?;
                self.images(ctx, node, p, bias, outputs.clone(), tiles)?;
            }
        }
        Ok(())
    }

    /// The gradients by the weights and, where `bias` is a place for it, by the bias.
    pub fn weigh(&self, ctx: &mut Lowering, node: &Node, bias: Option<Operand>, note: &str) -> Result<()> {
        if ctx.target.lanes.is_none() {
            return self.weigh_anywhere(ctx, node, bias, note);
        }
        let shape = self.shape;
        let values = [node.inputs[0], node.inputs[1]];
        let samples = ctx.row_ranges(&values, ctx.target.block())?;
        // Where samples go through several layers block by block, products of all blocks are alive at once.
        let step = if samples.len() > 1 { shape.outputs } else { self.output_range().min(shape.outputs) };
        let most = samples.iter().map(|range| self.ranges(range.len())[0].blocks).max().unwrap_or(1);
        let all_blocks: usize =
            samples.iter().flat_map(|range| self.ranges(range.len())).map(|tiles| tiles.blocks).sum();
        let [c_quads, k_quads] = [shape.inputs, step].map(|channels| channels.div_ceil(4));
        let v = ctx.temporary(self.bytes(most, c_quads));
        let z = ctx.temporary(self.bytes(most, k_quads));
        let p = ctx.temporary(self.bytes(step.div_ceil(BLOCK), c_quads));
        let sums = bias.map(|_| ctx.temporary(16 * (all_blocks * shape.outputs.div_ceil(4)) as u64));
        let single = samples.len() == 1 && self.ranges(samples[0].len()).len() == 1;
        let mut charge = Charge::new(shape.flops(ctx.shape(values[0])[0]), all_blocks * shape.outputs);
        for first in (0..shape.outputs).step_by(step) {
            let outputs = first..shape.outputs.min(first + step);
            let mut done = 0;
            for range in &samples {
                for tiles in self.ranges(range.len()) {
                    let x = Image {
                        operand: Operand::Value(values[0]),
                        channels: 0..shape.inputs,
                        all_channels: shape.inputs,
                        extents: shape.input,
                        padding: shape.padding,
                        gradient: false,
                    };
                    let dy = Image {
                        operand: Operand::Value(values[1]),
                        channels: outputs.clone(),
                        all_channels: shape.outputs,
                        extents: shape.output,
                        padding: [0; 2],
                        gradient: true,
                    };
                    let product = charge.next(tiles.blocks * outputs.len());
                    ctx.within(range.clone(), &values, |ctx| {
                        if first == 0 || !single {
                            self.tiles_of(ctx, &x, v, tiles, None)?;
                        }
                        self.tiles_of(ctx, &dy, z, tiles, sums.map(|sums| (sums, done)))?;
                        let rows = (outputs.len().div_ceil(BLOCK), outputs.len());
                        let terms = tiles.count();
                        self.multiply(ctx, [z, v, p], rows, shape.inputs, terms, done > 0, product, note)
                    })?;
                    done += tiles.blocks;
                }
            }
            self.weights(ctx, p, Operand::Value(node.outputs[0]), outputs)?;
        }
        let (Some(bias), Some(sums)) = (bias, sums) else { return Ok(()) };
        let padded = shape.outputs.next_multiple_of(4);
        let total = if padded == shape.outputs { bias } else { ctx.temporary(4 * padded as u64) };
        sum(ctx, sums, total, [1, all_blocks, padded], 1.0)?;
        if total == bias { Ok(()) } else { copy(ctx, total, bias, &[shape.outputs]) }
    }

    /// Whether each result is written by one invocation alone, after its mask was read.
    pub fn writes_once(&self, ctx: &Lowering) -> bool {
        let Some(lanes) = ctx.target.lanes.map(|lanes| lanes as usize) else { return true };
        self.shape.outputs.is_multiple_of(4 * lanes) && self.output_range().is_multiple_of(4 * lanes)
    }

    /// The tiles of `n` images in ranges.
    fn ranges(&self, n: usize) -> Vec<Tiles> {
        let all = self.tiles(n);
        let blocks = all.div_ceil(BLOCK);
        let step = self.block_range(blocks);
        let range = |first| Tiles { first: first * BLOCK, all, blocks: step.min(blocks - first) };
        (0..blocks).step_by(step).map(range).collect()
    }

    /// Bytes of what lies between two steps.
    fn bytes(&self, blocks: usize, quads: usize) -> u64 {
        (16 * self.points() * blocks * quads * BLOCK) as u64
    }
}

/// Spreads operations over launches so that they add up.
pub(super) struct Charge {
    flops: u64,
    parts: usize,
    done: usize,
}

impl Charge {
    pub(super) fn new(flops: u64, parts: usize) -> Self {
        Self { flops, parts, done: 0 }
    }

    pub(super) fn next(&mut self, parts: usize) -> u64 {
        let before = self.up_to_here();
        self.done += parts;
        self.up_to_here() - before
    }

    fn up_to_here(&self) -> u64 {
        (u128::from(self.flops) * self.done as u128 / self.parts.max(1) as u128) as u64
    }
}
