//! Random numbers without state: Philox4x32-10, on the host and as `philox` in the shaders.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. Four
//! words come out of a counter of four words and a key of two; nothing is carried from one draw to the next. The key is
//! the run's seed ([`key`]), the counter `[element, row, step, purpose]`, so that a draw depends on nothing but its
//! place, and a run that is resumed draws what an uninterrupted one would have drawn.

/// The last word of a counter: who draws. Streams of different purposes share no number.
pub mod purpose {
    /// How an image is augmented: see `Augment`.
    pub const AUGMENT: u32 = 0;
    /// The weight of a step's mixup.
    pub const MIXUP: u32 = 1;
    /// Layers that drop elements count from here.
    pub const DROPOUT: u32 = 16;
}

/// The four words that belong to `counter` under `key`.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let product = |a: u32, b: u32| {
        let wide = u64::from(a) * u64::from(b);
        ((wide >> 32) as u32, wide as u32)
    };
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        let (high0, low0) = product(0xD251_1F53, c[0]);
        let (high1, low1) = product(0xCD9E_8D57, c[2]);
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

/// The key of a seed: its low word, its high word.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// A word as a number in `[0, 1)` that f32 holds exactly: its upper 24 bits.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The authors' own answers (`kat_vectors` of Random123).
    #[test]
    fn known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn words_become_numbers_below_one() {
        assert_eq!((unit(0), unit(1 << 31)), (0.0, 0.5));
        assert!(unit(u32::MAX) < 1.0);
        assert_eq!(key(0x1_0000_0002), [2, 1]);
    }
}
