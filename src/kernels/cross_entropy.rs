//! Cross-entropy on `cross_entropy` and `loss_sum`.

use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{CrossEntropy, Node};
use crate::plan::{Lowering, Operand};

pub fn forward(ctx: &mut Lowering, node: &Node, loss: &CrossEntropy) -> Result<()> {
    let n = ctx.shape(node.inputs[0])[0];
    let rows = ctx.temporary(8 * n as u64);
    let grad = node.outputs.get(2).map_or(Operand::Null, |&grad| Operand::Value(grad));
    per_row(ctx, node, Operand::Null, grad, rows, loss.fused_grad.unwrap_or(0.0))?;
    let operands = [rows, Operand::Value(node.outputs[0]), Operand::Value(node.outputs[1]), Operand::Records];
    let launch = ctx.launch(Kernel::new("loss_sum"), &[Dim::U(n as u32)], &operands, 64)?;
    launch.single_workgroup();
    launch.cost(2 * n as u64, format!("{n} rows"));
    Ok(())
}

pub fn backward(ctx: &mut Lowering, node: &Node) -> Result<()> {
    per_row(ctx, node, Operand::Value(node.inputs[2]), Operand::Value(node.outputs[0]), Operand::Null, 1.0)
}

fn per_row(ctx: &mut Lowering, node: &Node, dloss: Operand, grad: Operand, rows: Operand, scale: f32) -> Result<()> {
    let shape = ctx.shape(node.inputs[0]);
    let given = |operand| Dim::U((operand != Operand::Null).into());
    let dims =
        [Dim::U(shape[0] as u32), Dim::U(shape[1] as u32), Dim::F(scale), given(dloss), given(rows), given(grad)];
    let operands = [Operand::Value(node.inputs[0]), Operand::Value(node.inputs[1]), dloss, grad, rows];
    let launch = ctx.launch(Kernel::new("cross_entropy"), &dims, &operands, shape[0] as u64)?;
    launch.cost(6 * (shape[0] * shape[1]) as u64, format!("logits {shape:?}"));
    Ok(())
}
