//! Tensors joined, cut, padded, and with their axes in another order.

use super::{Array, Yields};
use crate::graph::{Pad, around};

/// Result `i0, i1, ...` is the element of `x` at index `i0` of axis `axes[0]`, `i1` of axis `axes[1]`, and so on.
pub(super) fn permute(axes: &[usize], x: &Array, shape: &[usize]) -> Array {
    let stride = |axis: usize| -> usize { x.shape[axis + 1..].iter().product() };
    let mut positions = vec![0];
    for (&axis, &extent) in axes.iter().zip(shape) {
        positions = positions.iter().flat_map(|first| (0..extent).map(move |i| first + i * stride(axis))).collect();
    }
    Array { shape: shape.into(), data: positions.into_iter().map(|i| x.data[i]).collect() }
}

/// `inputs` one after the other along `axis`.
pub(super) fn concat(axis: usize, inputs: &[&Array], shape: &[usize]) -> Array {
    let [outer, _] = around(shape, axis);
    let block = |x: &Array| x.data.len() / outer;
    let rows = (0..outer).flat_map(|o| inputs.iter().flat_map(move |x| &x.data[o * block(x)..(o + 1) * block(x)]));
    Array { shape: shape.into(), data: rows.copied().collect() }
}

/// The positions from `start` on along `axis`.
pub(super) fn slice(axis: usize, start: usize, x: &Array, shape: &[usize]) -> Array {
    let [outer, inner] = around(shape, axis);
    let block = x.shape[axis] * inner;
    let rows = (0..outer).flat_map(|o| &x.data[o * block + start * inner..][..shape[axis] * inner]);
    Array { shape: shape.into(), data: rows.copied().collect() }
}

/// The last two axes inside a constant; positions that negative padding cuts off are left out.
pub(super) fn pad(op: &Pad, x: &Array, shape: &[usize]) -> Yields {
    let [.., h, w] = x.shape[..] else { return Err(format!("pad wants two axes or more, got {:?}", x.shape)) };
    let [.., oh, ow] = shape[..] else { return Err(format!("pad yields two axes or more, not {shape:?}")) };
    let mut y = Array::filled(shape, f64::from(op.value));
    for (i, y) in y.data.iter_mut().enumerate() {
        let (plane, row, column) = (i / (oh * ow), i / ow % oh, i % ow);
        let from = [row.checked_add_signed(-op.rows[0]), column.checked_add_signed(-op.columns[0])];
        if let [Some(row), Some(column)] = from
            && row < h
            && column < w
        {
            *y = x.data[(plane * h + row) * w + column];
        }
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Array {
        let count = shape.iter().product::<usize>();
        Array::new(shape, (1..=count).map(|x| x as f64).collect()).unwrap()
    }

    #[test]
    fn by_hand() {
        let x = counted(&[2, 3]);
        assert_eq!(permute(&[1, 0], &x, &[3, 2]).data, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(concat(1, &[&x, &counted(&[2, 1])], &[2, 4]).data, [1.0, 2.0, 3.0, 1.0, 4.0, 5.0, 6.0, 2.0]);
        assert_eq!(concat(0, &[&x, &counted(&[1, 3])], &[3, 3]).data[6..], [1.0, 2.0, 3.0]);
        assert_eq!(slice(1, 1, &x, &[2, 2]).data, [2.0, 3.0, 5.0, 6.0]);
        let op = Pad { rows: [-1, 1], columns: [1, -1], value: 9.0 };
        assert_eq!(pad(&op, &x, &[2, 3]).unwrap().data, [9.0, 4.0, 5.0, 9.0, 9.0, 9.0]);
    }
}
