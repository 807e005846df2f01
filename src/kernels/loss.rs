//! Cross-entropies on `cross_entropy` and `bce`, their sums on `loss_shares` and `loss_sum`, and what is recorded of them.

use super::{Dim, Kernel};
use crate::graph::{BinaryCrossEntropy, CrossEntropy, CrossEntropyGrad, Node, Value};
use crate::plan::{Lowering, Operand};
use crate::{Error, Result};

/// Some CPU drivers cut an invocation off without a word after so many iterations, all its loops together.
const MOST_ITERATIONS: usize = 65_535;

/// Where the gradient of a loss comes from and goes to.
struct Gradient {
    /// The gradient of the loss, where it is not known when planning.
    dloss: Operand,
    /// What it is multiplied by.
    scale: f32,
    dlogits: Operand,
}

impl Gradient {
    /// The one that fusion asked the loss for.
    fn fused(node: &Node, fused: Option<f32>) -> Self {
        let dlogits = node.outputs.get(2).map_or(Operand::Null, |&grad| Operand::Value(grad));
        Self { dloss: Operand::Null, scale: fused.unwrap_or(0.0), dlogits }
    }

    /// That of a node whose last operand is the gradient of the loss.
    fn of(node: &Node) -> Self {
        let dloss = node.inputs.last().map_or(Operand::Null, |&dloss| Operand::Value(dloss));
        Self { dloss, scale: 1.0, dlogits: Operand::Value(node.outputs[0]) }
    }
}

fn given(operand: Operand) -> Dim {
    Dim::U((operand != Operand::Null).into())
}

fn value(value: Option<Value>) -> Operand {
    value.map_or(Operand::Null, Operand::Value)
}

pub fn cross_entropy(ctx: &mut Lowering, node: &Node, loss: &CrossEntropy) -> Result<()> {
    let rows = ctx.temporary(16 * ctx.shape(node.inputs[0])[0] as u64);
    let divided = rows_of_cross_entropy(ctx, node, loss, &Gradient::fused(node, loss.fused_grad), rows)?;
    sum_rows(ctx, node, rows, !divided, 1.0)
}

pub fn cross_entropy_grad(ctx: &mut Lowering, node: &Node, grad: &CrossEntropyGrad) -> Result<()> {
    rows_of_cross_entropy(ctx, node, &grad.0, &Gradient::of(node), Operand::Null).map(|_| ())
}

/// Yields whether the rows' losses are parts of the mean already.
fn rows_of_cross_entropy(
    ctx: &mut Lowering,
    node: &Node,
    loss: &CrossEntropy,
    gradient: &Gradient,
    rows: Operand,
) -> Result<bool> {
    let shape = ctx.shape(node.inputs[0]);
    check_loops(node, 3 * shape[1])?;
    let [partner, lambda] =
        loss.mix(&node.inputs).map_or([Operand::Null; 2], |mix| mix.map(|given| value(Some(given))));
    let weights = value(loss.weights(&node.inputs));
    let labels = Operand::Value(node.inputs[1]);
    let counts_differ = loss.weighted || loss.ignore_index.is_some();

    let row = |name, shares: &str| {
        let mut kernel = Kernel::new(name);
        if loss.weighted {
            kernel = kernel.define("weight", "return weights[c];");
        }
        if let Some(index) = loss.ignore_index {
            kernel = kernel.define("ignored", format!("return label == {index}u;"));
        }
        if loss.mixed {
            kernel = kernel.define("MIXED", true).define("lambda", shares);
        }
        kernel
    };
    let mut shares = lambda;
    if counts_differ {
        shares = ctx.temporary(12);
        let kernel = row("loss_shares", "return lambdas[0];");
        let dims = [shape[0], shape[1]].map(|extent| Dim::U(extent as u32));
        let launch = ctx.launch(kernel, &dims, &[labels, partner, weights, lambda, shares], 64)?;
        launch.single_workgroup();
        launch.cost(2 * shape[0] as u64, format!("{} rows", shape[0]));
    }
    let mut kernel = row("cross_entropy", if counts_differ { "return shares[2];" } else { "return shares[0];" });
    if loss.mixed {
        kernel = kernel.define("partner", "return partners[n];");
    }
    if loss.label_smoothing != 0.0 {
        kernel = kernel.define("SMOOTH", true);
    }
    if counts_differ {
        kernel = kernel.define("share", "return vec2<f32>(shares[0], shares[1]);");
    } else if loss.mixed {
        kernel = kernel.define("share", "return vec2<f32>(shares[0], 1.0 - shares[0]);");
    }
    let dims = [
        Dim::U(shape[0] as u32),
        Dim::U(shape[1] as u32),
        Dim::F(gradient.scale),
        given(gradient.dloss),
        given(rows),
        given(gradient.dlogits),
        Dim::U(counts_differ.into()),
        Dim::F(loss.label_smoothing),
    ];
    let logits = Operand::Value(node.inputs[0]);
    let operands = [logits, labels, gradient.dloss, gradient.dlogits, rows, partner, weights, shares];
    let launch = ctx.launch(kernel, &dims, &operands, shape[0] as u64)?;
    launch.cost(6 * (shape[0] * shape[1]) as u64, format!("logits {shape:?}"));
    Ok(counts_differ)
}

pub fn bce(ctx: &mut Lowering, node: &Node, loss: &BinaryCrossEntropy) -> Result<()> {
    let shape = ctx.shape(node.inputs[0]);
    let rows = ctx.temporary(16 * shape[0] as u64);
    rows_of_bce(ctx, node, loss, &Gradient::fused(node, loss.fused_grad), rows)?;
    sum_rows(ctx, node, rows, true, 1.0 / shape[1] as f32)
}

pub fn bce_grad(ctx: &mut Lowering, node: &Node, loss: &BinaryCrossEntropy) -> Result<()> {
    rows_of_bce(ctx, node, loss, &Gradient::of(node), Operand::Null)
}

fn rows_of_bce(
    ctx: &mut Lowering,
    node: &Node,
    loss: &BinaryCrossEntropy,
    gradient: &Gradient,
    rows: Operand,
) -> Result<()> {
    let shape = ctx.shape(node.inputs[0]);
    check_loops(node, shape[1])?;
    let weights = value(loss.weighted.then(|| node.inputs[2]));
    let mut kernel = Kernel::new("bce");
    if loss.weighted {
        kernel = kernel.define("positive", "return weights[c];");
    }
    let dims = [
        Dim::U(shape[0] as u32),
        Dim::U(shape[1] as u32),
        Dim::F(gradient.scale / shape[1] as f32),
        given(gradient.dloss),
        given(rows),
        given(gradient.dlogits),
    ];
    let [logits, targets] = [node.inputs[0], node.inputs[1]].map(Operand::Value);
    let operands = [logits, targets, gradient.dloss, gradient.dlogits, rows, weights];
    let launch = ctx.launch(kernel, &dims, &operands, shape[0] as u64)?;
    launch.cost(20 * (shape[0] * shape[1]) as u64, format!("logits {shape:?}"));
    Ok(())
}

fn check_loops(node: &Node, iterations: usize) -> Result<()> {
    if iterations <= MOST_ITERATIONS {
        return Ok(());
    }
    Err(Error::Limit {
        what: format!("{}: {} over so many classes", node.layer, node.op.name()),
        need: iterations as u64,
        have: MOST_ITERATIONS as u64,
        hint: "use fewer classes: some drivers cut longer loops off".into(),
    })
}

/// Adds the rows up to `loss` and `hits`; into the record as well, if they are what is recorded.
fn sum_rows(ctx: &mut Lowering, node: &Node, rows: Operand, mean: bool, scale: f32) -> Result<()> {
    let n = ctx.shape(node.inputs[0])[0];
    let recorded = ctx.record_here(node.outputs[0], node.outputs[1]);
    let records = if recorded { Operand::Records } else { Operand::Null };
    let dims = [Dim::U(n as u32), Dim::U(mean.into()), Dim::U(recorded.into()), Dim::F(scale)];
    let operands = [rows, Operand::Value(node.outputs[0]), Operand::Value(node.outputs[1]), records];
    let launch = ctx.launch(Kernel::new("loss_sum"), &dims, &operands, 64)?;
    launch.single_workgroup();
    launch.cost(3 * n as u64, format!("{n} rows"));
    Ok(())
}

/// Records a loss that no kernel recorded as it computed it.
pub fn record(ctx: &mut Lowering, loss: Value, hits: Value) -> Result<()> {
    let operands = [Operand::Value(loss), Operand::Value(hits), Operand::Records];
    let launch = ctx.launch(Kernel::new("record"), &[Dim::U(0)], &operands, 1)?;
    launch.layer = "loss".into();
    launch.single_workgroup();
    Ok(())
}
