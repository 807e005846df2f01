//! Normalisations over channels and over groups.

use super::{Case, case};
use crate::Result;
use crate::graph::{Norm, NormOver, Op, ResponseNorm};

pub(super) fn list() -> Vec<Result<Case>> {
    let responses = RESPONSES.map(|(shape, norm)| response(shape, norm));
    let norms = NORMS.map(|(shape, over, weights)| norm(shape, over, weights));
    responses.into_iter().chain(norms).chain([activated()]).collect()
}

const fn over(size: usize, alpha: f32, beta: f32, k: f32) -> ResponseNorm {
    ResponseNorm { size, alpha, beta, k }
}

/// Windows of one channel, even, wider than the tensor; channels that are not a multiple of eight; each kind of power.
const RESPONSES: [(&[usize], ResponseNorm); 10] = [
    (&[1, 1, 1], over(1, 1e-4, 0.75, 1.0)),
    (&[2, 16, 7, 5], over(5, 0.5, 0.75, 2.0)),
    (&[2, 24, 4, 3], over(5, 5e-4, 0.75, 2.0)),
    (&[1, 7, 3, 3], over(3, 2.0, 0.5, 1.0)),
    (&[3, 6, 5], over(4, 1.0, 1.0, 0.5)),
    (&[2, 4, 2, 2], over(2, 3.0, 0.3, 1.5)),
    (&[1, 3, 13], over(9, 1.0, 0.75, 1.0)),
    (&[2, 8, 6], over(32, 4.0, 2.5, 1.0)),
    (&[5, 13], over(5, 1.0, 0.75, 1.0)),
    // More than 65,535 workgroups of 64 invocations.
    (&[1, 1, 4_200_001], over(3, 1.0, 0.75, 1.0)),
];

fn response(shape: &[usize], norm: ResponseNorm) -> Result<Case> {
    case(format!("response_norm {shape:?} over {} beta {}", norm.size, norm.beta), |g| {
        let x = g.tensor(shape)?;
        g.response_norm(x, norm)
    })
}

/// Shapes, what makes a row, and how many of weight and bias there are. Rows of one element, of a prime number, of so many
/// that they are cut twice; more than 65,535 workgroups of 64 invocations.
const NORMS: [(&[usize], NormOver, usize); 17] = [
    (&[1, 1], NormOver::LastAxes(1), 2),
    (&[7], NormOver::LastAxes(1), 2),
    (&[5, 13], NormOver::LastAxes(1), 2),
    (&[5, 13], NormOver::LastAxes(1), 0),
    (&[3, 5, 7], NormOver::LastAxes(2), 1),
    (&[2, 3, 4, 5], NormOver::LastAxes(3), 2),
    (&[257, 3], NormOver::LastAxes(1), 2),
    (&[2, 2, 4099], NormOver::LastAxes(2), 2),
    (&[1, 1_100_003], NormOver::LastAxes(1), 1),
    (&[2, 4, 3, 5], NormOver::Groups(1), 2),
    (&[2, 6, 5, 7], NormOver::Groups(3), 2),
    (&[3, 6, 5, 7], NormOver::Groups(6), 1),
    (&[3, 8, 2], NormOver::Groups(4), 0),
    (&[13, 4], NormOver::Groups(2), 2),
    (&[2, 4, 37, 41], NormOver::Groups(2), 2),
    (&[300, 6, 3, 3], NormOver::Groups(2), 2),
    (&[3, 2, 700_001], NormOver::Groups(1), 2),
];

fn norm(shape: &[usize], over: NormOver, weights: usize) -> Result<Case> {
    let norm = Norm { over, eps: 1e-5 };
    case(format!("{} {shape:?} {over:?} with {weights} of weight and bias", Op::Norm(norm).name()), |g| {
        let mut inputs = vec![g.tensor(shape)?];
        for _ in 0..weights {
            inputs.push(g.tensor(&norm.weight_shape(shape))?);
        }
        Ok(g.add_node(Op::Norm(norm), &inputs)?[0])
    })
}

/// Activations before and after, which fuse.
fn activated() -> Result<Case> {
    case("tanh + group_norm + relu", |g| {
        let (x, weight, bias) = (g.tensor(&[2, 6, 5, 3])?, g.tensor(&[6])?, g.tensor(&[6])?);
        let x = g.tanh(x)?;
        let y = g.group_norm(x, 3, Some(weight), Some(bias), 1e-3)?;
        g.relu(y)
    })
}
