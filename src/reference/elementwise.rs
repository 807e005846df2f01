//! Functions of single elements and of pairs, and repetition.

use super::array::counterparts;
use super::{Array, Yields};
use crate::graph::{Binary, Unary};
use std::f64::consts::{PI, SQRT_2};

/// `y = f(x)`.
pub(super) fn unary(function: Unary, x: &Array) -> Array {
    x.map(|x| match function {
        Unary::Relu if x > 0.0 || x.is_nan() => x,
        Unary::Relu => 0.0,
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => sigmoid(x),
        Unary::Scale(factor) => x * f64::from(factor),
        Unary::LeakyRelu(_) if x > 0.0 => x,
        Unary::LeakyRelu(slope) => x * f64::from(slope),
        Unary::Relu6 if x.is_nan() => x,
        Unary::Relu6 => x.clamp(0.0, 6.0),
        Unary::Gelu => 0.5 * x * (1.0 + erf(x / SQRT_2)),
        Unary::GeluTanh => 0.5 * x * (1.0 + gate(x).tanh()),
        Unary::Silu => x * sigmoid(x),
        Unary::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
    })
}

/// `dx = dy f'`, with the derivative computed from `at`: the operand where [`Unary::needs_operand`], else the result.
pub(super) fn unary_backward(function: Unary, dy: &Array, at: &Array) -> Yields {
    at.expect_shape(&dy.shape)?;
    let gradient = |(&dy, &v): (&f64, &f64)| match function {
        // A selection, not a product: an infinite gradient behind a closed relu is 0.
        Unary::Relu if v <= 0.0 => 0.0,
        Unary::Relu => dy,
        Unary::Tanh => dy * (1.0 - v * v),
        Unary::Sigmoid => dy * v * (1.0 - v),
        Unary::Scale(factor) => dy * f64::from(factor),
        Unary::LeakyRelu(_) if v > 0.0 => dy,
        Unary::LeakyRelu(slope) => dy * f64::from(slope),
        Unary::Relu6 if v <= 0.0 || v >= 6.0 => 0.0,
        Unary::Relu6 => dy,
        Unary::Gelu => dy * (0.5 * (1.0 + erf(v / SQRT_2)) + v * (-0.5 * v * v).exp() / (2.0 * PI).sqrt()),
        Unary::GeluTanh => {
            let (tanh, slope) = (gate(v).tanh(), (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044715 * v * v));
            dy * 0.5 * (1.0 + tanh + v * (1.0 - tanh * tanh) * slope)
        }
        Unary::Silu => dy * sigmoid(v) * (1.0 + v * (1.0 - sigmoid(v))),
        Unary::HardSwish if v <= -3.0 => 0.0,
        Unary::HardSwish if v < 3.0 => dy * (v / 3.0 + 0.5),
        Unary::HardSwish => dy,
    };
    Ok(Array { shape: dy.shape.clone(), data: dy.data.iter().zip(&at.data).map(gradient).collect() })
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The argument of the hyperbolic tangent in the approximation of GELU.
fn gate(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)
}

/// The error function: `2 / sqrt(pi) exp(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 5) + ...)`, a series without cancellation
/// (Abramowitz and Stegun 7.1.6).
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// `f(a, b)` of the elements that meet when both are repeated to `shape`.
pub(super) fn binary(function: Binary, a: &Array, b: &Array, shape: &[usize]) -> Array {
    let pairs = counterparts(shape, &a.shape).into_iter().zip(counterparts(shape, &b.shape));
    let combine = |(i, j)| match function {
        Binary::Add => a.data[i] + b.data[j],
        Binary::Sub => a.data[i] - b.data[j],
        Binary::Mul => a.data[i] * b.data[j],
    };
    Array { shape: shape.into(), data: pairs.map(combine).collect() }
}

/// `x` repeated to `shape`.
pub(super) fn broadcast(x: &Array, shape: &[usize]) -> Array {
    Array { shape: shape.into(), data: counterparts(shape, &x.shape).into_iter().map(|i| x.data[i]).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relu_keeps_nan_and_is_flat_at_zero() {
        let x = Array::new(&[4], vec![-1.0, 0.0, 2.0, f64::NAN]).unwrap();
        let y = unary(Unary::Relu, &x);
        assert_eq!(y.data[..3], [0.0, 0.0, 2.0]);
        assert!(y.data[3].is_nan());
        let dx = unary_backward(Unary::Relu, &Array::filled(&[4], f64::INFINITY), &y).unwrap();
        assert_eq!(dx.data, [0.0, 0.0, f64::INFINITY, f64::INFINITY]);
    }

    #[test]
    fn the_error_function_has_its_known_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, y) in [(0.0, 0.0), (0.5, 0.5204998778), (1.0, 0.8427007929), (2.0, 0.9953222650), (7.0, 1.0)] {
            assert!((erf(x) - y).abs() < 1e-10 && erf(-x) == -erf(x), "{x}");
        }
        assert!(erf(f64::NAN).is_nan());
    }

    #[test]
    fn both_operands_repeat() {
        let a = Array::new(&[2, 1], vec![1.0, 2.0]).unwrap();
        let b = Array::new(&[3], vec![10.0, 20.0, 30.0]).unwrap();
        assert_eq!(binary(Binary::Sub, &b, &a, &[2, 3]).data, [9.0, 19.0, 29.0, 8.0, 18.0, 28.0]);
        assert_eq!(binary(Binary::Mul, &a, &b, &[2, 3]).data, [10.0, 20.0, 30.0, 20.0, 40.0, 60.0]);
    }
}
