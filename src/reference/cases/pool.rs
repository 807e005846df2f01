//! Poolings: windows that overlap, leave gaps, reach over the edge.

use super::{Case, case};
use crate::Result;
use crate::graph::Pool2d;

pub(super) fn list() -> Vec<Result<Case>> {
    [false, true].into_iter().flat_map(both).chain(excluding_padding()).collect()
}

#[rustfmt::skip]
fn both(average: bool) -> Vec<Result<Case>> {
    let pool = |name, x, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], ceil_mode| {
        pool(name, x, Pool2d { average, kernel, stride, padding, ceil_mode, count_include_pad: true })
    };
    vec![
        pool("1x1", [1, 1, 1, 1], [1, 1], [1, 1], [0, 0], false),
        pool("2x2", [2, 3, 8, 6], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 leftover", [3, 5, 7, 9], [2, 2], [2, 2], [0, 0], false),
        pool("2x2 leftover ceil", [3, 5, 7, 9], [2, 2], [2, 2], [0, 0], true),
        pool("2x2 gaps of 1", [1, 2, 11, 8], [2, 2], [3, 3], [0, 0], false),
        pool("2x2 gaps of 3 ceil", [1, 3, 13, 11], [2, 2], [5, 5], [0, 0], true),
        pool("3x3 stride 2", [2, 3, 13, 15], [3, 3], [2, 2], [0, 0], false),
        pool("3x3 stride 2 ceil", [2, 7, 14, 12], [3, 3], [2, 2], [0, 0], true),
        pool("3x3 stride 2 padding 1", [1, 5, 10, 11], [3, 3], [2, 2], [1, 1], false),
        pool("3x3 stride 2 padding 1 ceil", [1, 5, 10, 12], [3, 3], [2, 2], [1, 1], true),
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
        pool(name, x, Pool2d { average: true, kernel, stride, padding, ceil_mode, count_include_pad: false })
    };
    vec![
        average("3x3 stride 2 padding 1 excluded", [1, 3, 9, 10], [3, 3], [2, 2], [1, 1], false),
        average("3x3 stride 2 padding 1 ceil excluded", [2, 3, 10, 12], [3, 3], [2, 2], [1, 1], true),
        average("4x2 stride 3x1 padding 2x1 excluded", [1, 2, 9, 5], [4, 2], [3, 1], [2, 1], false),
    ]
}

fn pool(name: &str, x: [usize; 4], pool: Pool2d) -> Result<Case> {
    case(format!("{} {name}", if pool.average { "avg_pool2d" } else { "max_pool2d" }), |g| {
        let x = g.tensor(&x)?;
        g.pool2d(x, pool)
    })
}
