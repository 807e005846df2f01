//! Normalisations over channels and over groups.

use super::{Case, case};
use crate::Result;
use crate::graph::ResponseNorm;

pub(super) fn list() -> Vec<Result<Case>> {
    RESPONSES.map(|(shape, norm)| response(shape, norm)).into()
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
