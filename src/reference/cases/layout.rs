//! Tensors joined, cut, padded and permuted: by vectors of four and one by one, with the masks that fuse into copies.

use super::{Case, case};
use crate::Result;
use crate::graph::{Pad, PadMode, Unary};

pub(super) fn list() -> Vec<Result<Case>> {
    let concats = CONCATS.map(|(shapes, axis)| {
        case(format!("concat {shapes:?} along {axis}"), |g| {
            let values = shapes.iter().map(|shape| g.tensor(shape)).collect::<Result<Vec<_>>>()?;
            g.concat(&values, axis)
        })
    });
    let slices = SLICES.map(|(shape, axis, start, length)| {
        case(format!("slice {shape:?} axis {axis} from {start} to {}", start + length), |g| {
            let x = g.tensor(shape)?;
            g.slice(x, axis, start, length)
        })
    });
    let pads = PADS.map(|(shape, rows, columns)| {
        case(format!("pad {shape:?} by {rows:?} and {columns:?}"), |g| {
            let x = g.tensor(shape)?;
            g.pad(x, Pad { rows, columns, value: -0.75 })
        })
    });
    let permutes = PERMUTES.map(|(shape, axes)| {
        case(format!("permute {shape:?} to {axes:?}"), |g| {
            let x = g.tensor(shape)?;
            g.permute(x, axes)
        })
    });
    let edges = EDGES.map(|(shape, rows, columns, mode)| {
        case(format!("{mode:?} pad {shape:?} by {rows:?} and {columns:?}"), |g| {
            let x = g.tensor(shape)?;
            g.edge_pad(x, rows, columns, mode)
        })
    });
    concats.into_iter().chain(slices).chain(pads).chain(edges).chain(permutes).chain(others()).collect()
}

/// Shapes and the axis along which they are joined.
const CONCATS: [(&[&[usize]], usize); 6] = [
    (&[&[1], &[1]], 0),
    (&[&[5], &[3], &[7]], 0),
    (&[&[2, 3, 5, 7], &[2, 1, 5, 7], &[2, 11, 5, 7]], 1),
    (&[&[3, 4, 2, 2], &[3, 1, 2, 2]], 1),
    (&[&[3, 5, 2], &[3, 5, 1], &[3, 5, 13]], 2),
    (&[&[2, 3], &[2, 1], &[2, 2], &[2, 5], &[2, 1], &[2, 7], &[2, 4], &[2, 1]], 1),
];

/// Shape, axis, start, length.
const SLICES: [(&[usize], usize, usize, usize); 5] =
    [(&[7], 0, 6, 1), (&[4, 6, 10], 1, 1, 4), (&[2, 8, 4], 1, 3, 2), (&[3, 13], 1, 5, 8), (&[5, 3, 7, 2], 0, 2, 2)];

/// Shape, rows and columns added before and after.
const PADS: [(&[usize], [isize; 2], [isize; 2]); 6] = [
    (&[1, 1], [2, 1], [1, 3]),
    (&[2, 3, 5, 7], [1, 1], [1, 1]),
    (&[3, 5, 4], [2, 1], [0, 0]),
    (&[2, 1, 4, 8], [0, 0], [3, 2]),
    (&[2, 3, 6, 5], [-2, 1], [3, -2]),
    (&[2, 7, 9], [-1, -3], [-2, -4]),
];

/// Shape, rows and columns added before and after, and what they hold.
type Edge = (&'static [usize], [usize; 2], [usize; 2], PadMode);

const EDGES: [Edge; 8] = [
    (&[1, 1], [2, 1], [0, 3], PadMode::Replicate),
    (&[2, 3, 5, 7], [1, 1], [1, 1], PadMode::Reflect),
    (&[2, 3, 5, 7], [4, 0], [2, 6], PadMode::Reflect),
    (&[2, 3, 5, 7], [0, 9], [12, 3], PadMode::Replicate),
    (&[3, 2, 4], [1, 0], [0, 0], PadMode::Reflect),
    (&[3, 2, 1], [1, 1], [5, 0], PadMode::Replicate),
    (&[1, 2, 13], [0, 0], [12, 12], PadMode::Reflect),
    (&[1, 70_000], [0, 0], [300, 1500], PadMode::Replicate),
];

const PERMUTES: [(&[usize], &[usize]); 5] = [
    (&[3, 5], &[1, 0]),
    (&[2, 3, 5, 7], &[0, 2, 3, 1]),
    (&[2, 3, 5, 7], &[3, 1, 0, 2]),
    (&[257, 1, 3], &[2, 1, 0]),
    (&[2, 3, 2, 1, 3, 5], &[5, 0, 4, 3, 1, 2]),
];

fn others() -> [Result<Case>; 4] {
    [
        // More than 65,535 workgroups of 64 invocations.
        case("concat of 4,200,001 numbers", |g| {
            let values = [g.tensor(&[1, 4_200_000])?, g.tensor(&[1, 1])?];
            g.concat(&values, 1)
        }),
        case("concat of a value with itself", |g| {
            let x = g.tensor(&[3, 5, 2])?;
            let y = g.tanh(x)?;
            g.concat(&[y, x, y], 1)
        }),
        case("branches with activations, concat, pad", |g| {
            let x = g.tensor(&[2, 4, 3, 3])?;
            let branches = [Unary::Relu, Unary::Tanh, Unary::Sigmoid].map(|activation| g.unary(x, activation));
            let branches = branches.into_iter().collect::<Result<Vec<_>>>()?;
            let y = g.concat(&branches, 1)?;
            let y = g.tanh(y)?;
            g.pad(y, Pad::zeros(1))
        }),
        case("transpose of a product", |g| {
            let (a, b) = (g.tensor(&[5, 7])?, g.tensor(&[7, 11])?);
            let y = g.matmul(a, b, false, false)?;
            let y = g.transpose(y, 0, 1)?;
            g.relu(y)
        }),
    ]
}
