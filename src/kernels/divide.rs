//! Integer divisions by reciprocals, for the shaders that declare `divided` and `EXACT`.
//!
//! CPU drivers divide integers lane by lane, which takes longer than several loads. `f32(i) * (1 / by)` has three
//! roundings, so that its integer part is off by at most one as long as the quotient is below a third of 2^24; the
//! shaders mend that.

use super::{Dim, Kernel};

/// Quotients from here on are left to the integer unit.
const LARGE: usize = 1 << 22;

/// What a shader multiplies by.
pub fn reciprocal(by: usize) -> Dim {
    Dim::F(1.0 / by as f32)
}

/// `kernel`, which divides numbers below `count` by each of `by`.
pub fn exact(kernel: Kernel, count: usize, by: &[usize]) -> Kernel {
    let large = by.iter().any(|&by| count / by >= LARGE) || count > i32::MAX as usize;
    if large { kernel.define("EXACT", true) } else { kernel }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::SOURCES;

    fn divided(i: u32, by: u32, reciprocal: f32) -> u32 {
        let q = (i as f32 * reciprocal) as u32;
        let rest = (i as i32).wrapping_sub(q.wrapping_mul(by) as i32);
        (q as i32 + i32::from(rest >= by as i32) - i32::from(rest < 0)) as u32
    }

    #[test]
    fn quotients_are_right_up_to_the_bound() {
        for by in (1..300).chain([1021, 4095, 4097, 65_535, 1_000_003]) {
            let Dim::F(reciprocal) = reciprocal(by) else { unreachable!() };
            let end = (LARGE * by).min(i32::MAX as usize) as u32;
            // Where quotients change, near the end most of all.
            for quotient in (0..2000).chain((end / by as u32).saturating_sub(2000)..end / by as u32) {
                for i in [quotient * by as u32, (quotient * by as u32).saturating_sub(1)] {
                    assert_eq!(divided(i, by as u32, reciprocal), i / by as u32, "{i} / {by}");
                }
            }
        }
    }

    #[test]
    fn large_quotients_are_left_to_the_integer_unit() {
        let kernel = || Kernel::new("max_pool_2x2");
        assert!(exact(kernel(), LARGE * 5 - 1, &[5, 7]).defines.is_empty());
        assert_eq!(exact(kernel(), LARGE * 5, &[7, 5]).defines, [("EXACT", "true".to_string())]);
    }

    /// Each file stands alone, so that the function is in all of them.
    #[test]
    fn all_shaders_divide_by_one_text() {
        let text = |source: &str| {
            Some(source.split_once("  let q = u32(f32(i) * reciprocal);")?.1.split_once('}')?.0.to_string())
        };
        let texts: std::collections::HashSet<String> = SOURCES.iter().filter_map(|(_, source)| text(source)).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
    }
}
