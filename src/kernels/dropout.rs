//! Dropout and its gradient on `dropout`.

use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Dropout, Node};
use crate::plan::{Lowering, Operand};
use crate::reference::philox::{key, purpose};

pub fn lower(ctx: &mut Lowering, node: &Node, dropout: &Dropout) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let count: usize = shape.iter().product();
    let vectors = count.div_ceil(4);
    // Ranges of rows begin at whole vectors.
    let [low, high] = key(dropout.seed);
    let dims = [
        Dim::U(vectors as u32),
        Dim::U((ctx.first_row() * (count / shape[0]) / 4) as u32),
        Dim::F(1.0 / (1.0 - dropout.rate)),
        Dim::U(dropout.threshold()),
        Dim::U(low),
        Dim::U(high),
        Dim::U(purpose::DROPOUT + dropout.layer),
    ];
    let operands = [node.inputs[0], node.outputs[0]].map(Operand::Value);
    let launch = ctx.launch(Kernel::new("dropout"), &dims, &operands, vectors as u64)?;
    launch.cost(count as u64, format!("{shape:?}, rate {}", dropout.rate));
    Ok(())
}
