//! Which algorithm computes a convolution: the direct one, one of Winograd's, or, where a subgroup has known lanes, products
//! of columns. A rule from its extents and the target; a table of what was measured has the last word.

use super::columns::Columns;
use super::winograd::{self, Winograd};
use crate::graph::Conv2d;
use crate::plan::{Algorithm as Forced, Lowering};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Forward,
    BackwardData,
    BackwardWeight,
}

/// A pass of a convolution, with the extents of the forward one: for the whole batch, because what is chosen does not depend
/// on the samples at hand.
#[derive(Clone, Debug)]
pub struct Problem {
    pub pass: Pass,
    pub conv: Conv2d,
    /// [N, C, H, W]
    pub x: [usize; 4],
    /// [K, C / groups, R, S]
    pub w: [usize; 4],
    /// [N, K, OH, OW]
    pub y: [usize; 4],
}

/// What a pass runs on.
pub enum Algorithm {
    /// The kernels that sum as the definition does.
    Direct,
    Columns(Columns),
    Winograd(Winograd),
}

/// Nanoseconds in which one thread of a CPU driver reads a vector of four numbers per lane, or one number, writes a vector,
/// and multiplies and adds one, the reads and shuffles for that included. Measured on lavapipe with 8 lanes.
pub const READ: f64 = 24.0;
pub const READ_ONE: f64 = 13.0;
pub const WRITE: f64 = 43.0;
pub const MULTIPLY: f64 = 2.5;
/// A dispatch.
pub const DISPATCH: f64 = 60_000.0;

/// What `problem` is to run on; it is `None` where extents are not those of images.
pub fn choose(ctx: &Lowering, problem: Option<Problem>) -> Algorithm {
    let target = ctx.target;
    let Some(problem) = problem else { return Algorithm::Direct };
    let columns = target.lanes.and_then(|lanes| Columns::new(&problem, lanes as usize));
    let columns = columns.filter(|columns| columns.fits(target));
    let shape = winograd::Shape::of(&problem);
    match target.algorithm {
        None => {}
        Some(Forced::Columns) => return columns.map_or(Algorithm::Direct, Algorithm::Columns),
        Some(Forced::Winograd(m)) => {
            let winograd = shape.filter(|_| !target.exact).map(|shape| Winograd { m, pass: problem.pass, shape });
            return winograd.filter(|winograd| winograd.fits(target)).map_or(Algorithm::Direct, Algorithm::Winograd);
        }
    }
    // Without lanes costs are operations: only Winograd's algorithms are compared, whose products are of f32. Matrices of 16
    // bits are multiplied several times as fast.
    let speed = if target.cooperative.first().is_some_and(|form| form.half) { 4.0 } else { 1.0 };
    let direct = if target.lanes.is_some() { problem.direct_cost() } else { problem.flops() as f64 / speed };
    let mut candidates = vec![(direct, "direct", Algorithm::Direct)];
    candidates.extend(columns.map(|columns| (columns.cost(), "columns", Algorithm::Columns(columns))));
    if let Some(shape) = shape.filter(|_| !target.exact) {
        candidates.extend(
            winograd::candidates(target, problem.pass, shape)
                .map(|(cost, name, winograd)| (cost, name, Algorithm::Winograd(winograd))),
        );
    }
    if candidates.len() == 1 {
        return Algorithm::Direct;
    }
    candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let names = candidates.iter().map(|(_, name, _)| name.to_string()).collect();
    let index = ctx.choose(problem.question(), names);
    candidates.swap_remove(index).2
}

impl Problem {
    /// The problem of these extents.
    pub fn new(pass: Pass, conv: &Conv2d, x: &[usize], w: &[usize], y: &[usize]) -> Option<Self> {
        let [x, w, y] = [x, w, y].map(|shape| <[usize; 4]>::try_from(shape).ok());
        Some(Self { pass, conv: conv.clone(), x: x?, w: w?, y: y? })
    }

    /// What is asked where several algorithms can compute it.
    fn question(&self) -> String {
        let pass = match self.pass {
            Pass::Forward => "forward",
            Pass::BackwardData => "backward data",
            Pass::BackwardWeight => "backward weight",
        };
        let Self { conv, x: [n, c, h, w], w: [k, _, r, s], .. } = self;
        let pair = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a}x{b}") };
        let [stride, padding, dilation] = [conv.stride, conv.padding, conv.dilation].map(pair);
        let dilation = if dilation == "1" { String::new() } else { format!(" d{dilation}") };
        format!("conv {r}x{s} s{stride} p{padding}{dilation} {pass} {n}x{c}x{h}x{w} to {k}")
    }

    /// Two operations for each product that the definition sums.
    pub fn flops(&self) -> u64 {
        2 * self.y.iter().chain(&self.w[1..]).map(|&extent| extent as u64).product::<u64>()
    }

    /// Nanoseconds of one processor, roughly.
    fn direct_cost(&self) -> f64 {
        let ([_, _, h, w], [_, _, oh, ow]) = (self.x, self.y);
        let strided = self.conv.stride != [1; 2];
        let single = self.w[2] * self.w[3] == 1;
        // Operations a nanosecond, and rows that are computed together: of each, four positions.
        let (rate, rows) = match (self.pass, strided, single) {
            (Pass::BackwardWeight, false, false) => (22.0, 1),
            (Pass::BackwardWeight, true, false) => (11.0, 1),
            (Pass::BackwardWeight, _, true) => (8.0, 1),
            (_, false, false) => (25.0, 2),
            (Pass::Forward, true, false) => (12.0, 2),
            (Pass::BackwardData, true, false) => (10.0, 2),
            (_, _, true) => (5.0, 2),
        };
        let [height, width] = match self.pass {
            Pass::BackwardData => [h.div_ceil(self.conv.stride[0]), w.div_ceil(self.conv.stride[1])],
            _ => [oh, ow],
        };
        let wasted = height.next_multiple_of(rows.min(height)) as f64 / height as f64
            * (width.next_multiple_of(4) as f64 / width as f64);
        2.0 * DISPATCH + self.flops() as f64 * wasted / rate
    }
}
