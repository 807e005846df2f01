//! Local response normalisation on `response_norm` and `response_norm_backward`.

use super::activation::with_mask;
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Node, ResponseNorm};
use crate::plan::{Lowering, Operand};

pub fn forward(ctx: &mut Lowering, node: &Node, norm: &ResponseNorm) -> Result<()> {
    let operands = [Operand::Value(node.inputs[0]), Operand::Value(node.outputs[0])];
    launch(ctx, node, norm, &operands, |kernel, channels| kernel.define("LOADED", channels + norm.size - 1))
}

pub fn backward(ctx: &mut Lowering, node: &Node, norm: &ResponseNorm) -> Result<()> {
    let mask = node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output));
    let [dy, x] = [node.inputs[0], node.inputs[1]].map(Operand::Value);
    launch(ctx, node, norm, &[dy, x, mask, Operand::Value(node.outputs[0])], |kernel, channels| {
        kernel
            .define("AFTER", (norm.size - 1) / 2)
            .define("TERMS", channels + norm.size - 1)
            .define("LOADED", channels + 2 * (norm.size - 1))
    })
}

fn launch(
    ctx: &mut Lowering,
    node: &Node,
    norm: &ResponseNorm,
    operands: &[Operand],
    configure: impl FnOnce(Kernel, usize) -> Kernel,
) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let [inner, channels] = [shape[2..].iter().product::<usize>(), shape[1]];
    let forward = operands.len() == 2;
    let vector = inner.is_multiple_of(4);
    let inner = if vector { inner / 4 } else { inner };
    let per_run = [8, 4, 2].into_iter().find(|&run| channels.is_multiple_of(run)).unwrap_or(1);
    let name = if forward { "response_norm" } else { "response_norm_backward" };
    let mut kernel =
        Kernel::new(name).define("SIZE", norm.size).define("BEFORE", norm.size / 2).define("CHANNELS", per_run);
    // The usual exponents are exact to a rounding or two; the general form is as good as the driver's exp2 and log2.
    let power = [
        (0.5, "return 1.0 / sqrt(d);"),
        (0.75, "let root = sqrt(d); return 1.0 / (root * sqrt(root));"),
        (1.0, "return 1.0 / d;"),
    ];
    if let Some((_, power)) = power.into_iter().find(|(beta, _)| *beta == norm.beta) {
        kernel = kernel.define("power", power);
    }
    if vector {
        kernel = kernel.define("Element", "vec4<f32>");
    }
    let kernel = with_mask(configure(kernel, per_run), &node.epilogue, vector);
    let count = shape[0] * channels / per_run * inner;
    let scale = norm.alpha / norm.size as f32;
    let mut dims = [channels, inner, count].map(|size| Dim::I(size as i32)).to_vec();
    dims.extend([norm.k, scale, norm.beta].map(Dim::F));
    if !forward {
        dims.push(Dim::F(2.0 * norm.beta * scale));
    }
    let flops = shape.iter().product::<usize>() * (2 * norm.size + 3) * if forward { 1 } else { 2 };
    ctx.launch(kernel, &dims, operands, count as u64)?
        .cost(flops as u64, format!("{shape:?} over {} channels", norm.size));
    Ok(())
}
