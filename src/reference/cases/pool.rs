//! Poolings: windows that overlap, leave gaps, reach over the edge.

use super::{Case, case};
use crate::Result;
use crate::graph::Pool2d;

pub(super) fn list() -> Vec<Result<Case>> {
    let plain = [false, true].into_iter().flat_map(|average| both(average, false));
    plain.chain(both(false, true)).chain(excluding_padding()).chain(adaptive()).chain(read_twice()).collect()
}

#[rustfmt::skip]
fn both(average: bool, activated: bool) -> Vec<Result<Case>> {
    let pool = |name, x, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], ceil_mode| {
        pool(name, x, activated, Pool2d { average, kernel, stride, padding, ceil_mode, count_include_pad: true })
    };
    vec![
        pool("1x1", [1, 1, 1, 1], [1, 1], [1, 1], [0, 0], false),
        pool("2x2", [2, 3, 8, 6], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 on rows of 2", [2, 3, 6, 4], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 on rows of 14", [3, 6, 28, 28], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 on a width of 10", [1, 4, 2, 10], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 in no whole vectors", [1, 1, 10, 6], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 leftover", [3, 5, 7, 9], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 leftover ceil", [3, 5, 7, 9], [2, 2], [2, 2], [0, 0], true),
        pool("2x2 gaps of 1", [1, 2, 11, 8], [2, 2], [3, 3], [0, 0], false),
        pool("2x2 gaps of 3 ceil", [1, 3, 13, 11], [2, 2], [5, 5], [0, 0], true),
        pool("3x3 stride 2", [2, 3, 13, 15], [3, 3], [2, 2], [0, 0], false),
        pool("3x3 stride 2 ceil", [2, 7, 14, 12], [3, 3], [2, 2], [0, 0], true),
        pool("3x3 stride 2 padding 1", [1, 5, 10, 11], [3, 3], [2, 2], [1, 1], false),
        pool("3x3 stride 2 padding 1 ceil", [1, 5, 10, 12], [3, 3], [2, 2], [1, 1], true),
        pool("5x3 stride 2x1 padding 2x1", [2, 3, 11, 13], [5, 3], [2, 1], [2, 1], false),
        pool("3x3 stride 1 padding 1", [2, 3, 5, 7], [3, 3], [1, 1], [1, 1], false),
        pool("2x3 stride 1x2 padding 1x0", [3, 2, 5, 9], [2, 3], [1, 2], [1, 0], false),
        pool("1x4 stride 1x3", [1, 1, 1, 101], [1, 4], [1, 3], [0, 0], true),
        pool("7x7 of its own size", [5, 11, 7, 7], [7, 7], [7, 7], [0, 0], false),
        pool("16x16 of its own size", [2, 3, 16, 16], [16, 16], [1, 1], [0, 0], false),
        pool("2x2 of 300 planes", [3, 100, 2, 2], [2, 2], [2, 2], [0, 0], false),
    ]
}

#[rustfmt::skip]
fn excluding_padding() -> Vec<Result<Case>> {
    let average = |name, x, kernel, stride, padding, ceil_mode| {
        pool(name, x, false, Pool2d { average: true, kernel, stride, padding, ceil_mode, count_include_pad: false })
    };
    vec![
        average("3x3 stride 2 padding 1 excluded", [1, 3, 9, 10], [3, 3], [2, 2], [1, 1], false),
        average("3x3 stride 2 padding 1 ceil excluded", [2, 3, 10, 12], [3, 3], [2, 2], [1, 1], true),
        average("4x2 stride 3x1 padding 2x1 excluded", [1, 2, 9, 5], [4, 2], [3, 1], [2, 1], false),
    ]
}

/// Bins that overlap, that repeat pixels, that are windows, that are too large for one sum, and no bins.
const BINS: [([usize; 4], [usize; 2]); 11] = [
    ([1, 1, 1, 1], [3, 2]),
    ([2, 3, 7, 11], [3, 4]),
    ([1, 5, 13, 9], [6, 6]),
    ([2, 3, 3, 5], [7, 5]),
    ([1, 2, 5, 6], [5, 13]),
    ([3, 2, 6, 6], [3, 2]),
    ([2, 2, 20, 30], [2, 2]),
    ([3, 17, 7, 7], [1, 1]),
    ([2, 65, 8, 8], [1, 1]),
    ([1, 2, 101, 67], [2, 1]),
    ([1, 3, 5, 7], [5, 7]),
];

fn adaptive() -> Vec<Result<Case>> {
    let both = BINS.into_iter().flat_map(|(x, output)| [true, false].map(|average| adaptive_pool(average, x, output)));
    // More than 65,535 workgroups of 64 invocations.
    both.chain([adaptive_pool(false, [2, 3, 40, 60], [1021, 701])]).collect()
}

fn adaptive_pool(average: bool, x: [usize; 4], output: [usize; 2]) -> Result<Case> {
    let kind = if average { "avg" } else { "max" };
    case(format!("adaptive_{kind}_pool2d {x:?} to {output:?}"), |g| {
        let x = g.tensor(&x)?;
        // The gradient of an activation is applied by the pooling's.
        let x = g.tanh(x)?;
        if average { g.adaptive_avg_pool2d(x, output) } else { g.adaptive_max_pool2d(x, output) }
    })
}

/// Activations of which a maximum is taken and that others read as well.
fn read_twice() -> Vec<Result<Case>> {
    let overlapping = Pool2d { kernel: [3; 2], stride: [1; 2], padding: [1; 2], ..Pool2d::max([3; 2]) };
    let twice = overlapping.clone();
    vec![
        case("max_pool2d of tanh, and tanh itself", |g| {
            let x = g.tensor(&[2, 3, 7, 5])?;
            let y = g.tanh(x)?;
            let pooled = g.pool2d(y, overlapping)?;
            g.mul(pooled, y)
        }),
        // The gradient of the first tanh comes from the maxima of the second.
        case("max_pool2d of tanh of tanh", |g| {
            let x = g.tensor(&[2, 3, 7, 5])?;
            let y = g.tanh(x)?;
            let z = g.tanh(y)?;
            let pooled = g.pool2d(z, twice)?;
            g.mul(pooled, pooled)
        }),
    ]
}

fn pool(name: &str, x: [usize; 4], activated: bool, pool: Pool2d) -> Result<Case> {
    let after = if activated { " after tanh" } else { "" };
    case(format!("{} {name}{after}", if pool.average { "avg_pool2d" } else { "max_pool2d" }), |g| {
        let x = g.tensor(&x)?;
        let x = if activated { g.tanh(x)? } else { x };
        g.pool2d(x, pool)
    })
}
