//! Softmax and log-softmax on `softmax` and `softmax_backward`.

use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Node, Softmax};
use crate::plan::{Lowering, Operand};

pub fn forward(ctx: &mut Lowering, node: &Node, softmax: &Softmax) -> Result<()> {
    lower(ctx, node, softmax, "softmax")
}

pub fn backward(ctx: &mut Lowering, node: &Node, softmax: &Softmax) -> Result<()> {
    lower(ctx, node, softmax, "softmax_backward")
}

fn lower(ctx: &mut Lowering, node: &Node, softmax: &Softmax, name: &'static str) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let count: usize = shape.iter().product();
    let length = shape[softmax.axis];
    let inner: usize = shape[softmax.axis + 1..].iter().product();
    let lines = count / length;
    let dims = [length as u32, inner as u32, softmax.log.into(), lines as u32].map(Dim::U);
    let operands: Vec<Operand> = node.inputs.iter().chain(&node.outputs).map(|&value| Operand::Value(value)).collect();
    let launch = ctx.launch(Kernel::new(name), &dims, &operands, lines as u64)?;
    launch.cost(5 * count as u64, format!("{shape:?} along axis {}", softmax.axis));
    Ok(())
}
