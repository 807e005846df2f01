//! Softmax `y_i = exp(x_i) / sum_j exp(x_j)` and its logarithm, along one axis.

use super::Array;
use crate::graph::Softmax;

pub(super) fn forward(op: &Softmax, x: &Array) -> Array {
    let mut y = x.clone();
    for_each_line(op, &x.shape, |line| {
        let [maximum, total] = log_sum_exp(line.clone().map(|i| x.data[i]));
        for i in line {
            let log = x.data[i] - maximum - total;
            y.data[i] = if op.log { log } else { log.exp() };
        }
    });
    y
}

/// From the result `y`: `dx_i = y_i (dy_i - sum_j dy_j y_j)`, or `dx_i = dy_i - exp(y_i) sum_j dy_j` for the logarithm.
pub(super) fn backward(op: &Softmax, dy: &Array, y: &Array) -> Array {
    let mut dx = dy.clone();
    for_each_line(op, &dy.shape, |line| {
        let total: f64 = line.clone().map(|i| if op.log { dy.data[i] } else { dy.data[i] * y.data[i] }).sum();
        for i in line {
            dx.data[i] = match op.log {
                true => dy.data[i] - y.data[i].exp() * total,
                false => y.data[i] * (dy.data[i] - total),
            };
        }
    });
    dx
}

/// `log sum exp(x)` as the sum of two numbers: the maximum, taken out so that nothing overflows, and the rest. Whoever
/// subtracts the maximum first loses no digits to its size.
pub(super) fn log_sum_exp(x: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let maximum = x.clone().fold(f64::NEG_INFINITY, f64::max);
    [maximum, x.map(|x| (x - maximum).exp()).sum::<f64>().ln()]
}

/// Calls `body` with the positions of each line of elements along the axis.
fn for_each_line(op: &Softmax, shape: &[usize], mut body: impl FnMut(std::iter::StepBy<std::ops::Range<usize>>)) {
    let length = shape[op.axis];
    let stride: usize = shape[op.axis + 1..].iter().product();
    let outer: usize = shape[..op.axis].iter().product();
    for block in 0..outer {
        for inner in 0..stride {
            let first = block * length * stride + inner;
            body((first..first + (length - 1) * stride + 1).step_by(stride));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_run_along_their_axis() {
        let lines = |shape: &[usize], axis| {
            let mut found = vec![];
            for_each_line(&Softmax { axis, log: false }, shape, |line| found.push(line.collect::<Vec<_>>()));
            found
        };
        assert_eq!(lines(&[2, 3], 0), [[0, 3], [1, 4], [2, 5]]);
        assert_eq!(lines(&[2, 3], 1), [[0, 1, 2], [3, 4, 5]]);
        assert_eq!(lines(&[2, 3, 2], 1), [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]]);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let x = Array::new(&[2], vec![1e4, 1e4]).unwrap();
        let y = forward(&Softmax { axis: 0, log: false }, &x);
        assert!(y.data.iter().all(|y| (y - 0.5).abs() < 1e-15), "{y:?}");
    }
}
