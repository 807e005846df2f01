//! Which algorithm computes a convolution: a rule from its extents and the target.

use super::Shape;
use crate::plan::{Lowering, Target};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Forward,
    BackwardData,
    BackwardWeight,
}

/// One of Winograd's algorithms for a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Winograd {
    /// Results along a side of a tile: 2 or 4.
    pub m: usize,
    pub pass: Pass,
    pub shape: Shape,
}

/// Tiles of a block, and rows of a product.
pub const BLOCK: usize = 32;

/// The most bytes of what lies between the steps, for the tiles of a range (operands and products) and for the filters.
const TILES_BYTES: usize = 8 << 20;
const FILTER_BYTES: usize = 10 << 20;

/// Nanoseconds in which one thread of a CPU driver reads a vector of four numbers per lane, or one number, writes a vector,
/// and multiplies and adds one, the reads and shuffles for that included. Measured on lavapipe with 8 lanes.
const READ: f64 = 24.0;
const READ_ONE: f64 = 13.0;
const WRITE: f64 = 43.0;
const MULTIPLY: f64 = 2.5;
/// A dispatch.
const DISPATCH: f64 = 60_000.0;
/// Operations a nanosecond of the direct kernels: forward and by data, by weights.
const DIRECT: [f64; 2] = [25.0, 22.0];

/// The cheapest algorithm, `None` for the direct one.
pub fn choose(ctx: &Lowering, pass: Pass, shape: Shape) -> Option<Winograd> {
    let target = ctx.target;
    let lanes = target.lanes.filter(|_| !target.exact)? as usize;
    if let Some(m) = target.tile {
        return Some(Winograd { m, pass, shape }).filter(|winograd| winograd.fits(target));
    }
    // A window of padding on padding, or images that would be mostly padding, are no case for tiles.
    if shape.output.iter().chain(&shape.input).any(|&extent| extent < 2) {
        return None;
    }
    let mut candidates = vec![(direct_cost(pass, &shape), "direct", None)];
    for (m, name) in [(4, "winograd 4x4"), (2, "winograd 2x2")] {
        let winograd = Winograd { m, pass, shape };
        if winograd.fits(target) {
            candidates.push((winograd.cost(lanes), name, Some(winograd)));
        }
    }
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let names = candidates.iter().map(|(_, name, _)| name.to_string()).collect();
    candidates[ctx.choose(shape.question(pass), names)].2
}

fn direct_cost(pass: Pass, shape: &Shape) -> f64 {
    // The kernels take rows of four positions.
    let wasted = shape.output[1].next_multiple_of(4) as f64 / shape.output[1] as f64;
    let rate = DIRECT[usize::from(pass == Pass::BackwardWeight)];
    2.0 * DISPATCH + shape.flops(shape.n) as f64 * wasted / rate
}

impl Winograd {
    pub fn side(&self) -> usize {
        self.m + 2
    }

    /// Products of a tile and pair of channels.
    pub fn points(&self) -> usize {
        self.side() * self.side()
    }

    /// Tiles along the axes of an image.
    pub fn grid(&self) -> [usize; 2] {
        self.shape.output.map(|extent| extent.div_ceil(self.m))
    }

    /// Tiles of so many images.
    pub fn tiles(&self, n: usize) -> usize {
        let [height, width] = self.grid();
        n * height * width
    }

    /// Bytes of what lies between the steps for one block of rows of each of so many channels.
    fn block_bytes(&self, channels: usize) -> usize {
        16 * self.points() * BLOCK * channels.div_ceil(4)
    }

    /// How many output channels are worked on at a time: a multiple of 32, or all.
    pub fn output_range(&self) -> usize {
        let Shape { n, inputs, outputs, input, output, .. } = self.shape;
        // Beside large images, more does not matter.
        let images = 4 * n * (inputs * input[0] * input[1] + outputs * output[0] * output[1]);
        let budget = FILTER_BYTES.max(images / 4);
        let most = budget / self.block_bytes(inputs.next_multiple_of(32));
        let ranges = outputs.div_ceil(BLOCK).div_ceil(most.max(1));
        outputs.div_ceil(BLOCK).div_ceil(ranges) * BLOCK
    }

    /// How many blocks of tiles are worked on at a time, of so many.
    pub fn block_range(&self, blocks: usize) -> usize {
        let channels = self.shape.inputs.next_multiple_of(4) + self.output_range().min(self.shape.outputs);
        let most = (TILES_BYTES / self.block_bytes(channels)).max(1);
        blocks.div_ceil(blocks.div_ceil(most))
    }

    fn fits(&self, target: &Target) -> bool {
        let Shape { inputs, outputs, .. } = self.shape;
        let largest = self.block_bytes(inputs.max(outputs).next_multiple_of(32));
        let filters = match self.pass {
            Pass::BackwardWeight => self.block_bytes(inputs.next_multiple_of(4)) * outputs.div_ceil(BLOCK),
            _ => largest * self.output_range().div_ceil(BLOCK),
        };
        (largest.max(filters) as u64) < target.max_binding.min(target.max_buffer)
    }

    /// Nanoseconds of one processor, roughly.
    fn cost(&self, lanes: usize) -> f64 {
        let Shape { n, inputs, outputs, .. } = self.shape;
        let tiles = self.tiles(n).next_multiple_of(BLOCK);
        let (points, taken) = (self.points() as f64, self.side() as f64);
        let per_lane = |channels: usize| channels.div_ceil(4).div_ceil(lanes) as f64;
        let filters =
            (outputs * 9) as f64 * per_lane(inputs) * READ + outputs as f64 * per_lane(inputs) * points * WRITE;
        let windows = tiles as f64 * per_lane(inputs) * (4.0 * taken * taken * READ_ONE + points * WRITE);
        let results = (self.m * self.m) as f64;
        let images = tiles as f64 * per_lane(outputs) * (points * READ + 4.0 * results * READ_ONE);
        let (rows, columns, sum) = match self.pass {
            Pass::BackwardWeight => (outputs.next_multiple_of(BLOCK), inputs, tiles),
            _ => (tiles, outputs, inputs.next_multiple_of(4)),
        };
        let columns = per_lane(columns);
        let product = rows as f64 * columns * points * (MULTIPLY * sum as f64 + WRITE);
        let ranges = self.tiles(n).div_ceil(BLOCK).div_ceil(self.block_range(self.tiles(n).div_ceil(BLOCK)));
        let ranges = ranges * outputs.div_ceil(self.output_range());
        filters + windows + images + product + (1 + 3 * ranges) as f64 * DISPATCH
    }
}
