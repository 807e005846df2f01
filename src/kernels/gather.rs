//! Batches of a resident data set on `gather`.

use super::{Dim, Kernel};
use crate::graph::{Gather, Node};
use crate::plan::{Lowering, Operand};
use crate::{Error, Result};

pub fn lower(ctx: &mut Lowering, node: &Node, gather: &Gather) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    if shape[1] > 4 {
        return Err(Error::shape(
            &*node.layer,
            format!("gather: images have at most 4 channels, these have {}", shape[1]),
        ));
    }
    let pixels: usize = shape[1..].iter().product();
    let count = shape[0] * pixels;
    let mut dims: Vec<Dim> =
        [shape[0], pixels, shape[2] * shape[3], count].into_iter().map(|value| Dim::U(value as u32)).collect();
    let padded = |numbers: &[f32], rest| {
        (0..4).map(|channel| Dim::F(numbers.get(channel).copied().unwrap_or(rest))).collect::<Vec<Dim>>()
    };
    dims.extend(padded(&gather.mean, 0.0));
    dims.extend(padded(&gather.std, 1.0));
    let operands: Vec<Operand> = node.inputs.iter().chain(&node.outputs).map(|&value| Operand::Value(value)).collect();
    let launch = ctx.launch(Kernel::new("gather"), &dims, &operands, count as u64)?;
    launch.cost(2 * count as u64, format!("{shape:?}"));
    Ok(())
}
