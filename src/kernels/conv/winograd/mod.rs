//! Convolutions with 3x3 filters in fewer multiplications (Winograd's minimal algorithms), on the `winograd` kernels.
//!
//! ```text
//! forward, backward data   filter: u from w      tiles: v from x            multiply: p = v u    output: y from p
//! backward weights         tiles: z from dy      tiles: v from x            multiply: p = z v    weight: dw from p
//! ```
//!
//! F(4x4) spends 36 multiplications on 16 results where the definition asks for 144, F(2x2) 16 on 4 for 36. Between the
//! steps numbers lie in scratch memory, 2.25 or 4 times what they come from. So tiles are worked on in ranges that stay
//! within a few MiB, and output channels likewise. That is for CPU drivers with lanes; `portable` is for all others.

mod choose;
mod launches;
mod matrices;
mod passes;
mod portable;

pub use choose::{Winograd, candidates};

use super::choose::{Pass, Problem};

/// A 3x3 convolution with stride 1, as far as its extents go.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Samples of the whole batch: what is chosen does not depend on those at hand.
    pub n: usize,
    /// Channels that are summed over, or those of the operand where the gradient by the weights is computed.
    pub inputs: usize,
    pub input: [usize; 2],
    pub outputs: usize,
    pub output: [usize; 2],
    /// Of the input; may be negative in backward passes.
    pub padding: [i64; 2],
}

impl Shape {
    /// What Winograd's algorithms compute for a pass, if its filters are theirs. The gradient by the input is a convolution of
    /// the other gradient with the flipped filters.
    pub fn of(problem: &Problem) -> Option<Self> {
        let Problem { pass, conv, x, w, y } = problem;
        let theirs = conv.stride == [1; 2] && conv.dilation == [1; 2] && conv.groups == 1 && w[2..] == [3, 3];
        let (from, to, padding) = match pass {
            Pass::BackwardData => (y, x, conv.padding.map(|padding| 2 - padding as i64)),
            _ => (x, y, conv.padding.map(|padding| padding as i64)),
        };
        theirs.then(|| Self {
            n: x[0],
            inputs: from[1],
            input: [from[2], from[3]],
            outputs: to[1],
            output: [to[2], to[3]],
            padding,
        })
    }

    /// Two operations for each product that the definition sums, for so many samples.
    pub fn flops(&self, n: usize) -> u64 {
        2 * [n, self.inputs, self.outputs, self.output[0], self.output[1], 9]
            .map(|value| value as u64)
            .iter()
            .product::<u64>()
    }
}
