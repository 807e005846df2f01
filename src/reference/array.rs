//! A tensor on the host.

use super::Yields;
use crate::{Error, Result};

/// A host tensor in f64, row-major; bytes and labels are numbers like all others.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The extent of each axis, outermost first.
    pub shape: Vec<usize>,
    /// The elements, as many as the product of the extents.
    pub data: Vec<f64>,
}

impl Array {
    /// A tensor of these elements; their number must be the product of the extents.
    pub fn new(shape: &[usize], data: Vec<f64>) -> Result<Self> {
        let array = Self { shape: shape.into(), data };
        match array.expect_shape(shape) {
            Ok(()) => Ok(array),
            Err(message) => Err(Error::usage(message)),
        }
    }

    /// `value` everywhere.
    pub fn filled(shape: &[usize], value: f64) -> Self {
        Self { shape: shape.into(), data: vec![value; shape.iter().product()] }
    }

    /// Zero everywhere.
    pub fn zeros(shape: &[usize]) -> Self {
        Self::filled(shape, 0.0)
    }

    /// `f` of each element.
    pub fn map(&self, f: impl FnMut(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().copied().map(f).collect() }
    }

    /// The extents of a tensor that has `N` axes.
    pub(super) fn extents<const N: usize>(&self) -> Yields<[usize; N]> {
        self.shape[..].try_into().map_err(|_| format!("a tensor {:?} where {N} axes are expected", self.shape))
    }

    pub(super) fn expect_shape(&self, shape: &[usize]) -> Yields<()> {
        let count: usize = shape.iter().product();
        if self.shape != shape || self.data.len() != count {
            return Err(format!("a tensor {:?} with {} elements, expected {shape:?}", self.shape, self.data.len()));
        }
        Ok(())
    }
}

/// Whether `x` wins over the maximum so far: the first of equal ones stays, and NaN is larger than any number.
pub(super) fn exceeds(x: f64, maximum: f64) -> bool {
    x > maximum || (x.is_nan() && !maximum.is_nan())
}

/// `x` as a position below `end`.
pub(super) fn index(name: &str, x: f64, end: usize) -> Yields<usize> {
    if x.fract() == 0.0 && x >= 0.0 && x < end as f64 {
        Ok(x as usize)
    } else {
        Err(format!("{name} {x} is not in 0..{end}"))
    }
}

/// For each element of a tensor of `shape`, in order, the position of its counterpart in a tensor of the shape
/// `other`, which is aligned at the last axis and repeated along its axes of extent 1 and along those it lacks.
pub(super) fn counterparts(shape: &[usize], other: &[usize]) -> Vec<usize> {
    let mut positions = vec![0];
    for (axis, &extent) in shape.iter().enumerate() {
        let stride = match (axis + other.len()).checked_sub(shape.len()) {
            Some(axis) if other[axis] != 1 => other[axis + 1..].iter().product(),
            _ => 0,
        };
        positions = positions.iter().flat_map(|first| (0..extent).map(move |i| first + i * stride)).collect();
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counterparts_repeat_along_missing_and_single_axes() {
        assert_eq!(counterparts(&[2, 3], &[2, 3]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(counterparts(&[2, 3], &[3]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(counterparts(&[2, 3], &[2, 1]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(counterparts(&[2, 1, 2], &[2, 1, 1]), [0, 0, 1, 1]);
        assert_eq!(counterparts(&[2], &[]), [0, 0]);
        assert_eq!(counterparts(&[], &[]), [0]);
    }

    #[test]
    fn the_first_maximum_wins_and_nan_is_largest() {
        assert!(exceeds(1.0, 0.0) && !exceeds(1.0, 1.0));
        assert!(exceeds(f64::NAN, f64::INFINITY) && !exceeds(f64::INFINITY, f64::NAN) && !exceeds(f64::NAN, f64::NAN));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        assert_eq!(index("label", 2.0, 3), Ok(2));
        for x in [3.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            assert!(index("label", x, 3).is_err(), "{x}");
        }
    }
}
