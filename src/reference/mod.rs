//! The definition of every operator: a naive evaluator of graphs in f64, on the CPU.
//!
//! The tests and `wgrad selftest` compare an adapter's results with these. Nothing here is fast on purpose; each
//! operator is the loop that its formula spells, so that the two can be read side by side. The gradients that
//! [`crate::graph::differentiate_from`] appends to a graph are evaluated like any other node, and are themselves
//! checked by finite differences (`gradient_tests.rs`) and against PyTorch (`tests/reference_goldens.rs`).

mod adaptive;
mod array;
mod batch_norm;
pub mod cases;
mod conv;
mod data;
mod dropout;
mod elementwise;
mod feeds;
mod layout;
mod length;
mod loss;
mod matmul;
mod norm;
pub mod philox;
mod pool;
mod reduce;
mod response;
mod softmax;

#[cfg(test)]
mod epilogue_tests;
#[cfg(test)]
mod evaluate_tests;
#[cfg(test)]
mod gradient_tests;

pub use array::Array;
#[cfg(test)]
pub(crate) use elementwise::erf;
pub use feeds::feeds;
pub use length::reduction_length;

use crate::graph::{Binary, Chain, Gather, Graph, Node, Op, Term, Value};
use crate::{Error, Result};
use half::f16;
use std::collections::{BTreeSet, HashMap};

/// What an operator yields, or what is wrong with its operands.
type Yields<T = Array> = Result<T, String>;

/// The first batch of an epoch as step `step` of a run: the results of [`Gather`], in its words and order.
///
/// # Errors
///
/// [`Error::Shape`] for operands that do not fit.
pub fn batch(op: &Gather, step: u32, images: &Array, labels: &Array, order: &Array) -> Result<Vec<Array>> {
    data::gather(op, step, images, labels, order).map_err(|message| Error::shape("gather", message))
}

/// Every value of `graph`, by [`Value::index`].
///
/// `feeds` hold the inputs and parameters, and may override any other value. `None` is a value that depends on
/// something that was not fed, or that no node yields any more. Feeds for values that `graph` lacks are ignored, so
/// that one set serves a graph and its derivative.
///
/// # Errors
///
/// A feed of another shape than its value's; a label or sample index out of range; an operator with missing operands.
pub fn evaluate(graph: &Graph, feeds: &HashMap<Value, Array>) -> Result<Vec<Option<Array>>> {
    evaluate_stored(graph, feeds, &BTreeSet::new())
}

/// [`evaluate`] with the values of `halves` rounded to 16-bit floating point, to the nearest and ties to even.
///
/// # Errors
///
/// As [`evaluate`].
pub fn evaluate_stored(
    graph: &Graph,
    feeds: &HashMap<Value, Array>,
    halves: &BTreeSet<Value>,
) -> Result<Vec<Option<Array>>> {
    let mut values: Vec<Option<Array>> = vec![None; graph.len()];
    for node in graph.nodes() {
        let fail = |message: String| Error::shape(place(node), message);
        if node.outputs.iter().any(|output| !feeds.contains_key(output)) {
            let results = compute(graph, node, &values).map_err(fail)?;
            for (&output, result) in node.outputs.iter().zip(results.into_iter().flatten()) {
                values[output.index()] = Some(result);
            }
        }
        for &output in &node.outputs {
            if let Some(feed) = feeds.get(&output) {
                values[output.index()] = Some(feed.clone());
            }
            if let Some(array) = &mut values[output.index()] {
                array.expect_shape(graph.shape(output)).map_err(fail)?;
                if halves.contains(&output) {
                    *array = array.map(|number| f16::from_f64(number).to_f64());
                }
            }
        }
    }
    Ok(values)
}

fn place(node: &Node) -> &str {
    if node.layer.is_empty() { node.op.name() } else { &node.layer }
}

/// The results of `node`; `None` if something that it reads is not known.
fn compute(graph: &Graph, node: &Node, values: &[Option<Array>]) -> Yields<Option<Vec<Array>>> {
    let known = |value: &Value| values[value.index()].as_ref();
    let Some(inputs) = node.inputs.iter().map(known).collect::<Option<Vec<&Array>>>() else { return Ok(None) };
    if matches!(node.op, Op::Input | Op::Parameter(_) | Op::Buffer(_)) {
        return Ok(None);
    }
    let shape = graph.shape(node.outputs[0]);
    if let Some(mask) = node.epilogue.mask.as_ref().filter(|mask| mask.pooled) {
        let (Some(output), [dy, rest @ ..]) = (known(&mask.output), &inputs[..]) else { return Ok(None) };
        let masked = elementwise::unary_backward(mask.activation, dy, output)?;
        let inputs: Vec<&Array> = [&masked].into_iter().chain(rest.iter().copied()).collect();
        return apply(&node.op, &inputs, shape).map(Some);
    }
    let mut results = apply(&node.op, &inputs, shape)?;
    if let Some(add) = &node.epilogue.add {
        let Some(addend) = known(add) else { return Ok(None) };
        results[0] = elementwise::binary(Binary::Add, &results[0], addend, &addend.shape);
    }
    if let Some(activation) = node.epilogue.activation {
        results[0] = elementwise::unary(activation, &results[0]);
    }
    if let Some(mask) = &node.epilogue.mask {
        let Some(output) = known(&mask.output) else { return Ok(None) };
        results[0] = elementwise::unary_backward(mask.activation, &results[0], output)?;
    }
    Ok(Some(results))
}

/// `op` applied to `inputs`; `shape` is that of its first result.
fn apply(op: &Op, inputs: &[&Array], shape: &[usize]) -> Yields<Vec<Array>> {
    let one = |array: Array| Ok(vec![array]);
    match (op, inputs) {
        (Op::Constant { value, shape }, []) => one(Array::filled(shape, f64::from(*value))),
        (Op::Gather(op), [images, labels, order]) => data::gather(op, 0, images, labels, order),
        (Op::Conv2d(conv), [x, weight, bias @ ..]) => {
            one(conv::forward(conv, x, weight, bias.first().copied(), shape)?)
        }
        (Op::Conv2dBackwardData(op), [dy, weight]) => one(conv::backward_data(op, dy, weight)?),
        (Op::Conv2dBackwardWeight(op), [x, dy]) => conv::backward_weight(op, x, dy),
        (Op::MatMul(op), [a, b, bias @ ..]) => matmul::product(op, a, b, bias.first().copied()),
        (Op::Pool2d(pool), [x]) if pool.average => one(pool::average(pool, x, shape)?),
        (Op::Pool2d(pool), [x]) => pool::max(pool, x, shape),
        (Op::Pool2dBackward(op), [dy]) if op.pool.average => one(pool::average_backward(op, dy)?),
        (Op::Pool2dBackward(op), [dy, argmax]) => one(pool::max_backward(op, dy, argmax)?),
        (Op::AdaptivePool2d(pool), [x]) if pool.average => one(adaptive::average(x, shape)?),
        (Op::AdaptivePool2d(_), [x]) => adaptive::max(x, shape),
        (Op::AdaptivePool2dBackward(op), [dy, argmax @ ..]) => {
            one(adaptive::backward(op, dy, argmax.first().copied())?)
        }
        (Op::Unary(function), [x]) => one(elementwise::unary(*function, x)),
        (Op::UnaryBackward(function), [dy, y]) => one(elementwise::unary_backward(*function, dy, y)?),
        (Op::Binary(function), [a, b]) => one(elementwise::binary(*function, a, b, shape)),
        (Op::Broadcast(shape), [x]) => one(elementwise::broadcast(x, shape)),
        (Op::Chain(op), _) => chain(op, inputs),
        (Op::Reduce(op), [x]) => one(reduce::reduce(op, x, shape)),
        (Op::Reshape(op), [x]) => one(Array { shape: op.0.clone(), data: x.data.clone() }),
        (Op::Permute(op), [x]) => one(layout::permute(&op.0, x, shape)),
        (Op::Concat(op), _) => one(layout::concat(op.axis, inputs, shape)),
        (Op::Slice(op), [x]) => one(layout::slice(op.axis, op.start, x, shape)),
        (Op::Pad(op), [x]) => one(layout::pad(op, x, shape)?),
        (Op::EdgePad(op), [x]) => one(layout::edge_pad(op, x, shape)),
        (Op::EdgePadBackward(op), [dy]) => one(layout::edge_pad_backward(op, dy, shape)),
        (Op::Softmax(op), [x]) => one(softmax::forward(op, x)),
        (Op::SoftmaxBackward(op), [dy, y]) => one(softmax::backward(op, dy, y)),
        (Op::BatchNorm(op), &[x, weight, bias, mean, var]) => Ok(batch_norm::forward(op, [x, weight, bias, mean, var])),
        (Op::BatchNormBackward(op), [dy, x, coefficients]) => batch_norm::backward(op, dy, x, coefficients),
        (Op::Dropout(op), [x]) => one(dropout::dropout(op, x)),
        (Op::CrossEntropy(op), inputs) => loss::cross_entropy(op, inputs),
        (Op::CrossEntropyGrad(op), [inputs @ .., grad]) => one(loss::cross_entropy_grad(&op.0, inputs, grad.data[0])?),
        (Op::BinaryCrossEntropy(op), inputs) => loss::bce(op, inputs),
        (Op::BinaryCrossEntropyGrad(_), [inputs @ .., grad]) => one(loss::bce_grad(inputs, grad.data[0])?),
        (Op::ResponseNorm(op), [x]) => one(response::forward(op, x)),
        (Op::ResponseNormBackward(op), [dy, x]) => one(response::backward(op, dy, x)),
        (Op::Norm(op), _) => norm::forward(op, inputs),
        (Op::NormBackward(op), _) => one(norm::backward(op, inputs)?),
        (Op::NormBackwardWeight(op), _) => norm::backward_weight(op, inputs),
        _ => Err(format!("{} does not take {} operands", op.name(), inputs.len())),
    }
}

/// The results of a group of functions, step by step.
fn chain(op: &Chain, inputs: &[&Array]) -> Yields<Vec<Array>> {
    let mut steps: Vec<Array> = vec![];
    let term = |term: &Term, steps: &[Array]| match *term {
        Term::Operand(k) => elementwise::broadcast(inputs[k], &op.shape),
        Term::Step(n) => steps[n].clone(),
        Term::Number(number) => Array::filled(&op.shape, f64::from(number)),
    };
    for step in &op.steps {
        let operands: Vec<Array> = step.operands.iter().map(|operand| term(operand, &steps)).collect();
        steps.extend(apply(&step.function, &operands.iter().collect::<Vec<_>>(), &op.shape)?);
    }
    Ok(op.results.iter().map(|result| term(result, &steps)).collect())
}
