//! Functions of single elements and of pairs, and repetition.

use super::array::counterparts;
use super::{Array, Yields};
use crate::graph::{Binary, Unary};

/// `y = f(x)`.
pub(super) fn unary(function: Unary, x: &Array) -> Array {
    x.map(|x| match function {
        Unary::Relu if x > 0.0 || x.is_nan() => x,
        Unary::Relu => 0.0,
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Scale(factor) => x * f64::from(factor),
    })
}

/// `dx = dy f'`, with the derivative computed from the result `y`.
pub(super) fn unary_backward(function: Unary, dy: &Array, y: &Array) -> Yields {
    y.expect_shape(&dy.shape)?;
    let gradient = |(&dy, &y): (&f64, &f64)| match function {
        // A selection, not a product: an infinite gradient behind a closed relu is 0.
        Unary::Relu if y <= 0.0 => 0.0,
        Unary::Relu => dy,
        Unary::Tanh => dy * (1.0 - y * y),
        Unary::Sigmoid => dy * y * (1.0 - y),
        Unary::Scale(factor) => dy * f64::from(factor),
    };
    Ok(Array { shape: dy.shape.clone(), data: dy.data.iter().zip(&y.data).map(gradient).collect() })
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
    fn both_operands_repeat() {
        let a = Array::new(&[2, 1], vec![1.0, 2.0]).unwrap();
        let b = Array::new(&[3], vec![10.0, 20.0, 30.0]).unwrap();
        assert_eq!(binary(Binary::Sub, &b, &a, &[2, 3]).data, [9.0, 19.0, 29.0, 8.0, 18.0, 28.0]);
        assert_eq!(binary(Binary::Mul, &a, &b, &[2, 3]).data, [10.0, 20.0, 30.0, 20.0, 40.0, 60.0]);
    }
}
