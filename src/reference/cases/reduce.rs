//! Sums and means over each axis, several, and all.

use super::{Case, case};
use crate::Result;

const SHAPES: [(&[usize], &[usize]); 16] = [
    (&[1], &[0]),
    (&[67], &[0]),
    (&[4099], &[0]),
    (&[5, 13], &[0]),
    (&[5, 13], &[1]),
    (&[5, 13], &[0, 1]),
    (&[257, 3], &[0]),
    (&[3, 257], &[1]),
    (&[3, 5, 7], &[0]),
    (&[3, 5, 7], &[1]),
    (&[3, 5, 7], &[2]),
    (&[3, 5, 7], &[0, 2]),
    (&[2, 13, 7, 5], &[0, 2, 3]),
    (&[2, 13, 7, 5], &[2, 3]),
    (&[3, 1, 4, 1], &[1]),
    (&[2, 3, 2, 3, 2, 3], &[1, 3, 5]),
];

pub(super) fn list() -> Vec<Result<Case>> {
    let long = [reduce(false, &[2, 3, 300, 300], &[0, 2, 3], false), reduce(true, &[200_003], &[0], false)];
    let each = |(shape, axes)| [reduce(false, shape, axes, true), reduce(true, shape, axes, false)];
    SHAPES.into_iter().flat_map(each).chain(long).collect()
}

fn reduce(mean: bool, shape: &[usize], axes: &[usize], keep_dims: bool) -> Result<Case> {
    let name = if mean { "mean" } else { "sum" };
    case(format!("{name} {shape:?} over {axes:?}{}", if keep_dims { " keep_dims" } else { "" }), |g| {
        let x = g.tensor(shape)?;
        if mean { g.mean(x, axes, keep_dims) } else { g.sum(x, axes, keep_dims) }
    })
}
