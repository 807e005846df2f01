//! Functions of elements that follow each other, in one kernel.
//!
//! ```text
//! s = sigmoid(x), y = x * s        before: reads x; writes s; reads x, s; writes y
//!                                  after:  reads x; writes y, and s if something else reads it
//! ```
//!
//! A group grows from each such function over those whose results it reads, and runs where its last member stood. So
//! nothing but members may read its results before that place: then no way leads out of a group and back into it. A
//! kernel binds as many tensors as WebGPU promises, and so does a group.
//!
//! Operands have to wait for a group's last member. Where other kernels run meanwhile a group only grows if no more bytes
//! wait than it saves there.
//!
//! Numbers are the same to the bit in f32. In 16 bits a result that is no longer stored is no longer rounded.

use super::{Program, fuse};
use crate::graph::{Chain, Node, Op, Repeat, Step, Term, Unary, Value};
use crate::kernels::MOST_CHAINED;
use std::collections::{BTreeSet, HashMap};

/// The most functions of a group: longer ones take longer to compile than a second dispatch costs.
const MOST_STEPS: usize = 32;

/// Puts nodes of `program` together. What they yield and nothing else reads is a value without a node from then on.
pub(super) fn join(program: &mut Program) {
    let groups = Finder::new(program).groups();
    let mut chains: HashMap<usize, Node> = HashMap::new();
    let mut dropped: BTreeSet<usize> = BTreeSet::new();
    for (members, node) in groups {
        let Some((&last, others)) = members.split_last() else { continue };
        dropped.extend(others);
        chains.insert(last, node);
    }
    let nodes = program.graph.nodes_mut();
    for (at, chain) in chains {
        nodes[at] = chain;
    }
    let mut index = 0;
    nodes.retain(|_| {
        index += 1;
        !dropped.contains(&(index - 1))
    });
    fuse::drop_unread(program);
    program.graph.renumber();
}

struct Finder<'a> {
    program: &'a Program,
    nodes: &'a [Node],
    /// The node that yields each value, if one does.
    producer: Vec<Option<usize>>,
    /// The nodes that read each value; the number of nodes stands for the outside.
    readers: Vec<Vec<usize>>,
    /// For each value the one whose memory it shares, and the nodes with launches that read that.
    roots: Vec<Value>,
    users: Vec<Vec<usize>>,
}

impl<'a> Finder<'a> {
    fn new(program: &'a Program) -> Self {
        let (nodes, count) = (program.graph.nodes(), program.graph.len());
        let roots = program.roots();
        let mut producer = vec![None; count];
        let (mut readers, mut users) = (vec![vec![]; count], vec![vec![]; count]);
        let mut read = |value: Value, at: usize, launches: bool| {
            readers[value.index()].push(at);
            if launches {
                users[roots[value.index()].index()].push(at);
            }
        };
        for (at, node) in nodes.iter().enumerate() {
            node.outputs.iter().for_each(|output| producer[output.index()] = Some(at));
            reads(node).for_each(|value| read(value, at, !matches!(node.op, Op::Reshape(_))));
        }
        let recorded = program.record.values().into_iter().flat_map(|(loss, hits)| [loss, hits]);
        let gradients = program.gradients.iter().map(|(_, grad)| *grad);
        let outside = program.outputs.iter().copied().chain(recorded).chain(gradients);
        outside.for_each(|value| read(value, nodes.len(), true));
        Self { program, nodes, producer, readers, roots, users }
    }

    /// The members of each group and the node that takes their place.
    fn groups(&self) -> Vec<(Vec<usize>, Node)> {
        let mut group_of: Vec<Option<usize>> = vec![None; self.nodes.len()];
        let mut groups: Vec<Vec<usize>> = vec![];
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| self.suits(node)) {
            let producers = reads(node).filter_map(|value| self.producer[value.index()]);
            let neighbours: BTreeSet<usize> = producers.filter_map(|producer| group_of[producer]).collect();
            let joined = |parts: &[usize]| {
                let mut members: Vec<usize> = parts.iter().flat_map(|&part| groups[part].clone()).collect();
                members.push(at);
                members.sort_unstable();
                (self.fits(&members, parts, &groups) && self.node(&members).is_some()).then_some(members)
            };
            let all: Vec<usize> = neighbours.into_iter().collect();
            let (mut parts, mut members) = (vec![], vec![at]);
            match joined(&all) {
                Some(found) => (parts, members) = (all, found),
                None => all.into_iter().for_each(|part| {
                    let more: Vec<usize> = parts.iter().copied().chain([part]).collect();
                    if let Some(found) = joined(&more) {
                        (parts, members) = (more, found);
                    }
                }),
            }
            parts.iter().for_each(|&part| groups[part].clear());
            members.iter().for_each(|&member| group_of[member] = Some(groups.len()));
            groups.push(members);
        }
        let worthwhile = |members: Vec<usize>| {
            let numbers = |member: &usize| reads(&self.nodes[*member]).any(|value| self.number(value).is_some());
            let gains = members.len() > 1 || members.iter().any(numbers);
            let node = self.node(&members).filter(|_| gains)?;
            Some((members, node))
        };
        groups.into_iter().filter(|members| !members.is_empty()).filter_map(worthwhile).collect()
    }

    /// Whether a node can be a member at all: a function of elements whose operands are read as they come or repeated along
    /// one stretch of axes. Buffers may be updated in place between one member and the next.
    fn suits(&self, node: &Node) -> bool {
        let shape = self.program.graph.shape(node.outputs[0]);
        let finite = |number: f32| number.is_normal() || number == 0.0;
        let function = match node.op {
            Op::Unary(Unary::Scale(number) | Unary::LeakyRelu(number)) => finite(number),
            Op::Unary(_) | Op::UnaryBackward(_) | Op::Binary(_) | Op::Broadcast(_) => true,
            _ => false,
        };
        let is_buffer = |value: Value| {
            let producer = self.producer[self.roots[value.index()].index()];
            producer.is_some_and(|at| matches!(self.nodes[at].op, Op::Buffer(_)))
        };
        function
            && reads(node)
                .all(|value| !is_buffer(value) && Repeat::new(self.program.graph.shape(value), shape).is_some())
    }

    /// The number that a value is everywhere, as far as it can be written down.
    fn number(&self, value: Value) -> Option<f32> {
        match self.nodes[self.producer[value.index()]?].op {
            Op::Constant { value, .. } if value.is_normal() || value == 0.0 => Some(value),
            _ => None,
        }
    }

    /// Whether these members, of the groups `parts` and a node behind them, can run where the last one stands.
    fn fits(&self, members: &[usize], parts: &[usize], groups: &[Vec<usize>]) -> bool {
        let graph = &self.program.graph;
        let Some(&last) = members.last() else { return false };
        let shape = |member: usize| graph.shape(self.nodes[member].outputs[0]);
        let is_member = |node: &usize| members.binary_search(node).is_ok();
        let results = || members.iter().map(|&member| self.nodes[member].outputs[0]);
        let early =
            |value: Value| self.readers[value.index()].iter().any(|reader| *reader < last && !is_member(reader));
        if members.iter().any(|&member| shape(member) != shape(last)) || results().any(early) {
            return false;
        }
        // Where the groups ran so far.
        let end = |node: usize| {
            let part = parts.iter().find(|&&part| groups[part].contains(&node));
            part.and_then(|&part| groups[part].last().copied()).unwrap_or(node)
        };
        let launches = |at: &usize| {
            let leaf = super::blocks::is_leaf(&self.nodes[*at].op);
            !leaf && !is_member(at) && !matches!(self.nodes[*at].op, Op::Reshape(_) | Op::Constant { .. })
        };
        let (mut waiting, mut saved) = (0, 0);
        let operands: BTreeSet<Value> = members
            .iter()
            .flat_map(|&member| reads(&self.nodes[member]))
            .filter(|value| self.number(*value).is_none() && results().all(|result| result != *value))
            .map(|value| self.roots[value.index()])
            .collect();
        for root in operands {
            let leaf = self.producer[root.index()].is_none_or(|at| super::blocks::is_leaf(&self.nodes[at].op));
            let until = self.users[root.index()].iter().map(|&user| end(user)).max().unwrap_or(last);
            if !leaf && until < last && (until + 1..last).any(|at| launches(&at)) {
                waiting += graph.info(root).bytes();
            }
        }
        for part in parts {
            let stored = |&&member: &&usize| {
                let readers = &self.readers[self.nodes[member].outputs[0].index()];
                readers.iter().any(|reader| !groups[*part].contains(reader))
            };
            let bytes = |&member: &usize| graph.info(self.nodes[member].outputs[0]).bytes();
            saved += groups[*part].iter().filter(stored).map(bytes).sum::<u64>();
        }
        waiting <= saved
    }

    /// The node that does what `members` do; `None` if it would be too long, or bind too much or something twice.
    fn node(&self, members: &[usize]) -> Option<Node> {
        let graph = &self.program.graph;
        let last = &self.nodes[*members.last()?];
        let shape = graph.shape(last.outputs[0]);
        let elements = |value: Value| graph.info(value).elements();
        let mut terms: HashMap<Value, Term> = HashMap::new();
        let (mut inputs, mut steps): (Vec<Value>, Vec<Step>) = (vec![], vec![]);
        let (mut results, mut outputs) = (vec![], vec![]);
        for &member in members {
            let node = &self.nodes[member];
            let mut operands = vec![];
            for value in reads(node) {
                let known = terms.get(&value).copied().or_else(|| self.number(value).map(Term::Number));
                let root = |value: Value| self.roots[value.index()];
                let bound = inputs.iter().position(|&other| root(other) == root(value));
                operands.push(match (known, bound) {
                    (Some(term), _) => term,
                    // Views of one tensor have its elements in the same order.
                    (None, Some(k)) if inputs[k] == value || elements(value) == elements(last.outputs[0]) => {
                        Term::Operand(k)
                    }
                    (None, Some(_)) => return None,
                    (None, None) => {
                        inputs.push(value);
                        Term::Operand(inputs.len() - 1)
                    }
                });
            }
            let output = node.outputs[0];
            let mut term = match node.op {
                Op::Broadcast(_) => operands[0],
                _ => {
                    let operands = operands[..node.inputs.len()].to_vec();
                    steps.push(Step { function: node.op.clone(), operands });
                    Term::Step(steps.len() - 1)
                }
            };
            if let Some(mask) = &node.epilogue.mask {
                let operands = vec![term, operands[node.inputs.len()]];
                steps.push(Step { function: Op::UnaryBackward(mask.activation), operands });
                term = Term::Step(steps.len() - 1);
            }
            terms.insert(output, term);
            if self.readers[output.index()].iter().any(|reader| members.binary_search(reader).is_err()) {
                results.push(term);
                outputs.push(output);
            }
        }
        let fits = steps.len() <= MOST_STEPS && inputs.len() + outputs.len() <= MOST_CHAINED && !steps.is_empty();
        let op = Op::Chain(Chain { shape: shape.into(), steps, results, in_place: vec![] });
        let layer = last.layer.clone();
        fits.then(|| Node { op, inputs, outputs, layer, epilogue: Default::default() })
    }
}

/// What a node reads.
fn reads(node: &Node) -> impl Iterator<Item = Value> {
    node.inputs.iter().copied().chain(node.epilogue.reads())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases::cases;
    use crate::reference::evaluate;

    #[test]
    fn chains_compute_what_their_members_did() {
        let mut found = 0;
        for case in cases().unwrap().into_iter().filter(|case| case.name.starts_with("chain ")) {
            let derived = case.differentiated().unwrap();
            let outputs: Vec<Value> = derived.grads.iter().flatten().copied().chain([case.output]).collect();
            let mut program = Program::new(&case.name, derived.graph, &outputs);
            let expected = evaluate(&program.graph, &case.feeds(2)).unwrap();
            join(&mut program);
            found += program.graph.nodes().iter().filter(|node| matches!(node.op, Op::Chain(_))).count();
            let values = evaluate(&program.graph, &case.feeds(2)).unwrap();
            for output in outputs {
                let [a, b] = [&expected, &values].map(|values| values[output.index()].as_ref().unwrap());
                assert!(a.shape == b.shape && a.data == b.data, "{}", case.name);
            }
        }
        assert!(found >= 27, "{found}");
    }
}
