//! Batch normalisation, see [`BatchNorm`].

use super::{Array, Yields};
use crate::graph::{BatchNorm, BatchNormBackward, batch_norm_extents};

/// The elements of each channel: calls `body` with the channel of each position.
fn channels(shape: &[usize]) -> impl Iterator<Item = usize> {
    let [samples, channels, plane] = batch_norm_extents(shape);
    (0..samples * channels * plane).map(move |i| i / plane % channels)
}

/// `x, weight, bias, running_mean, running_var -> y, coefficients`, and in training the new running statistics.
pub(super) fn forward(op: &BatchNorm, inputs: [&Array; 5]) -> Vec<Array> {
    let [x, weight, bias, running_mean, running_var] = inputs;
    let c = weight.data.len();
    let count = (x.data.len() / c) as f64;
    let (mut mean, mut var) = (running_mean.clone(), running_var.clone());
    if op.training {
        mean = Array::zeros(&[c]);
        var = Array::zeros(&[c]);
        channels(&x.shape).zip(&x.data).for_each(|(c, x)| mean.data[c] += x / count);
        channels(&x.shape).zip(&x.data).for_each(|(c, x)| var.data[c] += (x - mean.data[c]).powi(2) / count);
    }
    let mut coefficients = Array { shape: vec![c, 4], data: vec![] };
    for c in 0..c {
        let inverse = 1.0 / (var.data[c] + f64::from(op.eps)).sqrt();
        coefficients.data.extend([mean.data[c], inverse, weight.data[c] * inverse, bias.data[c]]);
    }
    let k = |c: usize, i: usize| coefficients.data[4 * c + i];
    let normal = channels(&x.shape).zip(&x.data).map(|(c, x)| (x - k(c, 0)) * k(c, 2) + k(c, 3)).collect();
    let y = Array { shape: x.shape.clone(), data: normal };
    if !op.training {
        return vec![y, coefficients];
    }
    let momentum = if op.update { f64::from(op.momentum) } else { 0.0 };
    let blend = |running: &Array, batch: &Array, factor: f64| Array {
        shape: vec![c],
        data: running.data.iter().zip(&batch.data).map(|(r, b)| r + momentum * (b * factor - r)).collect(),
    };
    let unbiased = count / (count - 1.0);
    let running = [blend(running_mean, &mean, 1.0), blend(running_var, &var, unbiased)];
    [y, coefficients].into_iter().chain(running).collect()
}

/// `dy, x, coefficients -> dx, dweight, dbias`.
pub(super) fn backward(op: &BatchNormBackward, dy: &Array, x: &Array, coefficients: &Array) -> Yields<Vec<Array>> {
    x.expect_shape(&dy.shape)?;
    let c = coefficients.shape[0];
    let k = |c: usize, i: usize| coefficients.data[4 * c + i];
    let (mut dweight, mut dbias) = (Array::zeros(&[c]), Array::zeros(&[c]));
    let normal: Vec<f64> = channels(&x.shape).zip(&x.data).map(|(c, x)| (x - k(c, 0)) * k(c, 1)).collect();
    for ((c, dy), normal) in channels(&x.shape).zip(&dy.data).zip(&normal) {
        dweight.data[c] += dy * normal;
        dbias.data[c] += dy;
    }
    let share = if op.training { c as f64 / x.data.len() as f64 } else { 0.0 };
    let by_x =
        |((c, dy), normal): ((usize, &f64), &f64)| k(c, 2) * (dy - share * (dbias.data[c] + normal * dweight.data[c]));
    let data = channels(&x.shape).zip(&dy.data).zip(&normal).map(by_x).collect();
    Ok(vec![Array { shape: x.shape.clone(), data }, dweight, dbias])
}
