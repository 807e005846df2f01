//! Layer and group normalisation and their gradients.

use super::{Array, Yields};
use crate::graph::{Norm, NormExtents};

/// `x (, weight, bias) -> y, mean, rstd`, with the biased variance.
pub(super) fn forward(norm: &Norm, inputs: &[&Array]) -> Yields<Vec<Array>> {
    let x = inputs[0];
    let at = norm.extents(&x.shape)?;
    let n = at.length as f64;
    let rows = || x.data.chunks(at.length);
    let mean: Vec<f64> = rows().map(|row| row.iter().sum::<f64>() / n).collect();
    let spread = |(row, mean): (&[f64], &f64)| row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let rstd: Vec<f64> =
        rows().zip(&mean).map(spread).map(|variance| 1.0 / (variance + f64::from(norm.eps)).sqrt()).collect();
    let [mean, rstd] = [mean, rstd].map(|data| Array { shape: vec![at.rows], data });
    let mut y = normalised(at, x, &mean, &rstd);
    for (i, y) in y.data.iter_mut().enumerate() {
        let c = i / at.inner % at.weights;
        *y = *y * inputs.get(1).map_or(1.0, |weight| weight.data[c]) + inputs.get(2).map_or(0.0, |bias| bias.data[c]);
    }
    Ok(vec![y, mean, rstd])
}

/// `(x - mean) rstd`.
fn normalised(at: NormExtents, x: &Array, mean: &Array, rstd: &Array) -> Array {
    let each = |(i, x): (usize, &f64)| (x - mean.data[i / at.length]) * rstd.data[i / at.length];
    Array { shape: x.shape.clone(), data: x.data.iter().enumerate().map(each).collect() }
}

/// `dy, x, mean, rstd (, weight) -> dx`.
pub(super) fn backward(norm: &Norm, inputs: &[&Array]) -> Yields {
    let &[dy, x, mean, rstd, ref weight @ ..] = inputs else { return Err("norm_backward lacks operands".into()) };
    let at = norm.extents(&x.shape)?;
    let xhat = normalised(at, x, mean, rstd).data;
    let by_xhat: Vec<f64> = (0..dy.data.len())
        .map(|i| dy.data[i] * weight.first().map_or(1.0, |weight| weight.data[i / at.inner % at.weights]))
        .collect();
    let mut dx = Array::zeros(&x.shape);
    for row in 0..at.rows {
        let range = row * at.length..(row + 1) * at.length;
        let sum: f64 = range.clone().map(|i| by_xhat[i]).sum();
        let product: f64 = range.clone().map(|i| by_xhat[i] * xhat[i]).sum();
        for i in range {
            dx.data[i] = rstd.data[row] * (by_xhat[i] - (sum + xhat[i] * product) / at.length as f64);
        }
    }
    Ok(dx)
}

/// `dy, x, mean, rstd -> dweight, dbias`.
pub(super) fn backward_weight(norm: &Norm, inputs: &[&Array]) -> Yields<Vec<Array>> {
    let &[dy, x, mean, rstd] = inputs else { return Err("norm_backward_weight lacks operands".into()) };
    let at = norm.extents(&x.shape)?;
    let xhat = normalised(at, x, mean, rstd);
    let mut grads = [0; 2].map(|_| Array::zeros(&norm.weight_shape(&x.shape)));
    for (i, dy) in dy.data.iter().enumerate() {
        let c = i / at.inner % at.weights;
        grads[0].data[c] += dy * xhat.data[i];
        grads[1].data[c] += dy;
    }
    Ok(grads.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NormOver;

    #[test]
    fn groups_by_hand() {
        let x = Array::new(&[1, 4, 1], vec![1.0, 3.0, 10.0, 10.0]).unwrap();
        let weight = Array::new(&[4], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let norm = Norm { over: NormOver::Groups(2), eps: 0.0 };
        let results = forward(&norm, &[&x, &weight]).unwrap();
        assert_eq!((&results[0].data[..2], &results[1].data[..]), (&[-1.0, 2.0][..], &[2.0, 10.0][..]));
        assert_eq!(results[2].data[0], 1.0);
    }
}
