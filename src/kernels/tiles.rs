//! Tiles in workgroup memory, for GPUs: which sizes there are, and which one a product of given extents gets.
//!
//! `matmul_tiles`, `conv_tiles` and `conv_weight_tiles` are one algorithm that loads its operands in three ways; all
//! three take their sizes from here.
//!
//! The size is the one for which an estimate of the time is the smallest. Large tiles read memory less often for each
//! multiplication, but a small product has few of them, or they stick out over its edge; then smaller tiles, or ranges
//! of K computed side by side, keep more of the processor at work. WebGPU does not tell how many cores an adapter has, so
//! a number for its class stands in for it. The estimate takes no measurement: equal shapes get equal kernels.

use super::Kernel;
use crate::plan::{Class, Lowering};

/// Extents of a workgroup's tile, those of an invocation's part of it, and how good they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    pub m: usize,
    pub n: usize,
    /// As much of K as lies in workgroup memory at a time.
    pub k: usize,
    /// Rows of an invocation.
    pub tm: usize,
    /// Its columns.
    pub tn: usize,
    /// The share of a core's arithmetic that a tile without edges reaches, in percent: to be measured.
    rate: u64,
}

/// All sizes. Workgroup memory of each is below the 16 KiB that every adapter has, invocations are at most 256. An
/// invocation keeps `tm * tn` sums, which is why integrated GPUs, of which some have 128 registers, get no more than 32.
pub const TILES: [Tile; 4] = [
    Tile { m: 128, n: 128, k: 8, tm: 8, tn: 8, rate: 80 },
    Tile { m: 64, n: 128, k: 8, tm: 8, tn: 8, rate: 75 },
    Tile { m: 64, n: 64, k: 16, tm: 8, tn: 4, rate: 60 },
    Tile { m: 32, n: 32, k: 16, tm: 4, tn: 4, rate: 40 },
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
/// a GPU and they are large enough.
pub fn choose(ctx: &Lowering, kernel: &str, groups: usize, extents: [usize; 3], most: usize) -> Option<Choice> {
    let candidates = candidates(ctx.target.class, groups, extents, most);
    if candidates.is_empty() {
        return None;
    }
    let [m, n, k] = extents;
    let name = |Choice { tile, splits }: &Choice| match splits {
        1 => format!("{}x{}", tile.m, tile.n),
        _ => format!("{}x{} in {splits} ranges", tile.m, tile.n),
    };
    Some(candidates[ctx.choose(format!("{kernel} {groups} of {m}x{n}x{k}"), candidates.iter().map(name).collect())])
}

/// Every size with the ranges of K that suit it best, the fastest first by the estimate.
fn candidates(class: Class, groups: usize, [m, n, k]: [usize; 3], most: usize) -> Vec<Choice> {
    let cores: u64 = match class {
        Class::Cpu => return vec![],
        Class::Integrated | Class::Other => 16,
        Class::Discrete => 128,
    };
    if m.min(n) < LEAST || k < LEAST {
        return vec![];
    }
    let most = most.min(k / RANGE).max(1);
    let tiles = TILES.into_iter().filter(|tile| class == Class::Discrete || tile.tm * tile.tn <= 32);
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
        (self.m / self.tm) * (self.n / self.tn)
    }

    /// The constants of the three shaders.
    pub fn constants(&self, kernel: Kernel) -> Kernel {
        let loads = |extent: usize| extent * self.k / 4 / self.threads();
        let (mv, nv) = (self.tm / 4, self.tn / 4);
        [
            ("BM", self.m),
            ("BN", self.n),
            ("BK", self.k),
            ("MV", mv),
            ("NV", nv),
            ("TILE", 4 * mv * nv),
            ("COLUMNS", self.n / self.tn),
            ("THREADS", self.threads()),
            ("A_LOADS", loads(self.m)),
            ("B_LOADS", loads(self.n)),
            ("A_PITCH", self.m / 4 + 1),
            ("B_PITCH", self.n / 4 + 1),
        ]
        .into_iter()
        .fold(kernel, |kernel, (name, value)| kernel.define(name, format!("{value}u")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shaders take for granted, within what every adapter has.
    #[test]
    fn sizes_fit_into_workgroups() {
        for tile in TILES {
            let Tile { m, n, k, tm, tn, .. } = tile;
            let threads = tile.threads();
            assert!(tm % 4 == 0 && tn % 4 == 0 && m % tm == 0 && n % tn == 0, "{tile:?}");
            // Rows and columns of patches of 4 by 8 invocations.
            assert!((n / tn) % 8 == 0 && (m / tm) % 4 == 0 && threads <= 256, "{tile:?}");
            // Each invocation loads as many vectors as any other, and walks along whole rows of either operand.
            assert!([m, n].iter().all(|extent| extent * k / 4 % threads == 0), "{tile:?}");
            assert!(threads % k == 0 && threads % (m / 4) == 0 && threads % (n / 4) == 0, "{tile:?}");
            // An invocation for each row that is summed.
            assert!(m <= threads, "{tile:?}");
            assert!(16 * k * (m / 4 + 1 + n / 4 + 1) <= 16 << 10, "{tile:?}");
        }
    }

    fn choice(class: Class, extents: [usize; 3], most: usize) -> Option<(usize, usize, usize)> {
        candidates(class, 1, extents, most).first().map(|Choice { tile, splits }| (tile.m, tile.n, *splits))
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
    fn few_tiles_of_long_sums_are_cut_along_k() {
        let (.., splits) = choice(Class::Discrete, [256, 2304, 100_352], 64).unwrap();
        assert!(splits > 1, "{splits}");
        assert_eq!(choice(Class::Discrete, [256, 2304, 100_352], 1).unwrap().2, 1);
        assert_eq!(choice(Class::Discrete, [64, 64, 300], 64).unwrap().2, 1, "too short to be cut");
    }
}
