//! Batch normalisation in training and outside of it, and dropout.

use super::{Case, Sketch, case};
use crate::Result;
use crate::graph::{BatchNorm, Dropout, Op, Unary, Value};

pub(super) fn list() -> Vec<Result<Case>> {
    let shapes = [
        &[2, 3, 4, 4][..],
        &[5, 7, 3, 5],
        &[3, 1, 1, 1],
        &[16, 5],
        &[2, 257, 2, 2],
        &[3, 2, 67, 64],
        // More elements than the pieces of a channel take at their usual length.
        &[2, 1, 300, 301],
    ];
    let norms = shapes.into_iter().flat_map(|shape| [true, false].map(|training| norm(shape, training)));
    let branches = BRANCHES.iter().flat_map(|&shape| [true, false].map(|training| branches(shape, training)));
    norms.chain(others()).chain(branches).chain(dropouts()).collect()
}

fn layer(g: &mut Sketch, x: Value, training: bool) -> Result<Value> {
    let c = g.shape(x)[1];
    let (weight, bias) = (g.tensor(&[c])?, g.tensor(&[c])?);
    // Squares, because a variance is not negative.
    let (mean, spread) = (g.tensor(&[c])?, g.tensor(&[c])?);
    let var = g.mul(spread, spread)?;
    let op = Op::BatchNorm(BatchNorm { training, update: training, momentum: 0.1, eps: 1e-2 });
    g.add_one(op, &[x, weight, bias, mean, var])
}

fn norm(shape: &[usize], training: bool) -> Result<Case> {
    let mode = if training { "training" } else { "inference" };
    case(format!("batch_norm {shape:?} in {mode}"), |g| {
        let x = g.tensor(shape)?;
        let y = layer(g, x, training)?;
        // Statistics have no gradient: they were only fed.
        g.wrt.truncate(3);
        Ok(y)
    })
}

/// Samples, height and width, and the channels of branches: planes of eights, of fours, and odd ones.
const BRANCHES: [([usize; 3], [usize; 3]); 4] =
    [([3, 4, 4], [2, 1, 3]), ([2, 6, 6], [1, 5, 2]), ([3, 5, 7], [4, 3, 1]), ([5, 1, 3], [1, 1, 1])];

/// Branches that end in activations and are put together in the middle of a network: each is computed in its place, and
/// gradients are read where they lie. The last is copied, and so are the gradients of all where it has another activation.
fn branches(([n, h, w], channels): ([usize; 3], [usize; 3]), training: bool) -> Result<Case> {
    let mode = if training { "training" } else { "inference" };
    case(format!("batch_norm + relu in branches of {channels:?} channels, {h}x{w}, in {mode}"), |g| {
        let mut results = vec![];
        for (index, c) in channels.into_iter().enumerate() {
            let x = g.tensor(&[n, c, h, w])?;
            let y = layer(g, x, training)?;
            let last = if h == w { Unary::Relu } else { Unary::Tanh };
            results.push(g.unary(y, if index == 2 { last } else { Unary::Relu })?);
        }
        // Statistics have no gradient: of five tensors each the first three have.
        g.wrt = g.wrt.chunks(5).flat_map(|branch| &branch[..3]).copied().collect();
        let y = g.concat(&results, 1)?;
        g.sigmoid(y)
    })
}

fn others() -> [Result<Case>; 3] {
    [
        case("batch_norm + relu", |g| {
            let x = g.tensor(&[4, 6, 5, 8])?;
            let y = layer(g, x, true)?;
            g.wrt.truncate(3);
            g.relu(y)
        }),
        case("batch_norm of numbers far from zero", |g| {
            let x = g.tensor(&[6, 3, 9, 9])?;
            let far = g.constant(8.0, &[])?;
            let x = g.add(x, far)?;
            let y = layer(g, x, true)?;
            g.wrt.truncate(3);
            Ok(y)
        }),
        case("residual block with batch_norm", |g| {
            let x = g.tensor(&[3, 4, 6, 6])?;
            let y = layer(g, x, true)?;
            let y = g.relu(y)?;
            let y = layer(g, y, true)?;
            g.wrt.retain(|&value| value == x);
            let y = g.add(y, x)?;
            g.unary(y, Unary::Relu)
        }),
    ]
}

fn dropouts() -> Vec<Result<Case>> {
    let cases = [(&[1][..], 0.5), (&[7, 13], 0.5), (&[3, 5, 7, 9], 0.2), (&[2, 4099], 0.9)];
    let dropout = |(shape, rate): (&[usize], f32)| {
        case(format!("dropout {shape:?} at {rate}"), |g| {
            let x = g.tensor(shape)?;
            g.add_one(Op::Dropout(Dropout { rate, seed: 0x1234_5678_9abc, layer: 3 }), &[x])
        })
    };
    cases.into_iter().map(dropout).collect()
}
