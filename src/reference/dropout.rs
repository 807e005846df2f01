//! Dropout in the first step, see [`Dropout`].

use super::Array;
use super::philox::{key, philox, purpose};
use crate::graph::Dropout;

pub(super) fn dropout(op: &Dropout, x: &Array) -> Array {
    let kept = |i: usize| {
        let counter = [i as u32 / 4, 0, 0, purpose::DROPOUT + op.layer];
        philox(counter, key(op.seed))[i % 4] >= op.threshold()
    };
    let scale = 1.0 / (1.0 - f64::from(op.rate));
    let mut i = 0;
    x.map(|x| {
        i += 1;
        if kept(i - 1) { x * scale } else { 0.0 }
    })
}
