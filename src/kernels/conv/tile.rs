//! How the kernels of dense convolutions cut them into tiles.

use super::direct::Direct;
use super::{COLS, ROWS};
use crate::kernels::LIGHT;
use crate::plan::Target;

/// The kernels; those for CPU drivers with the lanes of a subgroup.
#[derive(Clone, Copy)]
pub(super) enum Family {
    /// `conv`
    Any,
    /// `conv_lanes`
    Lanes(usize),
    /// `conv_quads`
    Quads(usize),
    /// `conv_samples`
    Samples(usize),
}

/// How a kernel cuts a convolution up.
pub(super) struct Tile {
    pub(super) family: Family,
    /// Rows of output positions of an invocation.
    pub(super) rows: usize,
    /// Columns of output positions.
    pub(super) cols: usize,
    /// Its channels.
    pub(super) kt: usize,
    /// Filter rows of an iteration.
    pub(super) tap_rows: usize,
    /// Its input channels: several where there is a single tap, and `conv_lanes` runs.
    pub(super) channels: usize,
    /// The most neighbours that are read or written at once.
    pub(super) width: usize,
}

/// The most multiplications of vectors in an unrolled loop body: more would not fit into an instruction cache.
const BODY: usize = 320;

impl Tile {
    pub(super) fn new(lanes: Option<u32>, direct: &Direct) -> Self {
        let lanes = lanes.map(|lanes| lanes as usize);
        if let Some(lanes) = lanes.filter(|_| direct.is_quad()) {
            return direct.quad_tile(lanes);
        }
        if let Some(lanes) = lanes.filter(|&lanes| direct.suits_samples(lanes)) {
            return direct.sample_tile(lanes);
        }
        let (outputs, output) = (direct.outputs, direct.output);
        let (r, s) = (direct.taps[0].max(1), direct.taps[1].max(1));
        let light = direct.flops < LIGHT;
        let (rows, cols) = (ROWS.min(output[0]), COLS.min(output[1]));
        let kt = match lanes {
            // Tiles of even size, so that none is mostly empty.
            Some(_) => {
                let most = (BODY / (rows * s)).clamp(1, if light { 8 } else { 16 });
                let even = outputs.div_ceil(outputs.div_ceil(most));
                if r * s == 1 { even.next_multiple_of(4).min(outputs) } else { even }
            }
            None if outputs <= 4 => 4,
            None => 8,
        };
        let whole = match lanes {
            Some(_) => r * s * kt * rows <= if light { BODY / 2 } else { BODY },
            None => r * s <= 9,
        };
        let tap_rows = if whole { r } else { 1 };
        let width = if light && direct.halo().is_none() { 2 } else { 4 };
        let body = if light { BODY / 2 } else { BODY };
        let fits = |channels: &usize| direct.inputs.is_multiple_of(*channels) && channels * rows * kt <= body;
        let channels = match lanes {
            Some(_) if r * s == 1 && kt.is_multiple_of(4) => [4, 2].into_iter().find(fits).unwrap_or(1),
            _ => 1,
        };
        let family = lanes.map_or(Family::Any, Family::Lanes);
        Self { family, rows, cols, kt, tap_rows, channels, width }
    }

    /// Lanes of a subgroup, where `conv_lanes` is to run.
    pub(super) fn lanes(&self) -> Option<usize> {
        match self.family {
            Family::Lanes(lanes) => Some(lanes),
            _ => None,
        }
    }

    /// Weights of an iteration, filled up to whole vectors.
    pub(super) fn padded(&self, s: usize) -> usize {
        (self.tap_rows * s.max(1) * self.kt).next_multiple_of(4)
    }
}

/// Whether a dispatch of so many workgroups has none beyond the last, which would write again what that one writes.
pub(super) fn fills_rows(target: &Target, groups: usize) -> bool {
    groups.is_multiple_of(groups.div_ceil(target.max_workgroups as usize).max(1))
}

/// The most numbers, up to `most`, in vectors of which all of these extents are whole.
pub(super) fn widest(most: usize, extents: &[usize]) -> usize {
    let whole = |width: &usize| *width <= most && extents.iter().all(|extent| extent.is_multiple_of(*width));
    [4, 2].into_iter().find(whole).unwrap_or(1)
}
