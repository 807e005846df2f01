//! Axes continued beyond their ends on `edge_pad`, and the gradient on `edge_pad_backward`.

use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{EdgePad, Node, PadMode, around};
use crate::plan::{Lowering, Operand};

pub fn forward(ctx: &mut Lowering, node: &Node, pad: &EdgePad) -> Result<()> {
    let kernel = match pad.mode {
        PadMode::Reflect => {
            Kernel::new("edge_pad").define("source", "return min(abs(p), 2 * (dims.length - 1) - abs(p));")
        }
        PadMode::Replicate => Kernel::new("edge_pad"),
    };
    let (x, y) = (ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]));
    launch(ctx, node, pad, kernel, [&x, &y])
}

pub fn backward(ctx: &mut Lowering, node: &Node, pad: &EdgePad) -> Result<()> {
    let kernel = Kernel::new("edge_pad_backward").define("REFLECT", pad.mode == PadMode::Reflect);
    let (dy, dx) = (ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]));
    launch(ctx, node, pad, kernel, [&dx, &dy])
}

/// Each invocation writes one element of the result.
fn launch(ctx: &mut Lowering, node: &Node, pad: &EdgePad, kernel: Kernel, [x, y]: [&[usize]; 2]) -> Result<()> {
    let [_, inner] = around(x, pad.axis);
    let count: usize = ctx.shape(node.outputs[0]).iter().product();
    let dims = [x[pad.axis], y[pad.axis], inner, pad.amounts[0], count].map(|value| Dim::I(value as i32));
    let operands = [node.inputs[0], node.outputs[0]].map(Operand::Value);
    let note = format!("{x:?}, axis {} by {:?}", pad.axis, pad.amounts);
    ctx.launch(kernel, &dims, &operands, count as u64)?.cost(0, note);
    Ok(())
}
