//! Sum and mean over axes.

use super::Array;
use super::array::counterparts;
use crate::graph::Reduce;

/// Each element of `x` is added to the result at its own position without the axes that are summed over.
pub(super) fn reduce(op: &Reduce, x: &Array, shape: &[usize]) -> Array {
    let mut kept = x.shape.clone();
    op.axes.iter().for_each(|&axis| kept[axis] = 1);
    let mut y = Array::zeros(shape);
    for (x, i) in x.data.iter().zip(counterparts(&x.shape, &kept)) {
        y.data[i] += x;
    }
    let divisor = if op.mean { op.length(&x.shape) as f64 } else { 1.0 };
    y.map(|y| y / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_hand() {
        let x = Array::new(&[2, 3], vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0]).unwrap();
        let op = |axes: &[usize], mean| Reduce { mean, axes: axes.into(), keep_dims: false };
        assert_eq!(reduce(&op(&[0], false), &x, &[3]).data, [11.0, 22.0, 33.0]);
        assert_eq!(reduce(&op(&[1], false), &x, &[2]).data, [6.0, 60.0]);
        assert_eq!(reduce(&op(&[0, 1], true), &x, &[]).data, [11.0]);
    }
}
