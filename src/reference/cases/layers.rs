//! Operators in a row, as networks have them: activations and their gradients' masks fuse with their neighbours,
//! values are read twice, and a step begins at a data set and ends in a loss.

use super::{Case, Sketch, case};
use crate::Result;
use crate::graph::{Conv2d, DType, Gather, Pool2d, ResponseNorm, Unary, Value};

pub(super) fn list() -> [Result<Case>; 19] {
    [
        case("conv2d + relu", |g| {
            let x = g.tensor(&[3, 5, 7, 6])?;
            conv_layer(g, x, 7, 3, Unary::Relu)
        }),
        case("conv2d + tanh + avg_pool2d", |g| {
            let x = g.tensor(&[2, 1, 12, 12])?;
            let y = conv_layer(g, x, 6, 5, Unary::Tanh)?;
            g.pool2d(y, Pool2d::average([2, 2]))
        }),
        case("conv2d + relu + max_pool2d, twice", |g| {
            let mut x = g.tensor(&[2, 3, 14, 11])?;
            for channels in [5, 6] {
                x = conv_layer(g, x, channels, 3, Unary::Relu)?;
                x = g.pool2d(x, Pool2d { stride: [2, 2], ..Pool2d::max([3, 3]) })?;
            }
            Ok(x)
        }),
        case("conv2d + sigmoid + conv2d + relu", |g| {
            let x = g.tensor(&[1, 4, 9, 9])?;
            let x = conv_layer(g, x, 5, 3, Unary::Sigmoid)?;
            conv_layer(g, x, 3, 1, Unary::Relu)
        }),
        case("conv2d + tanh + conv2d + relu, planes of 2x2", |g| {
            let x = g.tensor(&[19, 5, 2, 2])?;
            let x = conv_layer(g, x, 9, 3, Unary::Tanh)?;
            conv_layer(g, x, 7, 3, Unary::Relu)
        }),
        case("conv2d + relu, twice, planes of 2x2 in whole tiles", |g| {
            let x = g.tensor(&[32, 16, 2, 2])?;
            let x = conv_layer(g, x, 8, 3, Unary::Relu)?;
            conv_layer(g, x, 16, 3, Unary::Relu)
        }),
        // Channels enough for tiles of GPUs.
        case("conv2d + relu + conv2d + leaky_relu, in tiles", |g| {
            let x = g.tensor(&[2, 17, 9, 8])?;
            let x = conv_layer(g, x, 20, 3, Unary::Relu)?;
            conv_layer(g, x, 33, 1, Unary::LeakyRelu(0.1))
        }),
        case("linear + sigmoid + linear + relu, in tiles", |g| {
            let x = g.tensor(&[20, 40])?;
            let x = linear_layer(g, x, 49)?;
            let x = g.sigmoid(x)?;
            let x = linear_layer(g, x, 19)?;
            g.relu(x)
        }),
        case("linear + relu, three times", |g| {
            let mut x = g.tensor(&[5, 13])?;
            for outputs in [17, 65, 3] {
                x = linear_layer(g, x, outputs)?;
                x = g.relu(x)?;
            }
            Ok(x)
        }),
        case("large linear + relu + large linear", |g| {
            let x = g.tensor(&[37, 20])?;
            let x = linear_layer(g, x, 1252)?;
            let x = g.relu(x)?;
            linear_layer(g, x, 1492)
        }),
        case("linear + tanh + linear + cross_entropy", |g| {
            let (x, labels) = (g.tensor(&[7, 30])?, g.input("labels", &[7], DType::U32)?);
            let x = linear_layer(g, x, 11)?;
            let x = g.tanh(x)?;
            let logits = linear_layer(g, x, 10)?;
            Ok(g.cross_entropy(logits, labels)?.0)
        }),
        case("conv2d + gelu + conv2d + silu", |g| {
            let x = g.tensor(&[2, 3, 8, 7])?;
            let x = conv_layer(g, x, 5, 3, Unary::Gelu)?;
            conv_layer(g, x, 4, 3, Unary::Silu)
        }),
        case("linear + hardswish + linear + leaky_relu + linear + gelu_tanh", |g| {
            let mut x = g.tensor(&[5, 13])?;
            for (outputs, f) in [(17, Unary::HardSwish), (33, Unary::LeakyRelu(0.1)), (3, Unary::GeluTanh)] {
                x = linear_layer(g, x, outputs)?;
                x = g.unary(x, f)?;
            }
            Ok(x)
        }),
        case("max_pool2d after relu6, pad, flatten, linear", |g| {
            let x = g.tensor(&[2, 3, 6, 6])?;
            let x = conv_layer(g, x, 4, 3, Unary::Relu6)?;
            let x = g.pool2d(x, Pool2d::max([2, 2]))?;
            let x = g.unary(x, Unary::Silu)?;
            let x = g.flatten(x, 1)?;
            linear_layer(g, x, 7)
        }),
        case("conv2d + relu + response_norm + max_pool2d", |g| {
            let x = g.tensor(&[2, 3, 11, 11])?;
            let x = conv_layer(g, x, 16, 3, Unary::Relu)?;
            let x = g.response_norm(x, ResponseNorm { alpha: 1.0, ..ResponseNorm::new(5) })?;
            g.pool2d(x, Pool2d { stride: [2, 2], ..Pool2d::max([3, 3]) })
        }),
        case("residual block", |g| {
            let x = g.tensor(&[2, 4, 6, 5])?;
            let y = conv_layer(g, x, 4, 3, Unary::Relu)?;
            let y = conv_layer(g, y, 4, 3, Unary::Scale(0.5))?;
            let y = g.add(x, y)?;
            g.relu(y)
        }),
        case("one value with many readers", |g| {
            let x = g.tensor(&[3, 4])?;
            let (a, b) = (g.tanh(x)?, g.sigmoid(x)?);
            let product = g.mul(a, x)?;
            let square = g.mul(product, product)?;
            let sum = g.add(square, b)?;
            g.sub(sum, x)
        }),
        case("global average + linear + mse_loss", |g| {
            let (x, target) = (g.tensor(&[3, 5, 4, 4])?, g.tensor(&[3, 2])?);
            let x = conv_layer(g, x, 6, 3, Unary::Relu)?;
            let x = g.mean(x, &[2, 3], false)?;
            let y = linear_layer(g, x, 2)?;
            g.mse_loss(y, target)
        }),
        case("a step of a small network", |g| {
            let images = g.input("images", &[19, 1, 12, 12], DType::U8)?;
            let (labels, order) = (g.input("labels", &[19], DType::U32)?, g.input("order", &[19], DType::U32)?);
            let gather = Gather::plain(5, &[0.13], &[0.3]);
            let (x, labels) = g.gather(images, labels, order, gather)?;
            let x = conv_layer(g, x, 4, 5, Unary::Relu)?;
            let x = g.pool2d(x, Pool2d::max([2, 2]))?;
            let x = g.flatten(x, 1)?;
            let x = linear_layer(g, x, 10)?;
            let x = g.relu(x)?;
            let logits = linear_layer(g, x, 10)?;
            Ok(g.cross_entropy(logits, labels)?.0)
        }),
    ]
}

/// A convolution that keeps the size (odd kernels), with bias and activation.
fn conv_layer(g: &mut Sketch, x: Value, channels: usize, kernel: usize, activation: Unary) -> Result<Value> {
    let inputs = g.shape(x)[1];
    let (weight, bias) = (g.tensor(&[channels, inputs, kernel, kernel])?, g.tensor(&[channels])?);
    let conv = Conv2d { padding: [kernel / 2; 2], ..Conv2d::default() };
    let y = g.conv2d(x, weight, Some(bias), conv)?;
    g.unary(y, activation)
}

fn linear_layer(g: &mut Sketch, x: Value, outputs: usize) -> Result<Value> {
    let inputs = g.shape(x)[1];
    let (weight, bias) = (g.tensor(&[outputs, inputs])?, g.tensor(&[outputs])?);
    g.linear(x, weight, Some(bias))
}
