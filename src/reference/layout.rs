//! Tensors joined, cut, padded, and with their axes in another order.

use super::{Array, Yields};
use crate::graph::{EdgePad, Pad, PadMode, around};

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

/// Where an axis of `length` positions has what stands at position `at` of the continued one.
fn source(op: &EdgePad, at: usize, length: usize) -> usize {
    let position = at as isize - op.amounts[0] as isize;
    let last = length as isize - 1;
    let source = match op.mode {
        PadMode::Replicate => position.clamp(0, last),
        PadMode::Reflect if position < 0 => -position,
        PadMode::Reflect if position > last => 2 * last - position,
        PadMode::Reflect => position,
    };
    source as usize
}

/// An axis continued with what lies at its ends.
pub(super) fn edge_pad(op: &EdgePad, x: &Array, shape: &[usize]) -> Array {
    let [outer, inner] = around(shape, op.axis);
    let (length, padded) = (x.shape[op.axis], shape[op.axis]);
    let rows = (0..outer).flat_map(|o| (0..padded).map(move |at| o * length + source(op, at, length)));
    Array { shape: shape.into(), data: rows.flat_map(|row| &x.data[row * inner..][..inner]).copied().collect() }
}

/// Its gradient: what each position is copied to, summed.
pub(super) fn edge_pad_backward(op: &EdgePad, dy: &Array, shape: &[usize]) -> Array {
    let [outer, inner] = around(shape, op.axis);
    let (length, padded) = (shape[op.axis], dy.shape[op.axis]);
    let mut dx = Array::filled(shape, 0.0);
    for (o, at) in (0..outer).flat_map(|o| (0..padded).map(move |at| (o, at))) {
        let row = o * length + source(op, at, length);
        for k in 0..inner {
            dx.data[row * inner + k] += dy.data[(o * padded + at) * inner + k];
        }
    }
    dx
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
        let edge = |mode| EdgePad { axis: 1, amounts: [2, 1], mode };
        let row = |mode| edge_pad(&edge(mode), &counted(&[1, 3]), &[1, 6]).data;
        assert_eq!(row(PadMode::Reflect), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(row(PadMode::Replicate), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        let sums = |mode| edge_pad_backward(&edge(mode), &counted(&[1, 6]), &[1, 3]).data;
        assert_eq!(sums(PadMode::Reflect), [3.0, 2.0 + 4.0 + 6.0, 1.0 + 5.0]);
        assert_eq!(sums(PadMode::Replicate), [1.0 + 2.0 + 3.0, 4.0, 5.0 + 6.0]);
    }
}
