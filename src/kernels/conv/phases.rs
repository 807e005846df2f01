//! The gradient of a strided convolution by its input, as dense convolutions.
//!
//! Each phase of the input (its position modulo the stride) is seen by every `stride / gcd`-th tap: a convolution with
//! stride 1 of the gradient with those taps, flipped.

use crate::graph::Conv2d;

/// One axis of a phase.
#[derive(Clone)]
pub struct Phase {
    /// Positions of the input: `offset + i * stride` for `i < count`.
    pub offset: usize,
    pub count: usize,
    /// Taps `first + t * step` reach them, at distances of `dilation` in the gradient.
    pub first: usize,
    pub step: usize,
    pub taps: usize,
    pub dilation: usize,
    pub padding: i64,
}

/// The phases of an axis of `extent` positions.
pub fn phases(conv: &Conv2d, axis: usize, kernel: usize, extent: usize) -> Vec<Phase> {
    let [stride, padding, dilation] = [conv.stride[axis], conv.padding[axis], conv.dilation[axis]];
    let step = stride / gcd(stride, dilation);
    let distance = dilation / gcd(stride, dilation);
    (0..stride.min(extent))
        .map(|offset| {
            let first = (0..kernel.min(step)).find(|r| (offset + padding) % stride == (r * dilation) % stride);
            let taps = first.map_or(0, |first| (kernel - first).div_ceil(step));
            let first = first.unwrap_or(0);
            // Input offset + i * stride meets tap first + t * step at output (offset + padding - first * dilation) /
            // stride + i - t * distance. Flipped, tap t' = taps - 1 - t reads at i + t' * distance - pad.
            let shift = (offset + padding) as i64 - (first * dilation) as i64;
            let pad = (taps.max(1) as i64 - 1) * distance as i64 - shift.div_euclid(stride as i64);
            let count = (extent - offset).div_ceil(stride);
            Phase { offset, count, first, step, taps, dilation: distance, padding: pad }
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of input position and tap that a convolution joins is met by exactly one phase, at the right output.
    #[test]
    fn phases_cover_the_convolution() {
        for (stride, padding, dilation, kernel, extent) in [
            (1, 0, 1, 3, 7),
            (2, 1, 1, 3, 8),
            (3, 0, 1, 2, 10),
            (2, 2, 2, 3, 9),
            (4, 2, 1, 11, 21),
            (3, 1, 2, 3, 12),
            (5, 0, 1, 1, 3),
        ] {
            let conv = Conv2d { stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], groups: 1 };
            let mut met = vec![];
            for phase in phases(&conv, 0, kernel, extent) {
                for position in 0..phase.count {
                    for flipped in 0..phase.taps {
                        let output = (position + flipped * phase.dilation) as i64 - phase.padding;
                        let tap = phase.first + phase.step * (phase.taps - 1 - flipped);
                        met.push((phase.offset + position * stride, tap, output));
                    }
                }
            }
            let mut expected = vec![];
            for input in 0..extent {
                for tap in 0..kernel {
                    let scaled = (input + padding) as i64 - (tap * dilation) as i64;
                    if scaled.rem_euclid(stride as i64) == 0 {
                        expected.push((input, tap, scaled / stride as i64));
                    }
                }
            }
            met.sort_unstable();
            expected.sort_unstable();
            assert_eq!(met, expected, "stride {stride} padding {padding} dilation {dilation} kernel {kernel}");
        }
    }
}
