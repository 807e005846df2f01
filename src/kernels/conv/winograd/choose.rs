//! Where Winograd's algorithms can run, and what they cost.

use super::super::choose::{DISPATCH, MULTIPLY, Pass, READ, READ_ONE, WRITE};
use super::Shape;
use crate::plan::{Class, Target};

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
const TILES_BYTES: usize = 16 << 20;
const FILTER_BYTES: usize = 10 << 20;

/// Those that can compute a pass, with what they cost and their names.
pub fn candidates(
    target: &Target,
    pass: Pass,
    shape: Shape,
) -> impl Iterator<Item = (f64, &'static str, Winograd)> + use<'_> {
    // A window of padding on padding, or images that would be mostly padding, are no case for tiles.
    let large = shape.output.iter().chain(&shape.input).all(|&extent| extent >= 2);
    [(4, "winograd 4x4"), (2, "winograd 2x2")]
        .into_iter()
        .map(move |(m, name)| (name, Winograd { m, pass, shape }))
        .filter(move |(_, winograd)| large && winograd.fits(target))
        .map(move |(name, winograd)| (winograd.cost(target), name, winograd))
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

    pub fn fits(&self, target: &Target) -> bool {
        if target.lanes.is_none() {
            return self.fits_anywhere(target.max_binding.min(target.max_buffer));
        }
        let Shape { inputs, outputs, .. } = self.shape;
        let largest = self.block_bytes(inputs.max(outputs).next_multiple_of(32));
        let filters = match self.pass {
            Pass::BackwardWeight => self.block_bytes(inputs.next_multiple_of(4)) * outputs.div_ceil(BLOCK),
            _ => largest * self.output_range().div_ceil(BLOCK),
        };
        (largest.max(filters) as u64) < target.max_binding.min(target.max_buffer)
    }

    /// Nanoseconds of one processor, roughly; without lanes what [`Self::cost_anywhere`] says.
    fn cost(&self, target: &Target) -> f64 {
        let Some(lanes) = target.lanes.map(|lanes| lanes as usize) else { return self.cost_anywhere(target.class) };
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

    /// Operations, those of the products and those that could be done while transforms wait for memory: to be compared with
    /// the definition's. Unmeasured on GPUs, and so against these algorithms.
    fn cost_anywhere(&self, class: Class) -> f64 {
        let Shape { n, inputs, outputs, .. } = self.shape;
        let tiles = self.tiles(n) as f64;
        let (points, results) = (self.points() as f64, (self.m * self.m) as f64);
        let (channels, pairs) = ((inputs + outputs) as f64, (inputs * outputs) as f64);
        // Each number of a transformed matrix is written and read.
        let numbers = tiles * channels * (2.0 * points + results) + pairs * 2.0 * points;
        WORTH * (2.0 * points * tiles * pairs + 4.0 * numbers * per_byte(class))
    }
}

/// Winograd's algorithms are taken where they promise to take less than one part in so many of the time.
const WORTH: f64 = 1.5;

/// Operations of products that an adapter does in the time in which it brings a byte. GPUs: 20 to 80 at their peaks. CPU
/// drivers without lanes: measured on llvmpipe.
fn per_byte(class: Class) -> f64 {
    if class == Class::Cpu { 4.0 } else { 50.0 }
}
