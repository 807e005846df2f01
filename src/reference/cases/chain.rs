//! Functions of elements that follow each other: what plans put into one kernel.

use super::{Case, Sketch, case};
use crate::Result;
use crate::graph::{Unary, Value};

pub(super) fn list() -> Vec<Result<Case>> {
    let swish = [&[2, 5, 8, 8][..], &[3, 7, 11], &[1]].map(|shape| {
        case(format!("chain swish {shape:?}"), |g| {
            let x = g.tensor(shape)?;
            let gate = g.sigmoid(x)?;
            g.mul(x, gate)
        })
    });
    let functions = [
        Unary::Relu,
        Unary::Tanh,
        Unary::Scale(0.3),
        Unary::LeakyRelu(0.1),
        Unary::LeakyRelu(-0.5),
        Unary::Relu6,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Silu,
        Unary::HardSwish,
    ];
    let functions = functions.into_iter().map(|function| {
        case(format!("chain {function:?} between products"), |g| {
            let [a, b] = [g.tensor(&[3, 23])?, g.tensor(&[3, 23])?];
            let x = g.mul(a, b)?;
            let y = g.unary(x, function)?;
            g.mul(y, b)
        })
    });
    // Repeated: in whole vectors, number by number, along leading axes, along trailing ones, one number.
    let addends = [
        ([2, 3, 4, 8], &[3, 1, 1][..]),
        ([2, 3, 5, 7], &[3, 1, 1]),
        ([2, 3, 5, 7], &[7]),
        ([2, 3, 1, 10], &[2, 1, 1, 1]),
        ([2, 3, 1, 10], &[]),
        ([2, 3, 4, 6], &[3, 4, 1]),
        // Along two stretches of axes: not in the same kernel.
        ([2, 3, 4, 6], &[3, 1, 6]),
    ];
    let addends = addends.map(|(shape, addend)| {
        case(format!("chain {shape:?} a b + {addend:?}"), |g| {
            let [a, b, c] = [g.tensor(&shape)?, g.tensor(&shape)?, g.tensor(addend)?];
            let product = g.mul(a, b)?;
            let sum = g.add(product, c)?;
            g.tanh(sum)
        })
    });
    swish.into_iter().chain(functions).chain(addends).chain(others()).collect()
}

fn others() -> [Result<Case>; 7] {
    [
        case("chain gelu [4, 37]", |g| gelu(g, &[4, 37])),
        case("chain gelu [4, 40]", |g| gelu(g, &[4, 40])),
        case("chain squared error", |g| {
            let [a, b] = [g.tensor(&[5, 21])?, g.tensor(&[5, 21])?];
            let difference = g.sub(a, b)?;
            let square = g.mul(difference, difference)?;
            g.mean(square, &[0, 1], false)
        }),
        // The gradient of the relu is an epilogue of a sum.
        case("chain two readers of a relu", |g| {
            let [x, a, b] = [g.tensor(&[6, 10])?, g.tensor(&[6, 10])?, g.tensor(&[6, 10])?];
            let y = g.relu(x)?;
            let [left, right] = [g.mul(y, a)?, g.mul(y, b)?];
            g.sub(left, right)
        }),
        case("chain of more tensors than a kernel binds", |g| {
            let first = g.tensor(&[3, 16])?;
            (0..11).try_fold(first, |product, _| {
                let x = g.tensor(&[3, 16])?;
                g.mul(product, x)
            })
        }),
        case("chain of more functions than a kernel takes", |g| {
            let x = g.tensor(&[9])?;
            (0..40).try_fold(x, |y, step| g.unary(y, if step % 2 == 0 { Unary::Tanh } else { Unary::Scale(1.3) }))
        }),
        case("chain both operands repeated", |g| {
            let [a, b] = [g.tensor(&[5, 1])?, g.tensor(&[1, 12])?];
            let product = g.mul(a, b)?;
            g.sigmoid(product)
        }),
    ]
}

/// GELU's approximation, from sums and products with numbers.
fn gelu(g: &mut Sketch, shape: &[usize]) -> Result<Value> {
    let x = g.tensor(shape)?;
    let square = g.mul(x, x)?;
    let cube = g.mul(square, x)?;
    let cube = g.unary(cube, Unary::Scale(0.044715))?;
    let sum = g.add(x, cube)?;
    let sum = g.unary(sum, Unary::Scale(0.797_884_6))?;
    let tanh = g.tanh(sum)?;
    let one = g.constant(1.0, &[])?;
    let gate = g.add(tanh, one)?;
    let half = g.unary(x, Unary::Scale(0.5))?;
    g.mul(half, gate)
}
