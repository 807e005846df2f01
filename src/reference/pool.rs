//! Maximum and average over windows, and their gradients.
//!
//! The window of output `(oh, ow)` begins at `(oh stride - padding, ow stride - padding)`. What it covers beyond the
//! input takes no part in a maximum and counts as zero in a sum. With `count_include_pad` an average divides by the
//! positions that lie inside the padded input, otherwise by those inside the input.

use super::array::exceeds;
use super::{Array, Yields};
use crate::graph::{Pool2d, Pool2dBackward};
use std::ops::Range;

/// `x [N,C,H,W] -> y [N,C,OH,OW], argmax [N,C,OH,OW]`: the maximum and its offset `r S + s` inside the window.
pub(super) fn max(pool: &Pool2d, x: &Array, shape: &[usize]) -> Yields<Vec<Array>> {
    let mut y = Array::filled(shape, f64::NEG_INFINITY);
    let mut argmax = Array::zeros(shape);
    for_each_window(pool, &x.shape, shape, |window| {
        let mut best = None;
        for (position, offset) in window.positions() {
            if best.is_none_or(|(maximum, _)| exceeds(x.data[position], maximum)) {
                best = Some((x.data[position], offset as f64));
            }
        }
        if let Some((maximum, offset)) = best {
            y.data[window.output] = maximum;
            argmax.data[window.output] = offset;
        }
    })?;
    Ok(vec![y, argmax])
}

/// `dy, argmax -> dx [N,C,H,W]`: each gradient goes to the position of its maximum.
pub(super) fn max_backward(op: &Pool2dBackward, dy: &Array, argmax: &Array) -> Yields {
    argmax.expect_shape(&dy.shape)?;
    let mut dx = Array::zeros(&op.input);
    let mut wrong = None;
    for_each_window(&op.pool, &op.input, &dy.shape, |window| {
        let chosen = argmax.data[window.output];
        match window.positions().find(|&(_, offset)| offset as f64 == chosen) {
            Some((position, _)) => dx.data[position] += dy.data[window.output],
            None => wrong = Some(chosen),
        }
    })?;
    match wrong {
        Some(offset) => Err(format!("max_pool2d_backward: an arg-max of {offset} lies outside of its window")),
        None => Ok(dx),
    }
}

/// `x [N,C,H,W] -> y [N,C,OH,OW]`: the sum of each window by its divisor.
pub(super) fn average(pool: &Pool2d, x: &Array, shape: &[usize]) -> Yields {
    let mut y = Array::zeros(shape);
    for_each_window(pool, &x.shape, shape, |window| {
        let sum: f64 = window.positions().map(|(position, _)| x.data[position]).sum();
        y.data[window.output] = sum / window.divisor;
    })?;
    Ok(y)
}

/// `dy -> dx [N,C,H,W]`: each gradient by its divisor goes to every position of its window.
pub(super) fn average_backward(op: &Pool2dBackward, dy: &Array) -> Yields {
    let mut dx = Array::zeros(&op.input);
    for_each_window(&op.pool, &op.input, &dy.shape, |window| {
        for (position, _) in window.positions() {
            dx.data[position] += dy.data[window.output] / window.divisor;
        }
    })?;
    Ok(dx)
}

/// The part of a window that lies inside the input.
struct Window {
    /// Its position in `y`.
    output: usize,
    /// Where its plane begins in `x`.
    plane: usize,
    /// The extent of a row of `x`.
    width: usize,
    rows: Span,
    columns: Span,
    /// The extent of a row of the whole window.
    kernel_width: usize,
    /// What an average divides by.
    divisor: f64,
}

/// A window along one axis.
#[derive(Clone)]
struct Span {
    /// The positions inside the input.
    inside: Range<usize>,
    /// How many positions of the window come before them.
    skipped: usize,
    /// How many positions an average counts.
    counted: usize,
}

impl Window {
    /// Position in `x` and offset in the window, row by row.
    fn positions(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let [rows, columns] = [&self.rows, &self.columns].map(|span| span.inside.clone().zip(span.skipped..));
        rows.flat_map(move |(h, r)| {
            let (first, offset) = (self.plane + h * self.width, r * self.kernel_width);
            columns.clone().map(move |(w, s)| (first + w, offset + s))
        })
    }
}

impl Span {
    fn new(pool: &Pool2d, axis: usize, extent: usize, output: usize) -> Self {
        let (kernel, padding) = (pool.kernel[axis], pool.padding[axis]);
        // Counted from the leading edge of the padding.
        let begin = output * pool.stride[axis];
        let end = (begin + kernel).min(extent + 2 * padding);
        let inside = begin.max(padding) - padding..(end.max(padding) - padding).min(extent);
        let counted = if pool.count_include_pad { end - begin } else { inside.len() };
        Self { skipped: inside.start + padding - begin, inside, counted }
    }
}

fn for_each_window(pool: &Pool2d, x: &[usize], y: &[usize], mut body: impl FnMut(Window)) -> Yields<()> {
    let (&[_, _, height, width], &[batch, channels, out_height, out_width]) = (x, y) else {
        return Err(format!("pooling wants x [N,C,H,W] and y [N,C,OH,OW], got {x:?} and {y:?}"));
    };
    let columns: Vec<Span> = (0..out_width).map(|ow| Span::new(pool, 1, width, ow)).collect();
    for plane in 0..batch * channels {
        for oh in 0..out_height {
            let rows = Span::new(pool, 0, height, oh);
            for (ow, columns) in columns.iter().enumerate() {
                body(Window {
                    output: (plane * out_height + oh) * out_width + ow,
                    plane: plane * height * width,
                    width,
                    divisor: (rows.counted * columns.counted) as f64,
                    rows: rows.clone(),
                    columns: columns.clone(),
                    kernel_width: pool.kernel[1],
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(height: usize, width: usize, data: &[i32]) -> Array {
        Array::new(&[1, 1, height, width], data.iter().map(|&x| f64::from(x)).collect()).unwrap()
    }

    #[test]
    fn overlapping_maxima_by_hand() {
        let pool = Pool2d { stride: [1, 1], ..Pool2d::max([2, 2]) };
        let x = plane(2, 4, &[1, 5, 2, 2, 3, 4, 2, 2]);
        let results = max(&pool, &x, &[1, 1, 1, 3]).unwrap();
        assert_eq!(results[0].data, [5.0, 5.0, 2.0]);
        assert_eq!(results[1].data, [1.0, 0.0, 0.0], "the first of equal maxima wins");
        let op = Pool2dBackward { pool, input: x.shape.clone() };
        let dx = max_backward(&op, &plane(1, 3, &[1, 10, 100]), &results[1]).unwrap();
        assert_eq!(dx.data, [0.0, 11.0, 100.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(max_backward(&op, &plane(1, 3, &[1, 1, 1]), &plane(1, 3, &[0, 4, 0])).is_err());
    }

    #[test]
    fn padding_never_wins_and_offsets_count_from_the_whole_window() {
        let pool = Pool2d { stride: [2, 2], padding: [1, 1], ..Pool2d::max([3, 3]) };
        let results = max(&pool, &plane(2, 2, &[-4, -3, -2, -1]), &[1, 1, 1, 1]).unwrap();
        assert_eq!((results[0].data[0], results[1].data[0]), (-1.0, 8.0));
        let mut x = plane(2, 2, &[-4, -3, -2, -1]);
        x.data[1] = f64::NAN;
        let results = max(&pool, &x, &[1, 1, 1, 1]).unwrap();
        assert!(results[0].data[0].is_nan() && results[1].data[0] == 5.0);
    }

    #[test]
    fn averages_by_hand() {
        // Width 5, windows of 2 by 2 with padding 1: columns (pad, 0), (1, 2), (3, 4), and with ceil_mode no fourth.
        let pool = Pool2d { padding: [0, 1], ceil_mode: true, ..Pool2d::average([1, 2]) };
        let x = plane(1, 5, &[2, 4, 6, 8, 10]);
        assert_eq!(average(&pool, &x, &[1, 1, 1, 3]).unwrap().data, [1.0, 5.0, 9.0]);
        let exclude = Pool2d { count_include_pad: false, ..pool };
        assert_eq!(average(&exclude, &x, &[1, 1, 1, 3]).unwrap().data, [2.0, 5.0, 9.0]);
        // Without padding the third window reaches behind the input, which nothing counts.
        let ceil = Pool2d { ceil_mode: true, ..Pool2d::average([1, 2]) };
        assert_eq!(average(&ceil, &x, &[1, 1, 1, 3]).unwrap().data, [3.0, 7.0, 10.0]);
        let op = Pool2dBackward { pool: ceil, input: x.shape };
        assert_eq!(average_backward(&op, &plane(1, 3, &[2, 4, 6])).unwrap().data, [1.0, 1.0, 2.0, 2.0, 6.0]);
    }
}
