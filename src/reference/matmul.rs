//! Matrix products: `y[m,n] = bias[n] + sum over k of op(a)[m,k] op(b)[k,n]`, of each matrix of a batch.

use super::{Array, Yields};
use crate::graph::MatMul;

/// `op(a) [..., M,K], op(b) [..., K,N], bias [N] -> y [..., M,N]`, and with `row_sums` also the sums `[..., M]` of the rows
/// of `op(a)`.
pub(super) fn product(op: &MatMul, a: &Array, b: &Array, bias: Option<&Array>) -> Yields<Vec<Array>> {
    let [m, n, k] = op.extents(&a.shape, &b.shape)?;
    let batch = MatMul::batch(&a.shape, &b.shape);
    let [a_row, a_column] = strides(m, k, op.transpose_a);
    let [b_row, b_column] = strides(k, n, op.transpose_b);
    // From one matrix to the next.
    let a_next = if a.shape.len() > 2 { m * k } else { 0 };
    let b_next = if b.shape.len() > 2 { k * n } else { 0 };
    let mut y = Array::zeros(&[batch, &[m, n]].concat());
    for (i, y) in y.data.iter_mut().enumerate() {
        let (item, row, column) = (i / (m * n), i / n % m, i % n);
        let (a_at, b_at) = (item * a_next + row * a_row, item * b_next + column * b_column);
        *y = bias.map_or(0.0, |bias| bias.data[column]);
        for at in 0..k {
            *y += a.data[a_at + at * a_column] * b.data[b_at + at * b_row];
        }
    }
    if !op.row_sums {
        return Ok(vec![y]);
    }
    let sum = |row: usize| (0..k).map(|at| a.data[row / m * a_next + row % m * a_row + at * a_column]).sum();
    let shape = [batch, &[m]].concat();
    let data = (0..shape.iter().product()).map(sum).collect();
    Ok(vec![y, Array { shape, data }])
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

    #[test]
    fn each_matrix_of_a_batch_or_one_for_all() {
        let a = Array::new(&[2, 1, 2], vec![1., 2., 3., 4.]).unwrap();
        let b = Array::new(&[2, 2, 1], vec![1., 10., 2., 20.]).unwrap();
        let one = Array::new(&[2, 1], vec![1., 10.]).unwrap();
        let op = MatMul { row_sums: true, ..MatMul::default() };
        let results = product(&op, &a, &b, None).unwrap();
        assert_eq!((&results[0].shape[..], &results[0].data[..]), (&[2, 1, 1][..], &[21.0, 86.0][..]));
        assert_eq!((&results[1].shape[..], &results[1].data[..]), (&[2, 1][..], &[3.0, 7.0][..]));
        assert_eq!(product(&op, &a, &one, None).unwrap()[0].data, [21.0, 43.0]);
        let row = Array::new(&[1, 2], vec![1., 2.]).unwrap();
        assert_eq!(product(&MatMul::default(), &row, &b, None).unwrap()[0].data, [21.0, 42.0]);
    }
}
