//! Convolutions: window, stride, padding, dilation and groups that do not divide.

use super::{Case, case};
use crate::Result;
use crate::graph::{Conv2d, Unary};
use crate::plan::Algorithm;

const BIAS: bool = true;
const PLAIN: bool = false;

#[rustfmt::skip]
pub(super) fn list() -> Vec<Result<Case>> {
    vec![
        conv("1x1 of one number", [1, 1, 1, 1], [1, 1, 1, 1], BIAS, at(1, 0)),
        conv("1x1", [2, 5, 7, 3], [6, 5, 1, 1], BIAS, at(1, 0)),
        conv("1x1 of many channels", [2, 130, 5, 5], [67, 130, 1, 1], PLAIN, at(1, 0)),
        conv("1x1 stride 2", [2, 8, 9, 9], [7, 8, 1, 1], BIAS, at(2, 0)),
        conv("1x1 stride 3 padding 2", [1, 3, 8, 7], [5, 3, 1, 1], BIAS, at(3, 2)),
        conv("3x3", [3, 4, 5, 6], [5, 4, 3, 3], PLAIN, at(1, 0)),
        conv("3x3 of its own size", [5, 3, 3, 3], [7, 3, 3, 3], BIAS, at(1, 0)),
        conv("3x3 padding 1", [2, 3, 13, 11], [5, 3, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1 even", [2, 16, 16, 16], [32, 16, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1 wide", [1, 64, 14, 14], [65, 64, 3, 3], PLAIN, at(1, 1)),
        conv("3x3 padding 1 over several tiles", [1, 33, 27, 29], [130, 33, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1 single channel", [17, 1, 7, 7], [1, 1, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1 of one pixel", [3, 7, 1, 1], [5, 7, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, rows of eight", [2, 5, 6, 8], [9, 5, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, rows of twelve", [2, 5, 3, 12], [7, 5, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, rows of forty", [1, 3, 7, 40], [18, 3, 3, 3], PLAIN, at(1, 1)),
        conv("3x3 padding 1 of one pixel to nine channels", [3, 7, 1, 1], [9, 7, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, rows of two", [3, 9, 3, 2], [17, 9, 3, 3], PLAIN, at(1, 1)),
        conv("3x3 padding 1, planes of 2x2", [21, 9, 2, 2], [17, 9, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, planes of 2x2 in whole tiles", [32, 8, 2, 2], [16, 8, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, planes of 2x2, groups 3, one sample", [1, 6, 2, 2], [9, 2, 3, 3], PLAIN, groups(3, at(1, 1))),
        conv("3x3 padding 1, planes of 2x2, heavy", [37, 320, 2, 2], [330, 320, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, rows of three", [3, 4, 5, 3], [8, 4, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, rows of twelve to eighteen channels", [2, 5, 3, 12], [18, 5, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, 3 channels to 37", [2, 3, 5, 16], [37, 3, 3, 3], BIAS, at(1, 1)),
        conv("3x3 padding 1, stride 2x1, dilation 2x1", [2, 3, 9, 8], [11, 3, 3, 3], BIAS, Conv2d { stride: [2, 1], dilation: [2, 1], ..at(1, 1) }),
        conv("3x3 padding 1, heavy", [1, 64, 28, 28], [150, 64, 3, 3], BIAS, at(1, 1)),
        conv("1x1, rows of four to 40 channels", [2, 37, 3, 4], [40, 37, 1, 1], BIAS, at(1, 0)),
        conv("3x3 groups 2 of ten channels", [2, 8, 6, 8], [20, 4, 3, 3], BIAS, groups(2, at(1, 1))),
        conv("3x3 padding 4", [1, 2, 3, 5], [3, 2, 3, 3], BIAS, at(1, 4)),
        conv("3x3 stride 2 padding 1", [2, 6, 15, 14], [9, 6, 3, 3], PLAIN, at(2, 1)),
        conv("3x3 stride 2 leftover", [1, 3, 10, 12], [4, 3, 3, 3], BIAS, at(2, 0)),
        conv("3x3 stride 5", [2, 3, 17, 14], [4, 3, 3, 3], BIAS, at(5, 1)),
        conv("3x3 257 channels to 3", [1, 257, 4, 3], [3, 257, 3, 3], BIAS, at(1, 1)),
        conv("3x3 3 channels to 131", [1, 3, 6, 5], [131, 3, 3, 3], BIAS, at(1, 1)),
        conv("2x2 stride 2", [3, 5, 9, 7], [6, 5, 2, 2], BIAS, at(2, 0)),
        conv("2x2 padding 1", [1, 3, 4, 4], [3, 3, 2, 2], PLAIN, at(1, 1)),
        conv("5x5 padding 2", [3, 1, 28, 28], [6, 1, 5, 5], BIAS, at(1, 2)),
        conv("5x5 padding 2, rows of thirty-two", [1, 4, 9, 32], [6, 4, 5, 5], BIAS, at(1, 2)),
        conv("7x7 padding 3, rows of twenty", [2, 3, 8, 20], [5, 3, 7, 7], PLAIN, at(1, 3)),
        conv("9x9 padding 4, rows of four", [2, 3, 9, 4], [5, 3, 9, 9], PLAIN, at(1, 4)),
        conv("5x5", [2, 6, 14, 14], [16, 6, 5, 5], BIAS, at(1, 0)),
        conv("5x5 of its own size", [3, 16, 5, 5], [21, 16, 5, 5], BIAS, at(1, 0)),
        conv("7x7 stride 2 padding 3", [1, 3, 23, 24], [8, 3, 7, 7], PLAIN, at(2, 3)),
        conv("11x11 stride 4", [1, 3, 35, 31], [5, 3, 11, 11], BIAS, at(4, 0)),
        conv("11x11 stride 4 padding 2", [2, 3, 63, 63], [8, 3, 11, 11], BIAS, at(4, 2)),
        conv("1x7 padding 0x3", [2, 3, 5, 13], [4, 3, 1, 7], BIAS, Conv2d { padding: [0, 3], ..at(1, 0) }),
        conv("7x1 padding 3x0", [2, 3, 13, 5], [4, 3, 7, 1], PLAIN, Conv2d { padding: [3, 0], ..at(1, 0) }),
        conv("3x2 stride 1x3 padding 2x1", [2, 3, 7, 11], [5, 3, 3, 2], BIAS, Conv2d { stride: [1, 3], padding: [2, 1], ..at(1, 0) }),
        conv("1x3 of one row", [1, 1, 1, 1009], [2, 1, 1, 3], BIAS, at(1, 0)),
        conv("3x1 of one column", [1, 2, 503, 1], [1, 2, 3, 1], PLAIN, at(2, 0)),
        conv("3x3 dilation 2", [2, 3, 9, 8], [4, 3, 3, 3], BIAS, Conv2d { dilation: [2, 2], ..at(1, 0) }),
        conv("3x3 dilation 3 padding 3 stride 2", [1, 4, 13, 11], [5, 4, 3, 3], PLAIN, Conv2d { dilation: [3, 3], ..at(2, 3) }),
        conv("3x3 dilation 1x4", [2, 2, 5, 13], [3, 2, 3, 3], BIAS, Conv2d { dilation: [1, 4], ..at(1, 1) }),
        conv("3x3 groups 2", [2, 6, 7, 5], [8, 3, 3, 3], BIAS, groups(2, at(1, 1))),
        conv("3x3 groups 3 stride 2", [1, 9, 11, 8], [6, 3, 3, 3], PLAIN, groups(3, at(2, 1))),
        conv("1x1 groups 5", [3, 10, 4, 4], [15, 2, 1, 1], BIAS, groups(5, at(1, 0))),
        conv("3x3 depthwise", [2, 13, 9, 7], [13, 1, 3, 3], BIAS, groups(13, at(1, 1))),
        conv("3x3 depthwise twice stride 2", [2, 5, 9, 10], [10, 1, 3, 3], PLAIN, groups(5, at(2, 1))),
        conv("5x5 depthwise dilation 2", [1, 7, 11, 12], [7, 1, 5, 5], BIAS, groups(7, Conv2d { dilation: [2, 2], ..at(1, 4) })),
        // A lane for each sample.
        conv("5x5 of ten samples", [10, 6, 14, 14], [16, 6, 5, 5], BIAS, at(1, 0)),
        conv("5x5 of eight samples, two parts to a row", [8, 1, 6, 36], [3, 1, 5, 5], BIAS, at(1, 0)),
        conv("5x5 of nine samples, rows of thirty-seven", [9, 2, 7, 39], [3, 2, 5, 5], PLAIN, at(1, 1)),
        conv("5x5 of nine samples, rows of thirty-four", [9, 2, 5, 36], [3, 2, 5, 5], BIAS, at(1, 1)),
        conv("5x5 padding 2 of seventeen samples, groups 2", [17, 6, 6, 7], [34, 3, 5, 5], BIAS, groups(2, at(1, 2))),
        conv("3x3 stride 2 padding 1 of nine samples", [9, 3, 11, 12], [21, 3, 3, 3], BIAS, at(2, 1)),
        conv("3x3 stride 4x3 of nine samples, long rows", [9, 3, 8, 52], [4, 3, 3, 3], PLAIN, Conv2d { stride: [4, 3], ..at(1, 0) }),
        conv("3x3 dilation 2x3 padding 4 of nine samples", [9, 3, 7, 9], [4, 3, 3, 3], BIAS, Conv2d { dilation: [2, 3], ..at(1, 4) }),
        between("3x3 of nine samples around a tanh", [9, 5, 6, 7], Unary::Tanh),
        between("3x3 of sixteen samples around a relu", [16, 8, 6, 6], Unary::Relu),
        columns(conv("1x1 by columns", [3, 40, 5, 7], [24, 40, 1, 1], BIAS, at(1, 0))),
        columns(conv("1x1 by columns, whole tiles", [2, 64, 8, 8], [64, 64, 1, 1], BIAS, at(1, 0))),
        columns(conv("1x1 by columns of one pixel", [9, 33, 1, 1], [17, 33, 1, 1], BIAS, at(1, 0))),
        columns(conv("1x1 by columns, stride 2", [2, 24, 9, 8], [40, 24, 1, 1], BIAS, at(2, 0))),
        columns(conv("1x1 by columns, stride 2, in vectors", [3, 16, 16, 16], [8, 16, 1, 1], PLAIN, at(2, 0))),
        columns(conv("3x3 by columns", [2, 3, 13, 11], [5, 3, 3, 3], BIAS, at(1, 1))),
        columns(conv("3x3 by columns, 2x2 planes", [5, 72, 2, 2], [70, 72, 3, 3], BIAS, at(1, 1))),
        columns(conv("3x3 by columns, stride 2", [2, 8, 16, 16], [130, 8, 3, 3], BIAS, at(2, 1))),
        columns(conv("3x3 by columns, stride 2, odd", [3, 16, 15, 13], [33, 16, 3, 3], BIAS, at(2, 1))),
        columns(conv("3x3 by columns, in ranges of samples", [11, 128, 32, 36], [16, 128, 3, 3], BIAS, at(1, 1))),
        columns(conv("5x5 by columns, padding 2", [2, 6, 14, 12], [16, 6, 5, 5], BIAS, at(1, 2))),
        columns(conv("7x7 by columns, stride 2", [1, 3, 37, 40], [64, 3, 7, 7], BIAS, at(2, 3))),
        columns(conv("11x11 by columns, stride 4", [2, 3, 63, 64], [20, 3, 11, 11], PLAIN, at(4, 2))),
        columns(conv("3x2 by columns, stride 3x2", [2, 8, 19, 20], [51, 8, 3, 2], PLAIN, Conv2d { stride: [3, 2], padding: [1, 0], ..at(1, 0) })),
        columns(conv("3x3 by columns, dilation 2 and 3", [2, 16, 13, 15], [19, 16, 3, 3], BIAS, Conv2d { dilation: [2, 3], ..at(1, 2) })),
        columns(conv("2x2 by columns, stride 3", [4, 10, 7, 8], [12, 10, 2, 2], BIAS, at(3, 0))),
        columns(between("3x3 by columns around a relu", [33, 32, 6, 5], Unary::Relu)),
        columns(between("3x3 by columns around a tanh", [3, 36, 7, 10], Unary::Tanh)),
        columns(pointwise("1x1 by columns around a relu", [4, 32, 4, 8], Unary::Relu)),
        columns(pointwise("1x1 by columns around a gelu", [3, 40, 5, 3], Unary::Gelu)),
        tiled(2, conv("3x3 F(2x2)", [5, 32, 8, 8], [32, 32, 3, 3], BIAS, at(1, 1))),
        tiled(2, conv("3x3 F(2x2) of its own size", [5, 3, 3, 3], [7, 3, 3, 3], BIAS, at(1, 0))),
        tiled(2, conv("3x3 F(2x2) odd", [3, 37, 5, 7], [70, 37, 3, 3], PLAIN, at(1, 1))),
        tiled(2, conv("3x3 F(2x2) padding 0", [2, 5, 9, 6], [33, 5, 3, 3], BIAS, at(1, 0))),
        tiled(2, conv("3x3 F(2x2) padding 2", [2, 66, 4, 3], [4, 66, 3, 3], BIAS, at(1, 2))),
        tiled(2, conv("3x3 F(2x2) of 2x2 pixels", [33, 64, 2, 2], [128, 64, 3, 3], BIAS, at(1, 1))),
        tiled(2, conv("3x3 F(2x2) of one pixel", [3, 7, 1, 1], [5, 7, 3, 3], BIAS, at(1, 1))),
        tiled(4, conv("3x3 F(4x4)", [3, 64, 16, 16], [96, 64, 3, 3], BIAS, at(1, 1))),
        tiled(4, conv("3x3 F(4x4) of its own size", [5, 3, 3, 3], [7, 3, 3, 3], BIAS, at(1, 0))),
        tiled(4, conv("3x3 F(4x4) odd", [3, 37, 9, 11], [70, 37, 3, 3], BIAS, at(1, 1))),
        tiled(4, conv("3x3 F(4x4) two columns over", [2, 32, 14, 14], [40, 32, 3, 3], PLAIN, at(1, 1))),
        tiled(4, conv("3x3 F(4x4) padding 0", [2, 6, 14, 16], [33, 6, 3, 3], BIAS, at(1, 0))),
        tiled(4, conv("3x3 F(4x4) padding 2", [1, 66, 8, 9], [5, 66, 3, 3], BIAS, at(1, 2))),
        tiled(4, conv("3x3 F(4x4) padding 5x3", [1, 3, 8, 9], [5, 3, 3, 3], BIAS, Conv2d { padding: [5, 3], ..at(1, 0) })),
        tiled(4, conv("3x3 F(4x4) of one pixel", [3, 7, 1, 1], [5, 7, 3, 3], BIAS, at(1, 1))),
        tiled(4, conv("3x3 F(4x4) in ranges of tiles", [4, 32, 45, 44], [33, 32, 3, 3], BIAS, at(1, 1))),
        tiled(4, conv("3x3 F(4x4) in ranges of samples", [34, 64, 62, 64], [2, 64, 3, 3], BIAS, at(1, 1))),
        tiled(4, conv("3x3 F(4x4) in ranges of channels", [1, 260, 4, 4], [320, 260, 3, 3], BIAS, at(1, 1))),
        tiled(2, between("3x3 F(2x2) around a relu", [33, 32, 6, 5], Unary::Relu)),
        tiled(4, between("3x3 F(4x4) around a relu", [9, 32, 13, 8], Unary::Relu)),
        tiled(4, between("3x3 F(4x4) around a tanh", [3, 36, 7, 10], Unary::Tanh)),
        conv("3x3 in the fewest multiplications, large images", [2, 64, 24, 25], [64, 64, 3, 3], BIAS, at(1, 1)),
        conv("3x3 in the fewest multiplications, small images", [32, 128, 2, 2], [128, 128, 3, 3], BIAS, at(1, 1)),
        // Tiles of GPUs: all sizes of the forward pass, all sizes of the weight gradient, and what windows do to the smallest.
        conv("3x3 in tiles of 128", [1, 2, 95, 96], [100, 2, 3, 3], BIAS, at(1, 1)),
        conv("3x3 in tiles of 64x128", [3, 2, 95, 97], [40, 2, 3, 3], PLAIN, at(1, 1)),
        conv("1x1 in tiles of 64", [1, 17, 13, 77], [770, 17, 1, 1], BIAS, at(1, 0)),
        conv("1x1 weight gradient in tiles of 128", [1, 1100, 1, 17], [1200, 1100, 1, 1], BIAS, at(1, 0)),
        conv("3x3 weight gradient in tiles of 64x128", [1, 2900, 3, 6], [40, 2900, 3, 3], BIAS, at(1, 1)),
        conv("1x1 weight gradient in tiles of 64", [1, 1001, 1, 19], [770, 1001, 1, 1], BIAS, at(1, 0)),
        conv("3x3 in tiles, stride 2", [2, 20, 15, 14], [24, 20, 3, 3], BIAS, at(2, 1)),
        conv("3x3 in tiles, dilation 2 and 3", [2, 17, 13, 15], [19, 17, 3, 3], BIAS, Conv2d { dilation: [2, 3], ..at(1, 2) }),
        conv("3x3 in tiles, groups 2", [2, 36, 7, 9], [40, 18, 3, 3], BIAS, groups(2, at(1, 1))),
        conv("5x3 in tiles, stride 2x3, groups 3", [1, 48, 19, 20], [51, 16, 5, 3], PLAIN, groups(3, Conv2d { stride: [2, 3], padding: [2, 0], ..at(1, 0) })),
        conv("11x11 in tiles, stride 4", [1, 3, 63, 63], [33, 3, 11, 11], BIAS, at(4, 2)),
        conv("3x3 weight gradient over 203125 terms", [13, 1, 125, 125], [2, 1, 3, 3], BIAS, at(1, 1)),
        conv("1x1 weight gradient over 200704 terms", [4, 3, 224, 224], [2, 3, 1, 1], BIAS, at(1, 0)),
    ]
}

fn conv(name: &str, x: [usize; 4], weight: [usize; 4], bias: bool, conv: Conv2d) -> Result<Case> {
    case(format!("conv2d {name}"), |g| {
        let (x, w) = (g.tensor(&x)?, g.tensor(&weight)?);
        let bias = if bias { Some(g.tensor(&weight[..1])?) } else { None };
        g.conv2d(x, w, bias, conv)
    })
}

/// Two convolutions with an activation between them, whose result masks the gradient that the second passes on and, where
/// channels are whole, gives it its place.
fn between(name: &str, x: [usize; 4], activation: Unary) -> Result<Case> {
    around(name, x, 3, activation)
}

/// Likewise with filters of a single tap.
fn pointwise(name: &str, x: [usize; 4], activation: Unary) -> Result<Case> {
    around(name, x, 1, activation)
}

fn around(name: &str, x: [usize; 4], taps: usize, activation: Unary) -> Result<Case> {
    case(format!("conv2d {name}"), |g| {
        let weight = [x[1], x[1], taps, taps];
        let (x, first, second) = (g.tensor(&x)?, g.tensor(&weight)?, g.tensor(&weight)?);
        let bias = g.tensor(&weight[..1])?;
        let y = g.conv2d(x, first, Some(bias), at(1, taps / 2))?;
        let y = g.unary(y, activation)?;
        g.conv2d(y, second, None, at(1, taps / 2))
    })
}

/// By products of columns, in all passes in which they can be used.
fn columns(case: Result<Case>) -> Result<Case> {
    case.map(|case| Case { algorithm: Some(Algorithm::Columns), ..case })
}

/// By Winograd's algorithm with tiles of `m` by `m` results, in all passes.
fn tiled(m: usize, case: Result<Case>) -> Result<Case> {
    case.map(|case| Case { algorithm: Some(Algorithm::Winograd(m)), ..case })
}

fn at(stride: usize, padding: usize) -> Conv2d {
    Conv2d { stride: [stride; 2], padding: [padding; 2], ..Conv2d::default() }
}

fn groups(groups: usize, conv: Conv2d) -> Conv2d {
    Conv2d { groups, ..conv }
}
