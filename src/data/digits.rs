//! Real handwriting inside the crate: 1,797 digits, so that every example and test has something to learn.
//!
//! Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
//! 1998, <https://doi.org/10.24432/C50P49>, licence CC BY 4.0; the part that scikit-learn ships, values unchanged.
//! `digits.bin` holds 65 bytes per digit: 8x8 values 0..16, row by row, then the label.

use rand::Rng;
use rand_pcg::Pcg32;

use super::dataset::Scale;
use super::{Dataset, Images};
use crate::{Error, Result};

const RECORD: usize = 65;
const RECORDS: &[[u8; RECORD]] = include_bytes!("digits.bin").as_chunks().0;

/// The sizes that the arithmetic of [`scaled`] and a sensible amount of memory allow.
const SIDES: std::ops::RangeInclusive<usize> = 8..=256;

const TEST_PER_CLASS: usize = 36;

/// Of all 1,797 at 28x28; at other sizes they differ by less than 0.01.
const MEAN: f32 = 0.3053;
const STD: f32 = 0.3247;

/// The embedded digits at 28x28, the size of MNIST: 1,437 to train and 360 to test, 36 of each class.
///
/// The split is always the same; within both parts the order is that of the file.
pub fn digits() -> Dataset {
    dataset(28)
}

/// The embedded digits at `size`x`size`, with the split of [`digits`].
///
/// # Errors
///
/// [`Error::Usage`] unless `size` is 8 to 256.
pub fn digits_at(size: usize) -> Result<Dataset> {
    check(size)?;
    Ok(dataset(size))
}

/// All 1,797 embedded digits at `size`x`size` in the order of the file.
///
/// # Errors
///
/// [`Error::Usage`] unless `size` is 8 to 256.
pub fn digits_in_order(size: usize) -> Result<Images> {
    check(size)?;
    Ok(draw(0..RECORDS.len(), size))
}

fn check(size: usize) -> Result<()> {
    if SIDES.contains(&size) {
        return Ok(());
    }
    Err(Error::usage(format!("digits can be drawn at {} to {} pixels, not {size}", SIDES.start(), SIDES.end())))
}

fn dataset(size: usize) -> Dataset {
    let (train, test) = parts(size);
    Dataset {
        name: "digits".into(),
        classes: ('0'..='9').map(String::from).collect(),
        mean: vec![MEAN],
        std: vec![STD],
        train,
        test,
        notes: vec![],
        scale: Scale::Redraw { sides: SIDES, draw: parts },
        sources: None,
        streams: false,
    }
}

fn parts(size: usize) -> (Images, Images) {
    let is_test = test_part();
    let pick = |part: bool| draw((0..RECORDS.len()).filter(|&i| is_test[i] == part), size);
    (pick(false), pick(true))
}

/// For each record whether it belongs to the test part.
fn test_part() -> Vec<bool> {
    let mut rng = Pcg32::new(1998, 0);
    let mut is_test = vec![false; RECORDS.len()];
    for class in 0..10 {
        let mut left: Vec<usize> = (0..RECORDS.len()).filter(|&i| label(i) == class).collect();
        for _ in 0..TEST_PER_CLASS {
            // Spelled out rather than left to rand's sampling, whose choices may change between versions.
            let pick = (u64::from(rng.next_u32()) * left.len() as u64) >> 32;
            is_test[left.swap_remove(pick as usize)] = true;
        }
    }
    is_test
}

fn draw(records: impl Iterator<Item = usize>, size: usize) -> Images {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let axis = axis(size);
    for i in records {
        scaled(&RECORDS[i], &axis, &mut pixels);
        labels.push(label(i));
    }
    Images { shape: [1, size, size], pixels, labels }
}

fn label(i: usize) -> u32 {
    RECORDS[i][RECORD - 1].into()
}

/// For each output pixel along one axis the two inputs it lies between and their weights, which sum to `2 * size`.
///
/// Pixel centres are aligned as in PyTorch's `interpolate(mode="bilinear", align_corners=False)`, in units of
/// 1 / (2 size) of an input pixel, so that everything stays whole.
fn axis(size: usize) -> Vec<[(usize, u32); 2]> {
    let unit = 2 * size;
    let place = |i: usize| {
        let position = ((2 * i + 1) * 8).saturating_sub(size);
        let (at, weight) = (position / unit, position % unit);
        [(at, (unit - weight) as u32), ((at + 1).min(7), weight as u32)]
    };
    (0..size).map(place).collect()
}

/// Appends one digit, bilinearly scaled and rounded to 0..255 exactly, the same on every machine.
fn scaled(digit: &[u8; RECORD], axis: &[[(usize, u32); 2]], pixels: &mut Vec<u8>) {
    let area = 4 * (axis.len() * axis.len()) as u32;
    for rows in axis {
        for columns in axis {
            let corners = rows.iter().flat_map(|&(y, wy)| columns.map(|(x, wx)| (8 * y + x, wy * wx)));
            let sum: u32 = corners.map(|(at, weight)| u32::from(digit[at]) * weight).sum();
            pixels.push(((sum * 255 + 8 * area) / (16 * area)) as u8);
        }
    }
}

#[cfg(test)]
#[path = "digits_tests.rs"]
mod tests;
