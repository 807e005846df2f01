//! Functions of elements and pairs, repetition and reshaping.

use super::{Case, case};
use crate::Result;
use crate::graph::{Binary, Op, Unary};

pub(super) fn list() -> Vec<Result<Case>> {
    let functions = [
        Unary::Relu,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Scale(-0.3),
        Unary::LeakyRelu(0.01),
        Unary::LeakyRelu(-0.5),
        Unary::Relu6,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Silu,
        Unary::HardSwish,
    ];
    let functions =
        functions.into_iter().flat_map(|f| [unary(f, &[1]), unary(f, &[3, 5, 7]), unary(f, &[2, 1031]), wide(f)]);
    let binary = [Binary::Add, Binary::Sub, Binary::Mul].into_iter().flat_map(|f| PAIRS.map(|(a, b)| binary(f, a, b)));
    let broadcast = REPEATS.map(|(from, to)| {
        case(format!("broadcast {from:?} to {to:?}"), |g| {
            let x = g.tensor(from)?;
            g.broadcast(x, to)
        })
    });
    // Where results are stored in 16 bits, two thirds of these are infinite, and must not seem to be anything else. It comes
    // first: in 16 bits the self test runs a kernel once.
    let overflow = std::iter::once(unary(Unary::Scale(2e5), &[7, 61]));
    overflow.chain(functions).chain(binary).chain(broadcast).chain(others()).collect()
}

/// Shapes that meet in a binary operator.
const PAIRS: [(&[usize], &[usize]); 13] = [
    (&[], &[]),
    (&[1], &[1]),
    (&[7], &[7]),
    (&[5, 13], &[5, 13]),
    (&[4, 6], &[6]),
    (&[5], &[3, 5]),
    (&[4, 1], &[1, 5]),
    (&[3, 4], &[]),
    (&[2, 3, 4], &[3, 1]),
    (&[3, 1, 5], &[7, 1]),
    (&[2, 13, 5, 3], &[1, 13, 1, 1]),
    (&[1, 257], &[65, 1]),
    (&[2, 1, 3, 1, 2, 1], &[1, 5, 1, 2, 1, 3]),
];

const REPEATS: [(&[usize], &[usize]); 5] =
    [(&[], &[3]), (&[1], &[67]), (&[5, 1], &[5, 9]), (&[7], &[3, 7]), (&[2, 1, 3, 1], &[4, 2, 5, 3, 7])];

fn others() -> [Result<Case>; 3] {
    [
        // More than 65,535 workgroups of 64 invocations.
        unary(Unary::Relu, &[4_200_001]),
        case("reshape [3, 4, 5] to [5, 12]", |g| {
            let x = g.tensor(&[3, 4, 5])?;
            let y = g.reshape(x, &[5, 12])?;
            g.tanh(y)
        }),
        case("flatten [7, 3, 2, 5]", |g| {
            let x = g.tensor(&[7, 3, 2, 5])?;
            let y = g.flatten(x, 1)?;
            g.sigmoid(y)
        }),
    ]
}

fn unary(function: Unary, shape: &[usize]) -> Result<Case> {
    let op = Op::Unary(function);
    case(format!("{} {shape:?}{}", op.name(), slope(function)), |g| {
        let x = g.tensor(shape)?;
        g.add_one(op, &[x])
    })
}

/// Operands far outside of where a function bends.
fn wide(function: Unary) -> Result<Case> {
    case(format!("{} wide{}", Op::Unary(function).name(), slope(function)), |g| {
        let x = g.tensor(&[3, 331])?;
        let x = g.unary(x, Unary::Scale(20.0))?;
        g.unary(x, function)
    })
}

fn slope(function: Unary) -> String {
    if let Unary::LeakyRelu(slope) = function { format!(" slope {slope}") } else { String::new() }
}

fn binary(function: Binary, a: &[usize], b: &[usize]) -> Result<Case> {
    let op = Op::Binary(function);
    case(format!("{} {a:?} {b:?}", op.name()), |g| {
        let inputs = [g.tensor(a)?, g.tensor(b)?];
        g.add_one(op, &inputs)
    })
}
