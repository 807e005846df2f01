//! Tensors above what a binding covers, a range of rows at a time.
//!
//! Most operators compute row `i` of their results from row `i` of their operands (a row is a sample of the batch). Where
//! one of these tensors is too large to be bound, the operator is lowered once for each range of rows that fits; numbers
//! do not change. Operators that sum over rows (gradients of weights, batch normalisation) have blocks of their own,
//! which do not depend on the adapter.
//!
//! Within a run of nodes through which the batch goes block by block ([`crate::plan`]) ranges are those blocks.

use super::conv;
use crate::Result;
use crate::graph::{Node, Op, Value};
use crate::plan::{Lowering, aligned};

/// Rows, cut into blocks of equal size but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// All of them.
    pub rows: usize,
    /// Those of a block.
    pub per_block: usize,
}

impl Blocks {
    /// Bytes that a block takes of a tensor of so many.
    pub fn of(self, bytes: u64) -> u64 {
        aligned(bytes / self.rows as u64 * self.per_block as u64)
    }
}

/// The blocks in which `node` can be lowered, and the tensors that are then cut; `None` if all fits into one, or if rows
/// cannot be told apart.
pub fn blocks(ctx: &Lowering, node: &Node) -> Option<(Blocks, Vec<Value>)> {
    let values = match &node.op {
        Op::Conv2dBackwardWeight(_) => node.inputs[..2].into(),
        _ => by_rows(ctx, node)?,
    };
    let ranges = ctx.row_ranges(&values, ctx.target.block()).ok()?;
    let blocks = Blocks { rows: ranges.last()?.end, per_block: ranges[0].len() };
    (ranges.len() > 1).then_some((blocks, values))
}

/// Lowers `node` by `lower`, in as many ranges of rows as its tensors ask for.
pub fn lower(ctx: &mut Lowering, node: &Node, lower: fn(&mut Lowering, &Node) -> Result<()>) -> Result<()> {
    let Some(values) = by_rows(ctx, node) else { return lower(ctx, node) };
    let ranges = ctx.row_ranges(&values, ctx.most_at_once())?;
    if let (Op::Conv2dBackwardData(back), Some(mask)) = (&node.op, &node.epilogue.mask)
        && mask.last
        && ctx.is_inner(node.outputs[0]) == ctx.is_inner(mask.output)
        && ranges.iter().all(|range| conv::writes_once(ctx, node, back, range.len()))
    {
        ctx.share(node.outputs[0], mask.output);
    }
    if let Op::Chain(chain) = &node.op {
        for &(result, operand) in &chain.in_place {
            let (result, operand) = (node.outputs[result], node.inputs[operand]);
            if ctx.is_inner(result) == ctx.is_inner(operand) {
                ctx.share(result, operand);
            }
        }
    }
    if ranges.len() == 1 {
        return lower(ctx, node);
    }
    for range in ranges {
        let part = Node { op: with_rows(&node.op, range.len()), ..node.clone() };
        ctx.within(range, &values, |ctx| lower(ctx, &part))?;
    }
    Ok(())
}

/// The tensors of which a row of the results needs one row; `None` for operators that look at several rows at once.
fn by_rows(ctx: &Lowering, node: &Node) -> Option<Vec<Value>> {
    let shape = ctx.graph.shape(*node.outputs.first()?);
    let rows = *shape.first()?;
    let batched = |value: &Value| {
        let other = ctx.graph.shape(*value);
        other.len() == shape.len() && other[0] == rows
    };
    let operands: Vec<Value> = match &node.op {
        Op::Conv2d(_) | Op::Conv2dBackwardData(_) => node.inputs[..1].into(),
        Op::Pool2d(_) | Op::Pool2dBackward(_) | Op::AdaptivePool2d(_) | Op::AdaptivePool2dBackward(_) => {
            node.inputs.clone()
        }
        // Of a batch of matrices, products are rows; one matrix that all meet is read whole.
        Op::MatMul(_) if shape.len() > 2 => node.inputs.iter().filter(|value| batched(value)).copied().collect(),
        Op::Unary(_) | Op::UnaryBackward(_) | Op::Dropout(_) | Op::ResponseNorm(_) | Op::ResponseNormBackward(_) => {
            node.inputs.clone()
        }
        Op::Softmax(softmax) | Op::SoftmaxBackward(softmax) if softmax.axis > 0 => node.inputs.clone(),
        Op::Reduce(reduce) if !reduce.axes.contains(&0) => node.inputs.clone(),
        Op::Constant { .. } => vec![],
        Op::Binary(_) | Op::Broadcast(_) | Op::Chain(_) => {
            node.inputs.iter().filter(|value| batched(value)).copied().collect()
        }
        Op::Concat(concat) if concat.axis > 0 => node.inputs.clone(),
        Op::Slice(slice) if slice.axis > 0 => node.inputs.clone(),
        Op::Pad(_) if shape.len() > 2 => node.inputs.clone(),
        Op::EdgePad(pad) | Op::EdgePadBackward(pad) if pad.axis > 0 => node.inputs.clone(),
        _ => return None,
    };
    Some(operands.into_iter().chain(node.outputs.iter().copied()).chain(node.epilogue.reads()).collect())
}

/// `op` for so many rows.
fn with_rows(op: &Op, rows: usize) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Conv2dBackwardData(back) => back.input[0] = rows,
        Op::Pool2dBackward(back) => back.input[0] = rows,
        Op::AdaptivePool2dBackward(back) => back.input[0] = rows,
        _ => {}
    }
    op
}
