//! Functions of elements on `elementwise` (same shapes) and `broadcast`, which also exchanges axes, and constants on
//! `fill`.

use super::activation;
use super::wide::{WIDTH, widened};
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Binary, MAX_RANK, Mask, Node, Permute, Unary};
use crate::plan::{Lowering, Operand};

fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn scale(function: Unary) -> f32 {
    if let Unary::Scale(scale) = function { scale } else { 0.0 }
}

/// The formula for operands `a` and `b`, numbers or vectors alike.
pub(super) fn formula(function: Binary) -> &'static str {
    match function {
        Binary::Add => "a + b",
        Binary::Sub => "a - b",
        Binary::Mul => "a * b",
    }
}

pub fn fill(ctx: &mut Lowering, node: &Node, value: f32) -> Result<()> {
    let vectors = count(&ctx.shape(node.outputs[0])).div_ceil(4);
    let dims = [Dim::U(vectors as u32), Dim::F(value)];
    ctx.launch(Kernel::new("fill"), &dims, &[Operand::Value(node.outputs[0])], vectors as u64)?;
    Ok(())
}

/// `to = from`, for tensors of `shape`.
pub fn copy(ctx: &mut Lowering, from: Operand, to: Operand, shape: &[usize]) -> Result<()> {
    same_shape(ctx, "return a;".into(), [from, Operand::Null], to, shape, 0.0, None)
}

pub fn unary(ctx: &mut Lowering, node: &Node, function: Unary) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let body = activation::body(function, true);
    let operands = [Operand::Value(node.inputs[0]), Operand::Null];
    same_shape(ctx, body, operands, Operand::Value(node.outputs[0]), &shape, scale(function), None)
}

pub fn unary_backward(ctx: &mut Lowering, node: &Node, function: Unary) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let body = activation::backward_body(function);
    let operands = [Operand::Value(node.inputs[0]), Operand::Value(node.inputs[1])];
    same_shape(ctx, body, operands, Operand::Value(node.outputs[0]), &shape, scale(function), None)
}

pub fn binary(ctx: &mut Lowering, node: &Node, function: Binary) -> Result<()> {
    let [a, b] = [node.inputs[0], node.inputs[1]];
    let shape = ctx.shape(node.outputs[0]);
    // A writable buffer may not be bound twice, so a tensor combined with itself is bound once.
    let operands = [Operand::Value(a), if a == b { Operand::Null } else { Operand::Value(b) }];
    let result = Operand::Value(node.outputs[0]);
    let formula = formula(function);
    if ctx.shape(a) == shape && ctx.shape(b) == shape {
        let body = if a == b { format!("return {};", formula.replace('b', "a")) } else { format!("return {formula};") };
        return same_shape(ctx, body, operands, result, &shape, 0.0, node.epilogue.mask.as_ref());
    }
    let strides = [strides(&ctx.shape(a), &shape), strides(&ctx.shape(b), &shape)];
    repeated(ctx, format!("return {formula};"), operands, result, &shape, strides)
}

pub fn broadcast(ctx: &mut Lowering, node: &Node) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let strides = [strides(&ctx.shape(node.inputs[0]), &shape), [0; MAX_RANK]];
    let operands = [Operand::Value(node.inputs[0]), Operand::Null];
    repeated(ctx, "return a;".into(), operands, Operand::Value(node.outputs[0]), &shape, strides)
}

pub fn permute(ctx: &mut Lowering, node: &Node, Permute(axes): &Permute) -> Result<()> {
    let (from, shape) = (ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]));
    let mut strides = [0; MAX_RANK];
    for (back, &axis) in axes.iter().rev().enumerate() {
        strides[MAX_RANK - 1 - back] = count(&from[axis + 1..]);
    }
    let operands = [Operand::Value(node.inputs[0]), Operand::Null];
    repeated(ctx, "return a;".into(), operands, Operand::Value(node.outputs[0]), &shape, [strides, [0; MAX_RANK]])
}

fn same_shape(
    ctx: &mut Lowering,
    body: String,
    [a, b]: [Operand; 2],
    y: Operand,
    shape: &[usize],
    scale: f32,
    mask: Option<&Mask>,
) -> Result<()> {
    let wide = ctx.target.wide && count(shape).is_multiple_of(WIDTH);
    let packed = count(shape).div_ceil(if wide { WIDTH } else { 4 });
    let mut kernel = Kernel::new("elementwise").define("apply", body);
    if wide {
        kernel = widened(kernel);
    }
    if b != Operand::Null {
        kernel = kernel.define("second", "return b[i];");
    }
    if let Some(mask) = mask {
        kernel = kernel.define("gates", "return mask[i];").define("gated", activation::masked_body(mask.activation));
    }
    let mask = mask.map_or(Operand::Null, |mask| Operand::Value(mask.output));
    let launch = ctx.launch(kernel, &[Dim::U(packed as u32), Dim::F(scale)], &[a, b, mask, y], packed as u64)?;
    launch.cost(count(shape) as u64, format!("{shape:?}"));
    Ok(())
}

fn repeated(
    ctx: &mut Lowering,
    body: String,
    [a, b]: [Operand; 2],
    y: Operand,
    shape: &[usize],
    [a_strides, b_strides]: [[usize; MAX_RANK]; 2],
) -> Result<()> {
    let mut extents = [1; MAX_RANK];
    extents[MAX_RANK - shape.len()..].copy_from_slice(shape);
    let mut kernel = Kernel::new("broadcast").define("apply", body);
    if b != Operand::Null {
        kernel = kernel.define("second", "return b[i];");
    }
    let u = |value: usize| Dim::U(value as u32);
    let mut dims: Vec<Dim> = vec![];
    for numbers in [extents, a_strides, b_strides] {
        dims.extend(numbers[..4].iter().map(|&value| u(value)));
    }
    for numbers in [extents, a_strides, b_strides] {
        dims.extend([u(numbers[4]), u(numbers[5]), u(0), u(0)]);
    }
    dims.extend([u(count(shape)), Dim::F(0.0)]);
    let launch = ctx.launch(kernel, &dims, &[a, b, y], count(shape) as u64)?;
    launch.cost(count(shape) as u64, format!("{shape:?}"));
    Ok(())
}

/// The strides of `from` seen as `to`: 0 along repeated axes.
fn strides(from: &[usize], to: &[usize]) -> [usize; MAX_RANK] {
    let mut strides = [0; MAX_RANK];
    let mut step = 1;
    for (back, &extent) in from.iter().rev().enumerate() {
        if extent == to[to.len() - 1 - back] {
            strides[MAX_RANK - 1 - back] = step;
        }
        step *= extent;
    }
    strides
}
