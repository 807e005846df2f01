//! Maximum and average over bins, and their gradients.

use super::array::exceeds;
use super::{Array, Yields};
use crate::graph::{AdaptivePool2dBackward, bin};

/// `x [N,C,H,W] -> y [N,C,OH,OW], argmax [N,C,OH,OW]`: the maximum and its position `h W + w` in the plane.
pub(super) fn max(x: &Array, shape: &[usize]) -> Yields<Vec<Array>> {
    let mut y = Array::zeros(shape);
    let mut argmax = Array::zeros(shape);
    for_each_bin(&x.shape, shape, |output, plane, bin| {
        let mut best = bin[0];
        for &position in bin {
            if exceeds(x.data[plane + position], x.data[plane + best]) {
                best = position;
            }
        }
        y.data[output] = x.data[plane + best];
        argmax.data[output] = best as f64;
    })?;
    Ok(vec![y, argmax])
}

/// `x [N,C,H,W] -> y [N,C,OH,OW]`: the mean of each bin.
pub(super) fn average(x: &Array, shape: &[usize]) -> Yields {
    let mut y = Array::zeros(shape);
    for_each_bin(&x.shape, shape, |output, plane, bin| {
        y.data[output] = bin.iter().map(|position| x.data[plane + position]).sum::<f64>() / bin.len() as f64;
    })?;
    Ok(y)
}

/// `dy (, argmax) -> dx [N,C,H,W]`: each gradient goes to the position of its maximum, or in equal shares to all.
pub(super) fn backward(op: &AdaptivePool2dBackward, dy: &Array, argmax: Option<&Array>) -> Yields {
    let mut dx = Array::zeros(&op.input);
    for_each_bin(&op.input, &dy.shape, |output, plane, bin| {
        for &position in bin {
            dx.data[plane + position] += match argmax {
                Some(argmax) if argmax.data[output] == position as f64 => dy.data[output],
                Some(_) => 0.0,
                None => dy.data[output] / bin.len() as f64,
            };
        }
    })?;
    Ok(dx)
}

/// Calls `body` with each position in `y`, the begin of its plane in `x`, and the positions of its bin in that plane.
fn for_each_bin(x: &[usize], y: &[usize], mut body: impl FnMut(usize, usize, &[usize])) -> Yields<()> {
    let (&[n, c, h, w], &[_, _, oh, ow]) = (x, y) else {
        return Err(format!("adaptive pooling wants x [N,C,H,W] and y [N,C,OH,OW], got {x:?} and {y:?}"));
    };
    for i in 0..oh {
        for j in 0..ow {
            let ([top, bottom], [left, right]) = (bin(i, oh, h), bin(j, ow, w));
            let positions: Vec<usize> = (top..bottom).flat_map(|h| (left..right).map(move |j| h * w + j)).collect();
            (0..n * c).for_each(|plane| body((plane * oh + i) * ow + j, plane * h * w, &positions));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_bins_by_hand() {
        let x = Array::new(&[1, 1, 1, 5], vec![1.0, 6.0, 2.0, 4.0, 4.0]).unwrap();
        assert_eq!(average(&x, &[1, 1, 1, 2]).unwrap().data, [3.0, 10.0 / 3.0]);
        let results = max(&x, &[1, 1, 1, 3]).unwrap();
        assert_eq!((&results[0].data[..], &results[1].data[..]), (&[6.0, 6.0, 4.0][..], &[1.0, 1.0, 3.0][..]));
        let dy = Array::new(&[1, 1, 1, 3], vec![1.0, 10.0, 100.0]).unwrap();
        let op = |average| AdaptivePool2dBackward { average, input: x.shape.clone() };
        assert_eq!(backward(&op(false), &dy, Some(&results[1])).unwrap().data, [0.0, 11.0, 0.0, 100.0, 0.0]);
        let shares = backward(&op(true), &dy, None).unwrap();
        assert_eq!(shares.data[..2], [0.5, 0.5 + 10.0 / 3.0]);
        // More bins than positions.
        assert_eq!(average(&x, &[1, 1, 2, 5]).unwrap().data[5..], x.data[..]);
    }
}
