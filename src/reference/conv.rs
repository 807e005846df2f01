//! Convolution and its gradients.
//!
//! All three are sums over the same products. An output position `(oh, ow)` meets the input through the tap `(r, s)`
//! at `(oh stride + r dilation - padding, ow stride + s dilation - padding)`, if that lies inside the input:
//!
//! ```text
//! y       [n,k,oh,ow] += weight[k,c,r,s] x[n, g C/groups + c, ih, iw]
//! dx      [n, g C/groups + c, ih, iw] += weight[k,c,r,s] dy[n,k,oh,ow]
//! dweight [k,c,r,s]   += x[n, g C/groups + c, ih, iw] dy[n,k,oh,ow]
//! ```

use super::{Array, Yields};
use crate::graph::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight};

/// `x [N,C,H,W], weight [K,C/groups,R,S], bias [K] -> y [N,K,OH,OW]`, whose shape is `shape`.
pub(super) fn forward(conv: &Conv2d, x: &Array, weight: &Array, bias: Option<&Array>, shape: &[usize]) -> Yields {
    let mut y = Array::zeros(shape);
    if let Some(bias) = bias {
        let [_, channels, h, w] = y.extents()?;
        y.data.iter_mut().enumerate().for_each(|(i, y)| *y = bias.data[i / (h * w) % channels]);
    }
    for_each_product(conv, &x.shape, &weight.shape, shape, |ix, iw, iy| y.data[iy] += weight.data[iw] * x.data[ix])?;
    Ok(y)
}

/// `dy [N,K,OH,OW], weight -> dx [N,C,H,W]`.
pub(super) fn backward_data(op: &Conv2dBackwardData, dy: &Array, weight: &Array) -> Yields {
    let mut dx = Array::zeros(&op.input);
    for_each_product(&op.conv, &op.input, &weight.shape, &dy.shape, |ix, iw, iy| {
        dx.data[ix] += weight.data[iw] * dy.data[iy];
    })?;
    Ok(dx)
}

/// `x, dy -> dweight`, and with `bias` also `dbias [K]`, the sum of `dy` over `N,OH,OW`.
pub(super) fn backward_weight(op: &Conv2dBackwardWeight, x: &Array, dy: &Array) -> Yields<Vec<Array>> {
    let mut dweight = Array::zeros(&op.weight);
    for_each_product(&op.conv, &x.shape, &op.weight, &dy.shape, |ix, iw, iy| {
        dweight.data[iw] += x.data[ix] * dy.data[iy];
    })?;
    if !op.bias {
        return Ok(vec![dweight]);
    }
    let [_, channels, h, w] = dy.extents()?;
    let mut dbias = Array::zeros(&[channels]);
    dy.data.iter().enumerate().for_each(|(i, dy)| dbias.data[i / (h * w) % channels] += dy);
    Ok(vec![dweight, dbias])
}

/// Calls `product` with the positions in `x`, `weight` and `y` of each product that the convolution sums.
fn for_each_product(
    conv: &Conv2d,
    x: &[usize],
    weight: &[usize],
    y: &[usize],
    mut product: impl FnMut(usize, usize, usize),
) -> Yields<()> {
    let (&[batch, channels, height, width], &[_, group, rows, columns], &[_, outputs, out_height, out_width]) =
        (x, weight, y)
    else {
        return Err(format!("conv2d wants x [N,C,H,W] and weight [K,C,R,S], got {x:?} and {weight:?}"));
    };
    let [pad_h, pad_w] = conv.padding;
    for (n, k, c) in triples(batch, outputs, group) {
        let first_channel = k / (outputs / conv.groups) * group;
        let x_plane = (n * channels + first_channel + c) * height * width;
        let y_plane = (n * outputs + k) * out_height * out_width;
        for (r, s, oh) in triples(rows, columns, out_height) {
            let Some(ih) = inside(oh * conv.stride[0] + r * conv.dilation[0], pad_h, height) else { continue };
            let iw = ((k * group + c) * rows + r) * columns + s;
            for ow in 0..out_width {
                if let Some(column) = inside(ow * conv.stride[1] + s * conv.dilation[1], pad_w, width) {
                    product(x_plane + ih * width + column, iw, y_plane + oh * out_width + ow);
                }
            }
        }
    }
    Ok(())
}

fn inside(padded: usize, padding: usize, extent: usize) -> Option<usize> {
    padded.checked_sub(padding).filter(|&position| position < extent)
}

fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[i32]) -> Array {
        Array::new(shape, data.iter().map(|&x| f64::from(x)).collect()).unwrap()
    }

    #[test]
    fn three_by_three_by_hand() {
        let x = array(&[1, 1, 3, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let weight = array(&[1, 1, 2, 2], &[1, 10, 100, 1000]);
        let bias = array(&[1], &[7]);
        let y = forward(&Conv2d::default(), &x, &weight, Some(&bias), &[1, 1, 2, 2]).unwrap();
        assert_eq!(y.data, [5428.0, 6539.0, 8761.0, 9872.0]);

        let dy = array(&[1, 1, 2, 2], &[1, 0, 0, 2]);
        let op = Conv2dBackwardData { conv: Conv2d::default(), input: x.shape.clone() };
        let dx = backward_data(&op, &dy, &weight).unwrap();
        assert_eq!(dx.data, [1.0, 10.0, 0.0, 100.0, 1002.0, 20.0, 0.0, 200.0, 2000.0]);

        let op = Conv2dBackwardWeight { conv: Conv2d::default(), weight: weight.shape.clone(), bias: true };
        let grads = backward_weight(&op, &x, &dy).unwrap();
        assert_eq!(grads[0].data, [11.0, 14.0, 20.0, 23.0]);
        assert_eq!(grads[1].data, [3.0]);
    }

    #[test]
    fn stride_padding_and_dilation_by_hand() {
        // Along the width, taps lie at ow 2 + s 2 - 1: columns -1, 1 for the first output and 1, 3 for the second.
        let conv = Conv2d { stride: [1, 2], padding: [0, 1], dilation: [1, 2], groups: 1 };
        let x = array(&[1, 1, 1, 4], &[1, 2, 3, 4]);
        let y = forward(&conv, &x, &array(&[1, 1, 1, 2], &[10, 1]), None, &[1, 1, 1, 2]).unwrap();
        assert_eq!(y.data, [2.0, 24.0]);
    }

    #[test]
    fn groups_see_their_own_channels() {
        let conv = Conv2d { groups: 2, ..Conv2d::default() };
        let x = array(&[1, 4, 1, 1], &[1, 2, 3, 4]);
        let weight = array(&[4, 2, 1, 1], &[1, 10, 2, 20, 1, 10, 2, 20]);
        let y = forward(&conv, &x, &weight, None, &[1, 4, 1, 1]).unwrap();
        assert_eq!(y.data, [21.0, 42.0, 43.0, 86.0]);
    }
}
