//! Tiles in workgroup memory, for GPUs: which sizes there are, and which one a product of given extents gets.
//!
//! `matmul_tiles`, `conv_tiles` and `conv_weight_tiles` are one algorithm that loads its operands in three ways; all
//! three take their sizes from here.
//!
//! The size is the one for which an estimate of the time is the smallest. Large tiles read memory less often for each
//! multiplication, but a small product has few of them, or they stick out over its edge; then smaller tiles, or ranges
//! of K computed side by side, keep more of the processor at work. WebGPU does not tell how many cores an adapter has, so
//! a number for its class stands in for it. The estimate takes no measurement: equal shapes get equal kernels.

mod cooperative;

use super::Kernel;
use crate::plan::{Class, Cooperative, Lowering};
use cooperative::Subgroups;

/// Extents of a workgroup's tile, who computes what of it, and how good that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    pub m: usize,
    pub n: usize,
    /// As much of K as lies in workgroup memory at a time.
    pub k: usize,
    part: Part,
    /// The share of a core's arithmetic that a tile without edges reaches, in percent: to be measured. More than all is
    /// what matrix hardware does.
    rate: u64,
}

/// How a tile is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Rows and columns of an invocation.
    Invocation(usize, usize),
    /// Subgroups multiply matrices.
    Subgroup(Subgroups),
}

/// All sizes. Workgroup memory of each is below the 16 KiB that every adapter has, invocations are at most 256. Integrated
/// GPUs, of which some have 128 registers, get those where an invocation keeps no more than 32 sums.
const TILES: [Tile; 4] = [
    Tile { m: 128, n: 128, k: 8, part: Part::Invocation(8, 8), rate: 80 },
    Tile { m: 64, n: 128, k: 8, part: Part::Invocation(8, 8), rate: 75 },
    Tile { m: 64, n: 64, k: 16, part: Part::Invocation(8, 4), rate: 60 },
    Tile { m: 32, n: 32, k: 16, part: Part::Invocation(4, 4), rate: 40 },
];

/// Invocations that a core must have at work to hide how long memory takes.
const RESIDENT: u64 = 256;

/// The least K of a range of it.
const RANGE: usize = 256;

/// What writing and reading one partial result costs, in multiplications of the whole processor.
const PARTIAL: u64 = 72;

/// What one more dispatch costs, in multiplications of a core.
const DISPATCH: u64 = 500_000;

/// Products with fewer rows or columns than this leave most of any tile empty.
const LEAST: usize = 16;

/// A size, and into how many ranges K is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub tile: Tile,
    pub splits: usize,
}

/// The tile in which `kernel` computes `groups` products of these extents, with at most `most` ranges of K, if the target is
/// a GPU and they are large enough; subgroups may multiply matrices of this `form`.
pub fn choose(
    ctx: &Lowering,
    kernel: &str,
    groups: usize,
    extents: [usize; 3],
    most: usize,
    form: Option<&Cooperative>,
) -> Option<Choice> {
    let candidates = candidates(ctx.target.class, groups, extents, most, form);
    if candidates.is_empty() {
        return None;
    }
    let [m, n, k] = extents;
    let name = |Choice { tile, splits }: &Choice| match splits {
        1 => tile.name(),
        _ => format!("{} in {splits} ranges", tile.name()),
    };
    // What is multiplied in 16 bits by some candidates is another question.
    let half = if form.is_some_and(|form| form.half) { ", f16" } else { "" };
    let question = format!("{kernel} {groups} of {m}x{n}x{k}{half}");
    Some(candidates[ctx.choose(question, candidates.iter().map(name).collect())])
}

/// Every size with the ranges of K that suit it best, the fastest first by the estimate.
fn candidates(
    class: Class,
    groups: usize,
    [m, n, k]: [usize; 3],
    most: usize,
    form: Option<&Cooperative>,
) -> Vec<Choice> {
    let cores: u64 = match class {
        Class::Cpu => return vec![],
        Class::Integrated | Class::Other => 16,
        Class::Discrete => 128,
    };
    if m.min(n) < LEAST || k < LEAST {
        return vec![];
    }
    let most = most.min(k / RANGE).max(1);
    let cooperative = form.into_iter().flat_map(|&form| Subgroups::tiles(form));
    let few = |tile: &Tile| class == Class::Discrete || tile.m * tile.n <= 32 * tile.threads();
    let tiles = cooperative.chain(TILES).filter(few);
    let powers = (0..).map(|power| 1 << power).take_while(|&splits| splits <= most);
    let time = |Choice { tile, splits }: &Choice| {
        let units = (groups * tile.across([m, n]) * splits) as u64;
        let rounds = units.div_ceil(cores).max(RESIDENT / tile.threads() as u64);
        let work = (tile.m * tile.n * k.div_ceil(*splits).next_multiple_of(tile.k)) as u64;
        let sum = match splits {
            1 => 0,
            _ => DISPATCH + PARTIAL * (groups * m * n * splits) as u64 / cores,
        };
        rounds * work * 100 / tile.rate + sum
    };
    let with_ranges = |tile| powers.clone().map(move |splits| Choice { tile, splits }).min_by_key(time);
    let mut candidates: Vec<Choice> = tiles.filter_map(with_ranges).collect();
    candidates.sort_by_key(time);
    candidates
}

impl Tile {
    /// How many tiles cover a matrix.
    pub fn across(&self, [m, n]: [usize; 2]) -> usize {
        m.div_ceil(self.m) * n.div_ceil(self.n)
    }

    fn threads(&self) -> usize {
        match self.part {
            Part::Invocation(m, n) => (self.m / m) * (self.n / n),
            Part::Subgroup(subgroups) => subgroups.threads(),
        }
    }

    /// For tables.
    fn name(&self) -> String {
        let how = if let Part::Subgroup(_) = self.part { " cooperative" } else { "" };
        format!("{}x{}{how}", self.m, self.n)
    }

    /// The constants of the three shaders.
    pub fn constants(&self, kernel: Kernel) -> Kernel {
        let loads = |extent: usize| extent * self.k / 4 / self.threads();
        // A row of vectors is odd in number, or what subgroups ask for.
        let more = if let Part::Subgroup(subgroups) = self.part { subgroups.padding() } else { 1 };
        let kernel = sized(
            kernel,
            &[
                ("BM", self.m),
                ("BN", self.n),
                ("BK", self.k),
                ("THREADS", self.threads()),
                ("A_LOADS", loads(self.m)),
                ("B_LOADS", loads(self.n)),
                ("A_PITCH", self.m / 4 + more),
                ("B_PITCH", self.n / 4 + more),
            ],
        );
        match self.part {
            Part::Invocation(m, n) => {
                let own = [("MV", m / 4), ("NV", n / 4), ("TILE", m * n / 4), ("COLUMNS", self.n / n)];
                sized(kernel, &own)
            }
            Part::Subgroup(subgroups) => subgroups.constants(kernel, [self.m, self.n]),
        }
    }
}

/// `kernel` with integer constants.
fn sized(kernel: Kernel, constants: &[(&'static str, usize)]) -> Kernel {
    constants.iter().fold(kernel, |kernel, &(name, value)| kernel.define(name, format!("{value}u")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shaders take for granted, within what every adapter has.
    #[test]
    fn sizes_fit_into_workgroups() {
        let forms = [8, 16].into_iter().flat_map(|size| [8, 16, 32, 64].map(|lanes| (size, lanes)));
        let forms = forms.flat_map(|(size, lanes)| [false, true].map(|half| Cooperative { size, half, lanes }));
        for tile in forms.flat_map(Subgroups::tiles).chain(TILES) {
            let Tile { m, n, k, part, .. } = tile;
            let threads = tile.threads();
            match part {
                Part::Invocation(tm, tn) => {
                    assert!(tm % 4 == 0 && tn % 4 == 0 && m % tm == 0 && n % tn == 0, "{tile:?}");
                    // Rows and columns of patches of 4 by 8 invocations.
                    assert!((n / tn) % 8 == 0 && (m / tm) % 4 == 0, "{tile:?}");
                    assert!(16 * k * (m / 4 + 1 + n / 4 + 1) <= 16 << 10, "{tile:?}");
                }
                // Rows of vectors are whole multiples of 16 bytes: those of f16 are of 8.
                Part::Subgroup(subgroups) => {
                    assert!((m / 4 + subgroups.padding()) % subgroups.padding() == 0, "{tile:?}")
                }
            }
            assert!(threads <= 256, "{tile:?}");
            // Each invocation loads as many vectors as any other, and walks along whole rows of either operand.
            assert!([m, n].iter().all(|extent| extent * k / 4 % threads == 0), "{tile:?}");
            assert!(threads % k == 0 && threads % (m / 4) == 0 && threads % (n / 4) == 0, "{tile:?}");
            // An invocation for each row that is summed.
            assert!(m <= threads, "{tile:?}");
        }
    }

    fn choice(class: Class, extents: [usize; 3], most: usize) -> Option<(usize, usize, usize)> {
        candidates(class, 1, extents, most, None).first().map(|Choice { tile, splits }| (tile.m, tile.n, *splits))
    }

    #[test]
    fn large_products_get_large_tiles_and_small_ones_many() {
        assert_eq!(choice(Class::Discrete, [4096, 4096, 4096], 64), Some((128, 128, 1)));
        assert_eq!(choice(Class::Discrete, [64, 802_816, 576], 1), Some((64, 128, 1)));
        assert_eq!(choice(Class::Discrete, [768, 1000, 512], 1), Some((64, 64, 1)));
        assert_eq!(choice(Class::Discrete, [128, 128, 128], 1), Some((32, 32, 1)));
        assert_eq!(choice(Class::Integrated, [4096, 4096, 4096], 64), Some((64, 64, 1)));
        assert_eq!(choice(Class::Other, [40, 40, 400], 1), Some((32, 32, 1)));
        assert_eq!(choice(Class::Discrete, [15, 4096, 4096], 1), None);
        assert_eq!(choice(Class::Cpu, [4096, 4096, 4096], 1), None);
    }

    #[test]
    fn matrices_are_multiplied_where_there_are_some_but_not_by_cpus() {
        let form = Cooperative { size: 16, half: true, lanes: 32 };
        let first = |class| candidates(class, 1, [1024; 3], 1, Some(&form)).first().map(|choice| choice.tile.name());
        assert_eq!(first(Class::Discrete).as_deref(), Some("64x64 cooperative"));
        assert_eq!(first(Class::Integrated).as_deref(), Some("64x64 cooperative"));
        assert_eq!(first(Class::Cpu), None);
    }

    #[test]
    fn few_tiles_of_long_sums_are_cut_along_k() {
        let (.., splits) = choice(Class::Discrete, [256, 2304, 100_352], 64).unwrap();
        assert!(splits > 1, "{splits}");
        assert_eq!(choice(Class::Discrete, [256, 2304, 100_352], 1).unwrap().2, 1);
        assert_eq!(choice(Class::Discrete, [64, 64, 300], 64).unwrap().2, 1, "too short to be cut");
    }
}
