//! Pictures brought to a size: scaled until the shorter side fits, then the middle cut out.
//!
//! What comes out is, to the bit, what torchvision's `Resize(side)` and `CenterCrop(side)` make of a PIL image: bilinear
//! with antialiasing, columns before rows, weights of 22 binary places, rounded to bytes between the two passes.
//! Channels change as PIL's `convert` changes them.

use std::ops::Range;

/// Binary places of a weight.
const PLACES: u32 = 22;

/// Rec. 601's shares of red, green and blue in grey, in 65,536ths.
const LUMA: [u32; 3] = [19_595, 38_470, 7_471];

/// `image`, `[C,H,W]` of shape `from`, in shape `to`. Channels are 1 or 3, or equal.
pub(super) fn fit(image: &[u8], from: [usize; 3], to: [usize; 3]) -> Vec<u8> {
    let planes = channels(image, from, to[0]);
    let [(h, w), (oh, ow)] = [(from[1], from[2]), (to[1], to[2])];
    if (h, w) == (oh, ow) {
        return planes;
    }
    let (sh, sw) = covering((h, w), (oh, ow));
    // Of those in the middle alone: a strip of one pixel's width would have millions.
    let [columns, rows] = [(w, sw, ow), (h, sh, oh)].map(|(from, to, crop)| {
        let first = margin(to, crop);
        taps(from, to, first..first + crop)
    });
    let mut out = Vec::with_capacity(to.iter().product());
    for plane in planes.chunks_exact(h * w) {
        let wide = across(plane, w, &columns);
        down(&wide, ow, &rows, &mut out);
    }
    out
}

/// A grey picture as three equal channels, or a coloured one as grey.
fn channels(image: &[u8], [from, h, w]: [usize; 3], to: usize) -> Vec<u8> {
    match (from, to) {
        (3, 1) => {
            let plane = |channel: usize| image[channel * h * w..][..h * w].iter().map(|&p| u32::from(p));
            let grey = plane(0).zip(plane(1)).zip(plane(2)).map(|((r, g), b)| grey([r, g, b]));
            grey.collect()
        }
        (1, to) => image.repeat(to),
        _ => image.to_vec(),
    }
}

fn grey([r, g, b]: [u32; 3]) -> u8 {
    ((r * LUMA[0] + g * LUMA[1] + b * LUMA[2] + 0x8000) >> 16) as u8
}

/// The mean over red, green and blue of a number for each, as grey weighs them.
pub(super) fn weighted(numbers: &[f32]) -> f32 {
    numbers.iter().zip(LUMA).map(|(&number, share)| number * share as f32 / 65_536.0).sum()
}

/// The smallest size of the picture's proportions that covers the target.
fn covering((h, w): (usize, usize), (oh, ow): (usize, usize)) -> (usize, usize) {
    let wide = |a: usize, b: usize| a as u128 * b as u128;
    let floor = |a: usize, b: usize, c: usize| (wide(a, b) / c as u128) as usize;
    // w / ow <= h / oh: the width decides.
    if wide(w, oh) <= wide(h, ow) { (floor(ow, h, w), ow) } else { (oh, floor(oh, w, h)) }
}

/// Where the middle begins; halves go to the even number, as Python rounds.
fn margin(size: usize, crop: usize) -> usize {
    let rest = size - crop;
    rest / 2 + (rest / 2) % 2 * (rest % 2)
}

/// For one output: the first input that it is made of, and the weight of each from there on.
type Taps = (usize, Vec<i32>);

/// Those of the outputs `wanted` out of `to`.
fn taps(from: usize, to: usize, wanted: Range<usize>) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let at = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        // Towards zero, and negative ones to zero: the edge.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |x: usize| (1.0 - ((x as f64 - centre + 0.5) / support).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (0.5 + weight / sum * f64::from(1 << PLACES)) as i32;
        (first, weights.iter().map(fixed).collect())
    };
    wanted.map(at).collect()
}

fn byte(sum: i32) -> u8 {
    ((sum + (1 << (PLACES - 1))) >> PLACES).clamp(0, 255) as u8
}

/// Rows of `width` pixels to rows of as many as there are taps.
fn across(plane: &[u8], width: usize, taps: &[Taps]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plane.len() / width * taps.len());
    for row in plane.chunks_exact(width) {
        out.extend(taps.iter().map(|(first, weights)| {
            byte(row[*first..].iter().zip(weights).map(|(&pixel, weight)| i32::from(pixel) * weight).sum())
        }));
    }
    out
}

/// Appends a row for each of the taps, made of the rows of `plane`.
fn down(plane: &[u8], width: usize, taps: &[Taps], out: &mut Vec<u8>) {
    let mut sums = vec![0; width];
    for (first, weights) in taps {
        sums.fill(0);
        for (row, weight) in plane.chunks_exact(width).skip(*first).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, &pixel)| *sum += i32::from(pixel) * weight);
        }
        out.extend(sums.iter().map(|&sum| byte(sum)));
    }
}

#[cfg(test)]
#[path = "resize_tests.rs"]
mod tests;
