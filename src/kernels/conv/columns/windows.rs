//! Images as columns in panels, on `conv_columns`.

use super::super::choose::{READ, READ_ONE, WRITE};
use super::super::{i, span};
use crate::Result;
use crate::kernels::{Dim, Kernel};
use crate::plan::{Lowering, Operand};
use std::ops::Range;

/// Images of which columns are taken.
pub struct Windows {
    pub channels: usize,
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub taps: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: [usize; 2],
    /// Of a subgroup.
    pub lanes: usize,
}

impl Windows {
    /// Columns that are the pixels of images themselves.
    pub fn of_pixels(channels: usize, extents: [usize; 2], lanes: usize) -> Self {
        let (input, output) = (extents, extents);
        Self { channels, input, output, taps: [1; 2], stride: [1; 2], dilation: [1; 2], padding: [0; 2], lanes }
            .joined()
    }

    /// As a single row, where no window has a second pixel.
    pub fn joined(mut self) -> Self {
        if self.taps == [1; 2] && self.stride == [1; 2] && self.padding == [0; 2] {
            self.input = [1, self.input[0] * self.input[1]];
            self.output = self.input;
        }
        self
    }

    fn rows(&self) -> usize {
        self.channels * self.taps[0] * self.taps[1]
    }

    pub fn bytes(&self, pixels: usize) -> u64 {
        (4 * self.rows().next_multiple_of(4) * pixels.next_multiple_of(8 * self.lanes)) as u64
    }

    pub fn turned_bytes(&self, pixels: usize) -> u64 {
        let rows = self.channels.next_multiple_of(4) * self.taps[0] * self.taps[1];
        (4 * rows.next_multiple_of(8 * self.lanes) * pixels.next_multiple_of(4 * self.lanes)) as u64
    }

    /// Pixels of a row that are taken together, of so many; and how many of x are read at once.
    fn unit(&self, pixels: usize) -> [usize; 2] {
        let unit =
            [8, 4, 2].into_iter().find(|unit| *unit <= pixels && self.output[1].is_multiple_of(*unit)).unwrap_or(1);
        let whole = |read: &usize| self.input[1].is_multiple_of(*read) && (unit * self.stride[1]).is_multiple_of(*read);
        [unit, [4, 2].into_iter().find(whole).unwrap_or(1)]
    }

    /// The first pixel's place within its vector of `read`, and how many vectors a run of `unit` results looks at.
    fn run(&self, [unit, read]: [usize; 2]) -> [usize; 2] {
        let offset = (-(self.padding[1] as i64)).rem_euclid(read as i64) as usize;
        let span = span(unit, self.stride[1], self.taps[1], self.dilation[1]);
        [offset, (offset + span).div_ceil(read)]
    }

    /// Nanoseconds for all columns of `pixels` pixels of each lane.
    pub fn cost(&self, pixels: usize) -> f64 {
        let unit = self.unit(pixels);
        let reads = (pixels / unit[0] * self.run(unit)[1]) as f64 * if unit[1] == 1 { READ_ONE } else { READ };
        (self.channels * self.taps[0]) as f64 * (reads + (self.taps[1] * pixels / 4) as f64 * WRITE)
    }

    /// Columns of a range of samples in panels.
    pub fn panels(&self, ctx: &mut Lowering, x: Operand, y: Operand, range: &Range<usize>) -> Result<()> {
        self.launch(ctx, [x, y], range, false, 0)
    }

    /// Likewise for a sum over pixels; returns the pixels of a panel.
    pub fn turned(&self, ctx: &mut Lowering, x: Operand, y: Operand, range: &Range<usize>) -> Result<usize> {
        let pitch = (range.len() * self.output[0] * self.output[1]).next_multiple_of(4 * self.lanes);
        self.launch(ctx, [x, y], range, true, pitch)?;
        Ok(pitch)
    }

    fn launch(
        &self,
        ctx: &mut Lowering,
        operands: [Operand; 2],
        range: &Range<usize>,
        turned: bool,
        pitch: usize,
    ) -> Result<()> {
        /// Channels of a workgroup: enough to be worth the working out of places.
        const CHANNELS: usize = 16;
        let (pixels, channels) = if turned { (4, 4) } else { (8, 1) };
        let [unit, read] = self.unit(pixels);
        let [offset, vectors] = self.run([unit, read]);
        let (runs, width) = (pixels / unit, vectors * read);
        let at_once = if turned { self.taps[0] } else { 1 };
        let taps = at_once * self.taps[1];
        let plane = self.output[0] * self.output[1];
        let count = range.len() * plane;
        let kernel = Kernel::new("conv_columns").define("TURNED", turned).define("IN", read).define("OFFSET", offset);
        let kernel = [
            ("LANES", self.lanes),
            ("UNIT", unit),
            ("RUNS", runs),
            ("PIXELS", pixels),
            ("FOURS", pixels / 4),
            ("CHANNELS", channels),
            ("AT_ONCE", at_once),
            ("TAP_COLS", self.taps[1]),
            ("TAPS", taps),
            ("STRIDE_W", self.stride[1]),
            ("DILATION_W", self.dilation[1]),
            ("VECTORS", vectors),
            ("WIDTH", width),
            ("WINDOW", runs * width),
            ("ROWS", channels * taps),
            ("VALUES", channels * taps * pixels),
        ]
        .into_iter()
        .fold(kernel, |kernel, (name, value)| kernel.define(name, format!("{value}u")));
        let kernel = match read {
            1 => kernel,
            _ => kernel.define("X", format!("vec{read}<f32>")).define("part", "return v[i];"),
        };
        let [h, w] = self.input;
        let mut dims = vec![self.channels, self.taps[0], CHANNELS, h, w, self.output[0], self.output[1]];
        dims.extend([self.stride[0], self.dilation[0], self.padding[0], self.padding[1]]);
        dims.extend([range.start * plane, count, self.rows().next_multiple_of(4), pitch]);
        let dims: Vec<Dim> = dims.into_iter().map(i).collect();
        let launch = ctx.launch_groups(kernel, &dims, &operands, 1)?;
        launch.workgroups = [count.div_ceil(pixels * self.lanes) as u32, self.channels.div_ceil(CHANNELS) as u32, 1];
        launch.cost(0, format!("{count} columns of {}", self.rows()));
        Ok(())
    }
}
