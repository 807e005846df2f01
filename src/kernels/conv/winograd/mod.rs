//! Convolutions with 3x3 filters in fewer multiplications (Winograd's minimal algorithms), on the `winograd` kernels.
//!
//! ```text
//! forward, backward data   filter: u from w      tiles: v from x            multiply: p = v u    output: y from p
//! backward weights         tiles: z from dy      tiles: v from x            multiply: p = z v    weight: dw from p
//! ```
//!
//! F(4x4) spends 36 multiplications on 16 results where the definition asks for 144, F(2x2) 16 on 4 for 36. Between the
//! steps numbers lie in scratch memory, 2.25 or 4 times what they come from. So tiles are worked on in ranges that stay
//! within a few MiB, and output channels likewise.

mod choose;
mod launches;
mod passes;

pub use choose::{Pass, Winograd, choose};

use crate::graph::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight};
use crate::plan::Lowering;

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
    /// What is asked where several algorithms can compute it.
    fn question(&self, pass: Pass) -> String {
        let pass = match pass {
            Pass::Forward => "forward",
            Pass::BackwardData => "backward data",
            Pass::BackwardWeight => "backward weight",
        };
        let Self { n, inputs, input: [h, w], outputs, output: [oh, ow], .. } = self;
        format!("conv 3x3 {pass} {n}x{inputs}x{h}x{w} {outputs}x{oh}x{ow}")
    }

    /// Two operations for each product that the definition sums, for so many samples.
    pub fn flops(&self, n: usize) -> u64 {
        2 * [n, self.inputs, self.outputs, self.output[0], self.output[1], 9]
            .map(|value| value as u64)
            .iter()
            .product::<u64>()
    }
}

fn fits(conv: &Conv2d, w: &[usize]) -> bool {
    conv.stride == [1; 2] && conv.dilation == [1; 2] && conv.groups == 1 && w[2..] == [3, 3]
}

/// The algorithm for a forward pass from `x` with `w` to `y`, if one of Winograd's is to be used.
pub fn forward(ctx: &Lowering, conv: &Conv2d, x: &[usize], w: &[usize], y: &[usize]) -> Option<Winograd> {
    let shape = Shape {
        n: x[0],
        inputs: x[1],
        input: [x[2], x[3]],
        outputs: y[1],
        output: [y[2], y[3]],
        padding: conv.padding.map(|padding| padding as i64),
    };
    fits(conv, w).then(|| choose(ctx, Pass::Forward, shape)).flatten()
}

/// Likewise for the gradient by the input, which is a convolution of the gradient with the flipped filters.
pub fn backward_data(ctx: &Lowering, back: &Conv2dBackwardData, dy: &[usize], w: &[usize]) -> Option<Winograd> {
    let shape = Shape {
        n: dy[0],
        inputs: dy[1],
        input: [dy[2], dy[3]],
        outputs: w[1],
        output: [back.input[2], back.input[3]],
        padding: back.conv.padding.map(|padding| 2 - padding as i64),
    };
    fits(&back.conv, w).then(|| choose(ctx, Pass::BackwardData, shape)).flatten()
}

/// Likewise for the gradient by the weights.
pub fn backward_weight(ctx: &Lowering, back: &Conv2dBackwardWeight, x: &[usize], dy: &[usize]) -> Option<Winograd> {
    let shape = Shape {
        n: x[0],
        inputs: x[1],
        input: [x[2], x[3]],
        outputs: dy[1],
        output: [dy[2], dy[3]],
        padding: back.conv.padding.map(|padding| padding as i64),
    };
    fits(&back.conv, &back.weight).then(|| choose(ctx, Pass::BackwardWeight, shape)).flatten()
}
