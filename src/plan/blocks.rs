//! Runs of nodes through which a batch goes block by block.
//!
//! The first layers of a network make its largest tensors, and a convolution's operand and result live at the same time.
//! Where several nodes in a row compute sample by sample, a block of samples can go through all of them before the next one
//! starts: what passes between them needs room for one block, and only what others read is there for the whole batch.
//!
//! ```text
//! conv1 -> conv2 -> pool        block 0: conv1, conv2, pool;  block 1: conv1, conv2, pool;  ...
//!                               conv1's and conv2's results: one block;  the pool's: all samples
//! ```
//!
//! Blocks are those by which gradients of weights are summed anyway ([`Target::block`](super::Target)), so that no sum
//! changes its order: results are the same bit for bit. A run is cut where blocks differ in size, at nodes that look at
//! several samples at once, and wherever that takes less memory than one node after the other.

use super::{Lowering, Program};
use crate::graph::{Op, Value};
use crate::kernels::{Blocks, blocks};
use std::ops::Range;

/// A node as far as memory goes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// How its rows are cut; `None` if it works on all at once.
    pub blocks: Option<Blocks>,
    /// The tensors that it reads and writes, and whether it does so row by row.
    pub touches: Vec<(usize, bool)>,
}

/// Steps that are done for a block of rows before the next block begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub steps: Range<usize>,
    /// How their rows are cut.
    pub blocks: Blocks,
    /// The tensors that are touched in it alone, of which a block is enough.
    pub inner: Vec<usize>,
}

/// For each of so many tensors the steps that touch it first and last.
pub(super) fn lives(steps: &[Step], tensors: usize) -> Vec<(usize, usize)> {
    let mut lives = vec![(usize::MAX, 0); tensors];
    for (at, step) in steps.iter().enumerate() {
        for &(tensor, _) in &step.touches {
            let (first, last) = lives[tensor];
            lives[tensor] = (first.min(at), last.max(at));
        }
    }
    lives
}

/// The runs of `steps`, given the lives of tensors and their bytes; those of 0 bytes lie elsewhere.
pub(super) fn runs(steps: &[Step], lives: &[(usize, usize)], bytes: impl Fn(usize) -> u64) -> Vec<Run> {
    let mut found = vec![];
    let mut start = 0;
    while start < steps.len() {
        let same = steps[start..].iter().take_while(|step| step.blocks == steps[start].blocks);
        let end = start + same.count();
        if let Some(blocks) = steps[start].blocks {
            found.extend(run(steps, start..end, blocks, lives, &bytes));
        }
        start = end;
    }
    found
}

/// The steps of `range` as a run, if that saves memory.
fn run(
    steps: &[Step],
    range: Range<usize>,
    blocks: Blocks,
    lives: &[(usize, usize)],
    bytes: impl Fn(usize) -> u64,
) -> Option<Run> {
    let touches = || steps[range.clone()].iter().flat_map(|step| &step.touches);
    let mut touched: Vec<usize> = touches().map(|&(tensor, _)| tensor).filter(|&tensor| bytes(tensor) > 0).collect();
    touched.sort_unstable();
    touched.dedup();
    let whole = |tensor: usize| touches().any(|&(other, by_rows)| other == tensor && !by_rows);
    let is_inner =
        |&tensor: &usize| range.contains(&lives[tensor].0) && range.contains(&lives[tensor].1) && !whole(tensor);
    let inner: Vec<usize> = touched.iter().copied().filter(is_inner).collect();
    let alive = |at: usize| move |&&tensor: &&usize| lives[tensor].0 <= at && at <= lives[tensor].1;
    let one_by_one = range.clone().map(|at| touched.iter().filter(alive(at)).map(|&tensor| bytes(tensor)).sum()).max();
    let together: u64 = touched
        .iter()
        .map(|&tensor| if inner.contains(&tensor) { blocks.of(bytes(tensor)) } else { bytes(tensor) })
        .sum();
    (!inner.is_empty() && Some(together) < one_by_one).then_some(Run { steps: range, blocks, inner })
}

/// The nodes of a fused program that have launches, and their runs.
pub(super) fn of_program(program: &Program, ctx: &Lowering) -> (Vec<usize>, Vec<Run>) {
    let graph = &program.graph;
    let roots = program.roots();
    let root = |value: &Value| roots[value.index()].index();
    let mut bytes: Vec<u64> = (0..graph.len() as u32).map(|value| graph.info(Value(value)).bytes()).collect();
    let (mut nodes, mut steps) = (vec![], vec![]);
    for (at, node) in graph.nodes().iter().enumerate() {
        if is_leaf(&node.op) {
            bytes[root(&node.outputs[0])] = 0;
            continue;
        }
        let (blocks, by_rows) = blocks(ctx, node).unzip();
        let by_rows = by_rows.unwrap_or_default();
        let reads = node.inputs.iter().copied().chain(node.epilogue.reads());
        let touches = reads.chain(node.outputs.iter().copied()).map(|value| (root(&value), by_rows.contains(&value)));
        steps.push(Step { blocks, touches: touches.collect() });
        nodes.push(at);
    }
    let mut lives = lives(&steps, graph.len());
    let recorded = program.record.values().into_iter().flat_map(|(loss, hits)| [loss, hits]);
    let gradients = program.gradients.iter().map(|(_, grad)| *grad);
    for value in program.outputs.iter().copied().chain(recorded).chain(gradients) {
        lives[root(&value)].1 = steps.len();
    }
    let runs = runs(&steps, &lives, |tensor| bytes[tensor]);
    (nodes, runs)
}

/// Whether a node stands for a tensor that lies somewhere already.
pub(super) fn is_leaf(op: &Op) -> bool {
    matches!(op, Op::Input | Op::Parameter(_) | Op::Buffer(_))
}
