//! Matrix product: `y[m,n] = bias[n] + sum over k of op(a)[m,k] op(b)[k,n]`.

use super::{Array, Yields};
use crate::graph::MatMul;

/// `op(a) [M,K], op(b) [K,N], bias [N] -> y [M,N]`, and with `row_sums` also the sums `[M]` of the rows of `op(a)`.
pub(super) fn product(op: &MatMul, a: &Array, b: &Array, bias: Option<&Array>) -> Yields<Vec<Array>> {
    let [m, n, k] = op.extents(&a.shape, &b.shape)?;
    let [a_row, a_column] = strides(m, k, op.transpose_a);
    let [b_row, b_column] = strides(k, n, op.transpose_b);
    let mut y = Array::zeros(&[m, n]);
    for (i, y) in y.data.iter_mut().enumerate() {
        let (row, column) = (i / n, i % n);
        *y = bias.map_or(0.0, |bias| bias.data[column]);
        for at in 0..k {
            *y += a.data[row * a_row + at * a_column] * b.data[at * b_row + column * b_column];
        }
    }
    if !op.row_sums {
        return Ok(vec![y]);
    }
    let sum = |row| (0..k).map(|at| a.data[row * a_row + at * a_column]).sum();
    Ok(vec![y, Array { shape: vec![m], data: (0..m).map(sum).collect() }])
}

/// The distances in memory of a `[rows, columns]` matrix between rows and between columns.
fn strides(rows: usize, columns: usize, transposed: bool) -> [usize; 2] {
    if transposed { [1, rows] } else { [columns, 1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_transposes_by_hand() {
        // op(a) = [[1,2,3],[4,5,6]], op(b) = [[1,10],[2,20],[3,30]].
        let stored = |shape: [usize; 2], data: [f64; 6]| Array::new(&shape, data.into()).unwrap();
        let a = [stored([2, 3], [1., 2., 3., 4., 5., 6.]), stored([3, 2], [1., 4., 2., 5., 3., 6.])];
        let b = [stored([3, 2], [1., 10., 2., 20., 3., 30.]), stored([2, 3], [1., 2., 3., 10., 20., 30.])];
        let bias = Array::new(&[2], vec![0.5, 0.25]).unwrap();
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let op = MatMul { transpose_a, transpose_b, row_sums: true };
            let results =
                product(&op, &a[usize::from(transpose_a)], &b[usize::from(transpose_b)], Some(&bias)).unwrap();
            assert_eq!(results[0].data, [14.5, 140.25, 32.5, 320.25], "{op:?}");
            assert_eq!(results[1].data, [6.0, 15.0], "{op:?}");
        }
    }
}
