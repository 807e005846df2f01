//! The lines of `curves.svg`: smoothed, thinned, and where they lie.

use crate::train::folder::Row;
use std::ops::Range;

/// More points than a line of this picture can show.
const POINTS: usize = 1200;

pub type Point = (f64, f64);

/// The lines of one panel.
pub struct Lines {
    pub raw: Vec<Point>,
    pub smooth: Vec<Point>,
    pub test: Vec<Point>,
}

/// Steps per unit of the horizontal axis, and its name: epochs where there are some.
pub fn axis(rows: &[Row]) -> (f64, &'static str) {
    match rows.iter().filter(|row| !row.test && row.epoch == 2).map(|row| row.step).min() {
        Some(step) if step > 1 => ((step - 1) as f64, "epoch"),
        _ => (1.0, "step"),
    }
}

pub fn lines(rows: &[Row], unit: f64, number: impl Fn(&Row) -> f64) -> Lines {
    let points = |test: bool| -> Vec<Point> {
        let rows = rows.iter().filter(|row| row.test == test);
        rows.map(|row| (row.step as f64 / unit, number(row))).filter(|point| point.1.is_finite()).collect()
    };
    let raw = points(false);
    Lines { smooth: thinned(&smoothed(&raw)), raw: thinned(&raw), test: points(true) }
}

/// Means over windows of a 25th of the run, cut off at its ends.
fn smoothed(points: &[Point]) -> Vec<Point> {
    let reach = points.len() / 50;
    let mut sums = vec![0.0];
    sums.extend(points.iter().scan(0.0, |sum, point| {
        *sum += point.1;
        Some(*sum)
    }));
    let mean = |(index, point): (usize, &Point)| {
        let (first, last) = (index.saturating_sub(reach), (index + reach + 1).min(points.len()));
        (point.0, (sums[last] - sums[first]) / (last - first) as f64)
    };
    points.iter().enumerate().map(mean).collect()
}

/// The lowest and highest point of each piece of a long line.
fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let ends = |piece: &[Point]| {
        let by_height = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        let (low, high) = (piece.iter().min_by(by_height), piece.iter().max_by(by_height));
        let mut ends: Vec<Point> = low.into_iter().chain(high).copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends
    };
    points.chunks(points.len().div_ceil(POINTS / 2)).flat_map(ends).collect()
}

pub fn loss_range(lines: &Lines) -> Range<f64> {
    let shown = || lines.smooth.iter().chain(&lines.test).map(|point| point.1);
    let high = shown().fold(0.0_f64, f64::max).max(1e-9);
    let low = shown().filter(|loss| *loss > 0.0).fold(high, f64::min).max(high * 1e-6);
    0.7 * low..1.1 * high
}

/// Whole tens below what matters: the test samples, and training after its first tenth.
pub fn accuracy_range(lines: &Lines) -> Range<f64> {
    let later = lines.smooth.iter().skip(lines.smooth.len() / 10);
    let low = later.chain(&lines.test).map(|point| point.1).fold(100.0, f64::min);
    (((low - 1.0) / 10.0).floor() * 10.0).clamp(0.0, 90.0)..100.0
}

#[cfg(test)]
#[path = "plots_tests.rs"]
mod tests;
