//! Activations that are computed a second time instead of kept.
//!
//! Results of the forward pass wait for the backward pass, and most of a training step's memory is what waits. Here some of
//! them are given up after their last reader of the forward pass; the nodes that yield them are inserted once more where
//! the backward pass first asks for them. The same kernels run on the same numbers, so gradients are the same bit for bit:
//! dropout draws from the step and the layer, and a second batch normalisation leaves the running statistics alone.
//!
//! What to give up is decided by the largest sum of bytes alive at once. The forward pass is cut into segments where little
//! passes from one to the next; what passes is kept, the rest of a segment is computed again. Segments of several sizes are
//! tried, then single tensors: those that can be kept without harm are. Everything is counted, nothing drawn: equal programs
//! get equal plans.
//!
//! The plan sends samples through runs of nodes block by block ([`super::blocks`]); what that saves is counted with it.
//!
//! Only first results are ever given up. The others (positions of maxima, coefficients of normalisations) are small.

mod cost;

use super::{Lowering, Program, Target, blocks};
use crate::Result;
use crate::graph::{BatchNorm, Node, Op, Value};
use crate::kernels::Blocks;
use cost::Cost;
use std::collections::HashMap;

/// Rounds in which single tensors are reconsidered.
const ROUNDS: usize = 3;

/// How many of the cuts into segments are pursued.
const PURSUED: usize = 3;

/// `program` with nodes inserted that compute again what the backward pass reads, as far as that lowers its peak on
/// `target`.
pub fn recompute(program: &Program, target: &Target) -> Result<Program> {
    let steps = Steps::new(program, target);
    let mut program = program.clone();
    if let Some(given_up) = steps.best() {
        steps.apply(&mut program, &given_up)?;
    }
    Ok(program)
}

/// A node, or once more.
#[derive(Clone, Copy)]
struct Entry {
    node: usize,
    again: bool,
}

/// A tensor that may be given up.
#[derive(Clone, Copy)]
struct Candidate {
    root: usize,
    bytes: u64,
    /// Multiplications and additions to have it again.
    work: u64,
}

/// A program as far as memory goes. Values are counted as in the graph; that a node yields when it runs again has the
/// number of values added to it.
struct Steps<'a> {
    nodes: &'a [Node],
    /// How many nodes make the forward pass.
    forward: usize,
    /// For each value the one whose memory it shares.
    roots: Vec<usize>,
    /// Bytes of each root; 0 where it has a place of its own outside of the activations.
    bytes: Vec<u64>,
    /// The node that yields each value.
    producer: Vec<usize>,
    reads: Vec<Vec<usize>>,
    /// For each node the blocks in which it can work, and the values that it then reads and writes row by row.
    blocks: Vec<(Option<Blocks>, Vec<usize>)>,
    /// By root, in the order in which they are computed.
    candidates: Vec<Candidate>,
    /// Roots that are read after the last node.
    outside: Vec<usize>,
}

impl<'a> Steps<'a> {
    fn new(program: &'a Program, target: &Target) -> Self {
        let graph = &program.graph;
        let nodes = graph.nodes();
        let roots: Vec<usize> = program.roots().iter().map(|root| root.index()).collect();
        let reads: Vec<Vec<usize>> = nodes
            .iter()
            .map(|node| node.inputs.iter().copied().chain(node.epilogue.reads()).map(Value::index).collect())
            .collect();
        let mut producer = vec![0; graph.len()];
        let mut bytes: Vec<u64> =
            (0..graph.len() as u32).map(|i| super::aligned(graph.info(Value(i)).bytes())).collect();
        for (at, node) in nodes.iter().enumerate() {
            node.outputs.iter().for_each(|output| producer[output.index()] = at);
            if blocks::is_leaf(&node.op) {
                bytes[node.outputs[0].index()] = 0;
            }
        }
        program.gradients.iter().for_each(|(_, grad)| bytes[roots[grad.index()]] = 0);
        let recorded = program.record.values().into_iter().flat_map(|(loss, hits)| [loss, hits]);
        let outside: Vec<usize> =
            program.outputs.iter().copied().chain(recorded).map(|value| roots[value.index()]).collect();
        let forward = forward_nodes(nodes, &reads, &roots, &outside);

        let mut candidates = vec![];
        for node in &nodes[..forward] {
            let root = node.outputs[0].index();
            let again = !matches!(
                node.op,
                Op::Input | Op::Parameter(_) | Op::Buffer(_) | Op::CrossEntropy(_) | Op::BinaryCrossEntropy(_)
            );
            if again && roots[root] == root && bytes[root] > 0 && !outside.contains(&root) {
                let elements = |value: Value| graph.info(value).elements() as u64;
                let result = elements(node.outputs[0]);
                let products = match (&node.op, &node.inputs[..]) {
                    (Op::Conv2d(_), [_, weight, ..]) => elements(*weight) / graph.shape(*weight)[0] as u64,
                    (Op::MatMul(matmul), _) => matmul.depth(graph, node) as u64,
                    _ => 1,
                };
                candidates.push(Candidate { root, bytes: bytes[root], work: result * products });
            }
        }
        let ctx = Lowering::new(graph, target);
        let blocks = nodes.iter().map(|node| match crate::kernels::blocks(&ctx, node) {
            Some((blocks, values)) => (Some(blocks), values.into_iter().map(Value::index).collect()),
            None => (None, vec![]),
        });
        let blocks = blocks.collect();
        Self { nodes, forward, roots, bytes, producer, reads, blocks, candidates, outside }
    }

    /// The roots to give up; `None` if the peak is lowest as it is.
    fn best(&self) -> Option<Vec<bool>> {
        let nothing = vec![false; self.roots.len()];
        let (peak, _) = self.cost(&nothing);
        let mut tried: Vec<(Cost, Vec<bool>)> = vec![];
        for given_up in self.segmentations() {
            if tried.iter().all(|(_, other)| *other != given_up) {
                tried.push((self.cost(&given_up), given_up));
            }
        }
        tried.sort_by_key(|(cost, _)| *cost);
        tried.truncate(PURSUED);
        let improved = tried.into_iter().map(|(cost, given_up)| self.improve(cost, given_up));
        improved.min_by_key(|(cost, _)| *cost).filter(|((lowest, _), _)| *lowest < peak).map(|(_, given_up)| given_up)
    }

    /// Cuts of the forward pass into segments of at most so many bytes, for a range of such sizes.
    fn segmentations(&self) -> Vec<Vec<bool>> {
        let crossing = self.crossing();
        let total: u64 = self.candidates.iter().map(|candidate| candidate.bytes).sum();
        let mut sizes = vec![];
        let mut size = total as f64;
        while size >= 1.0 && sizes.len() < 24 {
            sizes.push(size as u64);
            size /= 1.4;
        }
        sizes.into_iter().map(|size| self.segments(size, &crossing)).collect()
    }

    /// The bytes that pass from the nodes before each to it and those behind it.
    fn crossing(&self) -> Vec<u64> {
        let mut crossing = vec![0; self.forward + 1];
        for (root, &(first, last)) in self.forward_lives().iter().enumerate() {
            if first < last {
                crossing[first + 1..=last].iter_mut().for_each(|bytes| *bytes += self.bytes[root]);
            }
        }
        crossing
    }

    /// For each root the nodes of the forward pass that yield it and read it last.
    fn forward_lives(&self) -> Vec<(usize, usize)> {
        let mut lives = vec![(usize::MAX, 0); self.roots.len()];
        for (at, node) in self.nodes[..self.forward].iter().enumerate() {
            for output in &node.outputs {
                let life = &mut lives[self.roots[output.index()]];
                *life = (life.0.min(at), life.1.max(at));
            }
            self.reads[at].iter().for_each(|&value| lives[self.roots[value]].1 = at);
        }
        lives
    }

    fn segments(&self, size: u64, crossing: &[u64]) -> Vec<bool> {
        let mut cuts = vec![];
        let (mut start, mut inner) = (0, 0);
        for candidate in &self.candidates {
            let at = self.producer[candidate.root];
            inner += candidate.bytes;
            if inner > size && at > start {
                // Where least passes; of equals the last, so that a segment is as long as it can be.
                let cut = (start + 1..=at).rev().min_by_key(|&at| crossing[at]).unwrap_or(at);
                cuts.push(cut);
                start = cut;
                let behind = |other: &&Candidate| (cut..=at).contains(&self.producer[other.root]);
                inner = self.candidates.iter().filter(behind).map(|other| other.bytes).sum();
            }
        }
        let lives = self.forward_lives();
        let mut given_up = vec![false; self.roots.len()];
        for candidate in &self.candidates {
            let (first, last) = lives[candidate.root];
            given_up[candidate.root] = !cuts.iter().any(|&cut| first < cut && cut <= last);
        }
        given_up
    }

    /// Keeps what can be kept without a higher peak, what takes most work first, and gives up what lowers it.
    fn improve(&self, mut cost: Cost, mut given_up: Vec<bool>) -> (Cost, Vec<bool>) {
        let mut by_work: Vec<&Candidate> = self.candidates.iter().collect();
        // Work for each byte, without a division.
        by_work.sort_by(|a, b| {
            let [a_gain, b_gain] = [(a, b), (b, a)].map(|(a, b)| u128::from(a.work) * u128::from(b.bytes));
            b_gain.cmp(&a_gain).then(a.root.cmp(&b.root))
        });
        for _ in 0..ROUNDS {
            let before = cost;
            for candidate in &by_work {
                given_up[candidate.root] ^= true;
                let changed = self.cost(&given_up);
                if changed < cost {
                    cost = changed;
                } else {
                    given_up[candidate.root] ^= true;
                }
            }
            if cost == before {
                break;
            }
        }
        (cost, given_up)
    }

    fn apply(&self, program: &mut Program, given_up: &[bool]) -> Result<()> {
        let mut second: HashMap<Value, Value> = HashMap::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for entry in self.schedule(given_up) {
            let mut node = self.nodes[entry.node].clone();
            if entry.again || entry.node >= self.forward {
                let renew = |value: &mut Value| *value = second.get(value).copied().unwrap_or(*value);
                node.inputs.iter_mut().for_each(renew);
                node.epilogue.add.iter_mut().for_each(renew);
                node.epilogue.mask.iter_mut().for_each(|mask| renew(&mut mask.output));
            }
            if entry.again {
                if let Op::BatchNorm(norm) = &node.op {
                    node.op = Op::BatchNorm(BatchNorm { update: false, ..norm.clone() });
                }
                let outputs = program.graph.add_named(node.op.clone(), &node.inputs, node.layer.clone())?;
                program.graph.nodes_mut().pop();
                // Only the first result was given up; readers of the others keep theirs.
                second.insert(node.outputs[0], outputs[0]);
                node.outputs = outputs;
            }
            nodes.push(node);
        }
        *program.graph.nodes_mut() = nodes;
        program.graph.renumber();
        Ok(())
    }
}

/// The number of nodes up to the last that something outside of the backward pass depends on.
fn forward_nodes(nodes: &[Node], reads: &[Vec<usize>], roots: &[usize], outside: &[usize]) -> usize {
    let mut needed = vec![false; roots.len()];
    outside.iter().for_each(|&root| needed[root] = true);
    let mut forward = 0;
    for (at, node) in nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|output| needed[roots[output.index()]]) {
            forward = forward.max(at + 1);
            reads[at].iter().for_each(|&value| needed[roots[value]] = true);
        }
    }
    forward
}
