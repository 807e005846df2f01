//! Convolutions as products of matrices, on `conv_columns`, `matmul_panels` and `conv_columns_rows` or `conv_columns_sum`, for
//! CPU drivers.
//!
//! ```text
//! forward            columns: b from x     product: y = w b
//! backward data                            product: b = w^T dy     sum: dx from b
//! backward weights   columns: b from x     product: dw = dy b^T
//! ```
//!
//! A column of b holds what one result sums. The direct kernels share pixels among neighbouring results; where strides, single
//! taps or small planes leave little to share, products run at two to ten times their speed. Samples are taken in
//! ranges, so that columns stay within a few MiB: they are as many times as large as the image as the filter has taps.

mod sum;
mod windows;

use super::choose::{DISPATCH, MULTIPLY, Pass, Problem, READ, READ_ONE, WRITE};
use crate::Result;
use crate::graph::{Epilogue, Node};
use crate::kernels::matmul::{LONGEST, Panels, Planes, Right, Unpacked, tile_rows};
use crate::kernels::reduce::add_splits;
use crate::plan::{Lowering, Operand, Target};
use std::ops::Range;
use windows::Windows;

/// The most bytes of columns at a time, and of those of a single sample.
const BYTES: usize = 8 << 20;
const SAMPLE_BYTES: usize = 32 << 20;

/// The most taps of a filter whose columns are turned: they are unrolled.
const TURNED_TAPS: usize = 9;

/// Nanoseconds in which the lanes of one thread add one tap each to the image, by whole vectors and one by one. Measured.
const SUM_ROWS: f64 = READ / 3.0;
const SUM: f64 = 8.0 * READ_ONE;

/// A pass of a convolution that products can compute.
pub struct Columns {
    problem: Problem,
    /// Of a subgroup.
    lanes: usize,
}

impl Columns {
    /// `problem` by products, if its attributes allow it.
    pub fn new(problem: &Problem, lanes: usize) -> Option<Self> {
        let Problem { pass, conv, w, .. } = problem;
        // Gradients by the input are summed tap by tap at steps of the stride or of the dilation.
        let steps = (0..2).all(|axis| conv.stride[axis] == 1 || conv.dilation[axis] == 1);
        let suits = match pass {
            Pass::Forward => true,
            Pass::BackwardData => steps,
            Pass::BackwardWeight => w[2] * w[3] <= TURNED_TAPS && (w[1] * w[2] * w[3]).is_multiple_of(8),
        };
        (conv.groups == 1 && suits).then(|| Self { problem: problem.clone(), lanes })
    }

    /// Whether columns of a sample, and all else that is bound, are within limits.
    pub fn fits(&self, target: &Target) -> bool {
        let [k, c, r, s] = self.problem.w;
        let panels = 4 * k.next_multiple_of(32) * (c * r * s).next_multiple_of(64);
        let lines = self.pixels().max(k).max(c * r * s) / 16;
        self.sample_bytes() <= SAMPLE_BYTES
            && (panels.max(2 * SAMPLE_BYTES) as u64) < target.max_binding
            && lines < target.max_workgroups as usize
            && (c * r * s).max(k) <= LONGEST
            && self.problem.x[0].max(c) < target.max_workgroups as usize
            && self.suits(self.problem.x[0])
    }

    /// Whether `n` samples have enough pixels in each range: panels end with eight of them.
    pub fn suits(&self, n: usize) -> bool {
        self.problem.pass == Pass::BackwardWeight || self.ranges(n).iter().all(|range| range.len() * self.pixels() >= 8)
    }

    /// Whether each element of the gradient by the input is written once, after its mask was read, for so many samples.
    pub fn writes_once(&self, n: usize) -> bool {
        let rows = tile_rows(self.problem.w[1], self.lanes);
        let whole = |range: Range<usize>| (range.len() * self.pixels()).is_multiple_of(8 * self.lanes);
        !self.is_pointwise() || (self.problem.w[1].is_multiple_of(rows) && self.ranges(n).into_iter().all(whole))
    }

    /// Whether columns are the image itself.
    fn is_pointwise(&self) -> bool {
        let Problem { conv, w, .. } = &self.problem;
        w[2..] == [1, 1] && conv.stride == [1; 2] && conv.padding == [0; 2]
    }

    /// Pixels of a plane of results.
    fn pixels(&self) -> usize {
        self.problem.y[2] * self.problem.y[3]
    }

    /// Numbers of a column.
    fn column(&self) -> usize {
        self.problem.w[1..].iter().product()
    }

    /// The most bytes that one of the matrices takes for each sample, filled up as its panels are.
    fn sample_bytes(&self) -> usize {
        let [k, c, r, s] = self.problem.w;
        let rows = match self.problem.pass {
            Pass::Forward => self.column().next_multiple_of(4),
            Pass::BackwardData if self.is_pointwise() => k.next_multiple_of(4),
            Pass::BackwardData => self.column().max(k.next_multiple_of(4)),
            Pass::BackwardWeight => {
                let columns = c.next_multiple_of(4) * r * s;
                columns.next_multiple_of(8 * self.lanes).max(k.next_multiple_of(tile_rows(k, self.lanes)))
            }
        };
        4 * rows * self.pixels()
    }

    /// Ranges of `n` samples, as equal as can be.
    fn ranges(&self, n: usize) -> Vec<Range<usize>> {
        let most = (BYTES / self.sample_bytes()).max(1);
        let step = n.div_ceil(n.div_ceil(most));
        (0..n).step_by(step).map(|first| first..n.min(first + step)).collect()
    }

    /// The images of which columns are taken forward and by the weights.
    fn windows(&self) -> Windows {
        let Problem { conv, x, w, y, .. } = &self.problem;
        Windows {
            channels: x[1],
            input: [x[2], x[3]],
            output: [y[2], y[3]],
            taps: [w[2], w[3]],
            stride: conv.stride,
            dilation: conv.dilation,
            padding: conv.padding,
            lanes: self.lanes,
        }
        .joined()
    }

    /// Where the pixels of a range of samples of images with so many channels lie.
    fn planes(&self, rows: usize, range: &Range<usize>) -> Planes {
        Planes { plane: self.pixels(), rows, first: range.start * self.pixels() }
    }

    /// Operations for so many samples.
    fn flops(&self, n: usize) -> u64 {
        self.problem.flops() / self.problem.x[0] as u64 * n as u64
    }

    /// The forward pass.
    pub fn forward(&self, ctx: &mut Lowering, node: &Node, bias: Option<Operand>, note: &str) -> Result<()> {
        let n = ctx.shape(node.inputs[0])[0];
        let (m, k) = (self.problem.w[0], self.column());
        let weights = Unpacked { count: m, k, by_row: true, planes: None, matrices: 1 };
        let a = weights.pack(ctx, Operand::Value(node.inputs[1]), tile_rows(m, self.lanes), false)?;
        let ranges = self.ranges(n);
        let windows = self.windows();
        let b = ctx.temporary(windows.bytes(ranges[0].len() * self.pixels()));
        for range in ranges {
            windows.panels(ctx, Operand::Value(node.inputs[0]), b, &range)?;
            let bias = bias.unwrap_or(Operand::Null);
            self.to_images(ctx, node, [a, b, bias], [m, k], &range, note)?;
        }
        Ok(())
    }

    /// The gradient by the input.
    pub fn backward_data(&self, ctx: &mut Lowering, node: &Node, note: &str) -> Result<()> {
        let n = ctx.shape(node.inputs[0])[0];
        let (m, k) = (self.column(), self.problem.w[0]);
        let weights = Unpacked { count: m, k, by_row: false, planes: None, matrices: 1 };
        let a = weights.pack(ctx, Operand::Value(node.inputs[1]), tile_rows(m, self.lanes), false)?;
        let ranges = self.ranges(n);
        let windows = Windows::of_pixels(k, [self.problem.y[2], self.problem.y[3]], self.lanes);
        let pixels = ranges[0].len() * self.pixels();
        let b = ctx.temporary(windows.bytes(pixels));
        let columns = match self.is_pointwise() {
            true => Operand::Null,
            false => ctx.temporary(4 * (m * pixels) as u64),
        };
        for range in ranges {
            windows.panels(ctx, Operand::Value(node.inputs[0]), b, &range)?;
            if self.is_pointwise() {
                self.to_images(ctx, node, [a, b, Operand::Null], [m, k], &range, note)?;
                continue;
            }
            let n = range.len() * self.pixels();
            let right = Right::Panels { pitch: k.next_multiple_of(4), columns: None };
            let none = Epilogue::default();
            let panels = Panels::new([a, b, columns], [m, n, k], right, &none);
            panels.launch(ctx, self.flops(range.len()), format!("columns, {note}"))?;
            self.sum(ctx, node, columns, &range)?;
        }
        Ok(())
    }

    /// The gradients by the weights and, where `bias` is a place for it, by the bias.
    pub fn backward_weight(&self, ctx: &mut Lowering, node: &Node, bias: Option<Operand>, note: &str) -> Result<()> {
        let values = [node.inputs[0], node.inputs[1]];
        let (m, n) = (self.problem.w[0], self.column());
        let rows = tile_rows(m, self.lanes);
        let blocks = ctx.row_ranges(&values, ctx.target.block())?;
        // Ranges of samples within those that can be bound, and into how many ranges the sum over their pixels is cut:
        // enough to keep the adapter busy.
        let parts: Vec<_> = blocks
            .iter()
            .flat_map(|block| self.ranges(block.len()).into_iter().map(move |range| (block.clone(), range)))
            .collect();
        let tiles = m.div_ceil(rows) * n.div_ceil(8 * self.lanes) * parts.len();
        let busy = ctx.target.busy() as usize / 64;
        let per_split = |range: &Range<usize>| {
            let k = range.len() * self.pixels();
            let splits = busy.div_ceil(tiles).min(k.div_ceil(256)).max(k.div_ceil(LONGEST));
            k.div_ceil(splits).next_multiple_of(4)
        };
        let splits_of = |range: &Range<usize>| (range.len() * self.pixels()).div_ceil(per_split(range));
        let splits = parts.iter().map(|(_, range)| splits_of(range)).sum();
        let windows = self.windows();
        let most = parts.iter().map(|(_, range)| range.len()).max().unwrap_or(0) * self.pixels();
        let b = ctx.temporary(windows.turned_bytes(most));
        let results =
            [(Operand::Value(node.outputs[0]), m * n), (bias.unwrap_or(Operand::Null), bias.map_or(0, |_| m))];
        add_splits(ctx, splits, results, |ctx, [dw, db]| {
            let mut first_split = 0;
            for (block, range) in &parts {
                let pixels = range.len() * self.pixels();
                ctx.within(block.clone(), &values, |ctx| {
                    let planes = Some(self.planes(m, range));
                    let gradients = Unpacked { count: m, k: pixels, by_row: true, planes, matrices: 1 };
                    let a = gradients.pack(ctx, Operand::Value(values[1]), rows, false)?;
                    let pitch = windows.turned(ctx, Operand::Value(values[0]), b, range)?;
                    let right = Right::Panels { pitch, columns: Some(n) };
                    let none = Epilogue::default();
                    let panels = Panels {
                        k_per_split: per_split(range),
                        first_split,
                        sums: bias.map(|_| db),
                        ..Panels::new([a, b, dw], [m, n, pixels], right, &none)
                    };
                    panels.launch(ctx, self.flops(range.len()), format!("columns, {note}"))
                })?;
                first_split += splits_of(range);
            }
            Ok(())
        })
    }

    /// The product of weights and columns, which lies as the images of the result do.
    fn to_images(
        &self,
        ctx: &mut Lowering,
        node: &Node,
        [a, b, bias]: [Operand; 3],
        [m, k]: [usize; 2],
        range: &Range<usize>,
        note: &str,
    ) -> Result<()> {
        let n = range.len() * self.pixels();
        let planes = self.planes(m, range);
        let right = Right::Panels { pitch: k.next_multiple_of(4), columns: None };
        let panels = Panels {
            bias,
            mask: node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output)),
            planes: Some(planes),
            vectors: planes.fours() && n.is_multiple_of(4),
            in_place: ctx.is_shared(node.outputs[0]),
            ..Panels::new([a, b, Operand::Value(node.outputs[0])], [m, n, k], right, &node.epilogue)
        };
        panels.launch(ctx, self.flops(range.len()), format!("columns, {note}"))
    }

    /// Nanoseconds of one processor, roughly.
    pub fn cost(&self) -> f64 {
        let lanes = self.lanes;
        let Problem { pass, conv, x, w, .. } = &self.problem;
        let pixels = x[0] * self.pixels();
        let (k, column) = (w[0], self.column());
        let tiles = pixels.div_ceil(8 * lanes) as f64;
        let [m, n, sum] = match pass {
            Pass::Forward => [k, pixels, column],
            Pass::BackwardData => [column, pixels, k],
            Pass::BackwardWeight => [k, column, pixels],
        };
        let rows = tile_rows(m, lanes);
        let product = (m.div_ceil(rows) * n.div_ceil(8 * lanes) * 2 * rows) as f64 * (sum as f64 * MULTIPLY + WRITE);
        let packed = if *pass == Pass::BackwardWeight { k * pixels } else { k * column };
        let packing = packed as f64 * (READ + WRITE) / (4 * lanes) as f64;
        let windows = if *pass == Pass::BackwardData {
            let elements = (x.iter().product::<usize>() * w[2] * w[3]) as f64;
            let each = if self.rows_unit().is_some() { SUM_ROWS } else { SUM };
            let sums = elements / (conv.stride[0] * conv.stride[1] * lanes) as f64 * each;
            let pixels = Windows::of_pixels(k, [self.problem.y[2], self.problem.y[3]], self.lanes);
            tiles * pixels.cost(8) + if self.is_pointwise() { 0.0 } else { sums }
        } else {
            tiles * self.windows().cost(8)
        };
        let ranges = self.ranges(x[0]).len();
        product + packing + windows + (1 + 3 * ranges) as f64 * DISPATCH
    }
}
