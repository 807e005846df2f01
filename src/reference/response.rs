//! Local response normalisation and its gradient.

use super::Array;
use crate::graph::ResponseNorm;
use std::ops::Range;

/// The channels in the window of channel `c`.
fn window(norm: &ResponseNorm, c: usize, channels: usize) -> Range<usize> {
    c.saturating_sub(norm.size / 2)..(c + (norm.size - 1) / 2 + 1).min(channels)
}

/// Samples, channels, and positions of a channel.
fn extents(x: &Array) -> [usize; 3] {
    [x.shape[0], x.shape[1], x.shape[2..].iter().product()]
}

/// The base of the power for each element.
fn bases(norm: &ResponseNorm, x: &Array) -> Vec<f64> {
    let [_, channels, inner] = extents(x);
    let scale = f64::from(norm.alpha) / norm.size as f64;
    let base = |i: usize| {
        let (c, s) = (i / inner % channels, i % inner);
        let first = i - c * inner - s;
        let square = |c: usize| x.data[first + c * inner + s].powi(2);
        f64::from(norm.k) + scale * window(norm, c, channels).map(square).sum::<f64>()
    };
    (0..x.data.len()).map(base).collect()
}

/// `x d^-beta`.
pub(super) fn forward(norm: &ResponseNorm, x: &Array) -> Array {
    let bases = bases(norm, x);
    let y = x.data.iter().zip(bases).map(|(x, d)| x * d.powf(-f64::from(norm.beta)));
    Array { shape: x.shape.clone(), data: y.collect() }
}

/// Each result `y[c]` depends on its own element and on all of its window.
pub(super) fn backward(norm: &ResponseNorm, dy: &Array, x: &Array) -> Array {
    let [samples, channels, inner] = extents(x);
    let beta = f64::from(norm.beta);
    let scale = f64::from(norm.alpha) / norm.size as f64;
    let bases = bases(norm, x);
    let mut dx = Array::zeros(&x.shape);
    for n in 0..samples {
        for c in 0..channels {
            for s in 0..inner {
                let at = |c: usize| (n * channels + c) * inner + s;
                let (i, d) = (at(c), bases[at(c)]);
                dx.data[i] += dy.data[i] * d.powf(-beta);
                for other in window(norm, c, channels) {
                    let factor = -2.0 * beta * scale * x.data[i] * d.powf(-beta - 1.0);
                    dx.data[at(other)] += dy.data[i] * factor * x.data[at(other)];
                }
            }
        }
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_windows_reach_further_down() {
        let x = Array::new(&[1, 3, 1], vec![1.0, 2.0, 4.0]).unwrap();
        let norm = ResponseNorm { size: 2, alpha: 2.0, beta: 1.0, k: 1.0 };
        assert_eq!(forward(&norm, &x).data, [1.0 / 2.0, 2.0 / 6.0, 4.0 / 21.0]);
    }
}
