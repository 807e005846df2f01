//! From nodes to launches.
//!
//! A launch is a dispatch whose operands are still values and temporaries; placement turns them into buffer ranges.

use super::blocks::{self, Run};
use super::views::View;
use super::{ALIGNMENT, Program, Question, Stretch, Target};
use crate::graph::{DType, Graph, Node, Shape, Value};
use crate::kernels::{self, Dim, Kernel};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// What a binding of a launch refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A tensor of the graph.
    Value(Value),
    /// Some rows of one: positions along its first axis from the first number on, as many as the second.
    Rows(Value, usize, usize),
    /// A part of the gradient of a parameter, in the gradients' arena.
    Gradient(Value, usize),
    /// Scratch memory, see [`Lowering::temporary`].
    Temporary(usize),
    /// A stretch of an arena.
    Arena(Arena, Stretch),
    /// The record of steps.
    Records,
    /// Nothing: the kernel's dimensions say that it is not read.
    Null,
}

/// The arenas that hold one number for each parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arena {
    /// The parameters themselves.
    Parameters,
    /// Their gradients.
    Gradients,
    /// Sums of the gradients of several batches.
    Accumulated,
    /// State of the optimizer, counted from 0.
    State(usize),
    /// Exponential moving averages of the parameters.
    Average,
}

/// A dispatch before placement.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The shader.
    pub kernel: Kernel,
    /// The numbers of its `Dims`.
    pub dims: Vec<Dim>,
    /// Bindings 1, 2, ... of group 0, in the order in which the shader declares them.
    pub operands: Vec<Operand>,
    /// Workgroups along x, y, z.
    pub workgroups: [u32; 3],
    /// Floating-point operations that the definition asks for: two for each product that is summed.
    pub flops: u64,
    /// The layer that it works for.
    pub layer: String,
    /// Shapes, for people.
    pub note: String,
    /// Whether it reads a result before it writes it: a mask or an operand lies there.
    pub in_place: bool,
    /// Bytes of operands that it reads where it then writes results.
    pub reread: u64,
    /// Bytes of what it binds that belong to other tensors than it works on.
    pub untouched: u64,
    /// The first of the rows to which it is confined; `None` if it works on all.
    pub first_row: Option<usize>,
    /// The names of the questions that were asked for its node before it, see [`Lowering::choose`].
    pub questions: Vec<String>,
}

/// Collects the launches of a graph.
pub struct Lowering<'a> {
    /// The graph being lowered.
    pub graph: &'a Graph,
    /// The adapter.
    pub target: &'a Target,
    pub(super) launches: Vec<Launch>,
    pub(super) temporaries: Vec<u64>,
    /// Loss and hits that are to be recorded, until a kernel does it.
    pub(super) record: Option<(Value, Value)>,
    /// Results, and the masks in whose places they lie.
    pub(super) shared: Vec<(Value, Value)>,
    /// Tensors of which there is only a block at a time, and its rows.
    pub(super) inner: HashMap<Value, usize>,
    /// Values that lie in others.
    pub(super) views: HashMap<Value, View>,
    in_blocks: bool,
    layer: String,
    window: Option<Window>,
    /// What was asked of the target's choices so far, and for the node at hand.
    questions: RefCell<BTreeSet<Question>>,
    asked: RefCell<Vec<String>>,
}

/// Rows of some values, to which lowering is confined.
struct Window {
    rows: Range<usize>,
    values: Vec<Value>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(graph: &'a Graph, target: &'a Target) -> Self {
        let (launches, temporaries, shared) = (vec![], vec![], vec![]);
        let (inner, layer) = (HashMap::new(), String::new());
        Self {
            graph,
            target,
            launches,
            temporaries,
            record: None,
            shared,
            inner,
            views: HashMap::new(),
            in_blocks: false,
            layer,
            window: None,
            questions: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// Appends the launches of `node`.
    fn node(&mut self, node: &Node) -> Result<()> {
        self.layer = node.layer.clone();
        self.asked.take();
        kernels::lower(self, node)
    }

    /// Appends the launches of all nodes of a program of this graph.
    pub(super) fn nodes(&mut self, program: &Program) -> Result<()> {
        let nodes = program.graph.nodes();
        let (steps, runs) = match program.recompute {
            true => blocks::of_program(program, self),
            false => ((0..nodes.len()).collect(), vec![]),
        };
        let mut at = 0;
        for run in &runs {
            steps[at..run.steps.start].iter().try_for_each(|&step| self.node(&nodes[step]))?;
            let together: Vec<&Node> = steps[run.steps.clone()].iter().map(|&step| &nodes[step]).collect();
            self.run(&together, run)?;
            at = run.steps.end;
        }
        steps[at..].iter().try_for_each(|&step| self.node(&nodes[step]))
    }

    /// Appends the launches of the nodes of `run`, a block of rows through all of them before the next.
    fn run(&mut self, nodes: &[&Node], run: &Run) -> Result<()> {
        let start = self.launches.len();
        self.inner.extend(run.inner.iter().map(|&value| (Value(value as u32), run.blocks.per_block)));
        self.in_blocks = true;
        // What a node does for all rows, it does before its first block (with weights) or after its last (with sums).
        let mut order = vec![];
        for node in nodes {
            let from = self.launches.len();
            self.node(node)?;
            let mut outside = 0;
            order.extend(self.launches[from..].iter().map(|launch| match launch.first_row {
                Some(row) => {
                    outside = usize::MAX;
                    row + 1
                }
                None => outside,
            }));
        }
        self.in_blocks = false;
        self.check_order(&self.launches[start..], &order, nodes)?;
        let mut launches: Vec<(usize, Launch)> = order.into_iter().zip(self.launches.drain(start..)).collect();
        launches.sort_by_key(|(order, _)| *order);
        self.launches.extend(launches.into_iter().map(|(_, launch)| launch));
        Ok(())
    }

    /// Refuses launches that would run before the blocks of which they read.
    fn check_order(&self, launches: &[Launch], order: &[usize], nodes: &[&Node]) -> Result<()> {
        let made = |operand: &Operand| match operand {
            Operand::Value(value) | Operand::Rows(value, ..) => nodes.iter().any(|node| node.outputs.contains(value)),
            _ => false,
        };
        let early = launches.iter().zip(order).find(|(launch, order)| **order == 0 && launch.operands.iter().any(made));
        early.map_or(Ok(()), |(launch, _)| {
            let message = format!("{} reads all rows of what is computed block by block", launch.kernel.name);
            Err(Error::shape(&*launch.layer, message))
        })
    }

    /// The bytes of a tensor that a launch may work on.
    pub fn most_at_once(&self) -> u64 {
        if self.in_blocks { self.target.block() } else { self.target.max_binding }
    }

    /// Whether there is only a block of `value` at a time.
    pub fn is_inner(&self, value: Value) -> bool {
        self.inner.contains_key(&value)
    }

    /// Whether `loss` and `hits` are what the program records; whoever asks must then write [`Operand::Records`].
    pub fn record_here(&mut self, loss: Value, hits: Value) -> bool {
        let here = self.record == Some((loss, hits));
        if here {
            self.record = None;
        }
        here
    }

    /// Lays `result` where `mask` lies, or an operand, which nothing reads any more but kernels with [`Launch::in_place`].
    pub fn share(&mut self, result: Value, mask: Value) {
        self.shared.push((result, mask));
    }

    /// Whether `result` lies where its mask lay, or an operand.
    pub fn is_shared(&self, result: Value) -> bool {
        self.shared.iter().any(|(other, _)| *other == result)
    }

    /// Which of `candidates` answers the question `name`: the one that the target's table names, else the first, which a
    /// rule has put there. The launches that follow for this node are marked with the question. What is asked later for the
    /// same node may depend on the answer.
    pub fn choose(&self, name: String, candidates: Vec<String>) -> usize {
        let answer = self.target.choices.get(&name);
        let index = answer.and_then(|answer| candidates.iter().position(|candidate| candidate == answer));
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&name) {
            asked.push(name.clone());
        }
        let follows = asked[0] != name;
        self.questions.borrow_mut().insert(Question { name, candidates, follows });
        index.unwrap_or(0)
    }

    /// All that was asked.
    pub(super) fn questions(&self) -> Vec<Question> {
        self.questions.borrow().iter().cloned().collect()
    }

    /// The extents of a value, as far as the rows at hand go.
    pub fn shape(&self, value: Value) -> Shape {
        let mut shape: Shape = self.graph.shape(value).into();
        if let Some(window) = self.window.as_ref().filter(|window| window.values.contains(&value)) {
            shape[0] = window.rows.len();
        }
        shape
    }

    /// The first of the rows at hand.
    pub fn first_row(&self) -> usize {
        self.window.as_ref().map_or(0, |window| window.rows.start)
    }

    /// The first of the rows of `value` at hand.
    pub(super) fn first_row_of(&self, value: Value) -> usize {
        self.window.as_ref().filter(|window| window.values.contains(&value)).map_or(0, |window| window.rows.start)
    }

    /// Lowers what `body` does for these rows of these values alone.
    pub fn within<T>(
        &mut self,
        rows: Range<usize>,
        values: &[Value],
        body: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.window = Some(Window { rows, values: values.into() });
        let result = body(self);
        self.window = None;
        result
    }

    /// Ranges of rows in which none of `values`, all with as many rows, takes more than `most` bytes, as far as that can be,
    /// and never more than a binding; a single one if none does as a whole. Ranges begin where bindings may begin.
    pub fn row_ranges(&self, values: &[Value], most: u64) -> Result<Vec<Range<usize>>> {
        let rows = values.iter().map(|&value| self.graph.shape(value)[0]).max().unwrap_or(1);
        let bytes = |value: &Value| self.graph.info(*value).bytes();
        let largest = values.iter().map(bytes).max().unwrap_or(0);
        if largest <= most {
            return Ok(std::iter::once(0..rows).collect());
        }
        let fitting = most / largest.div_ceil(rows as u64);
        let step = values.iter().map(|value| ALIGNMENT >> (bytes(value) / rows as u64).trailing_zeros().min(8)).max();
        let step = step.unwrap_or(1);
        // Samples of more than a block are taken one by one, or as few as alignment allows.
        let count = ((fitting / step).max(1) * step) as usize;
        let need = largest.div_ceil(rows as u64) * count.min(rows) as u64;
        if need > self.target.max_binding {
            return Err(Error::Limit {
                what: format!("{}: {step} samples of the largest tensor", self.layer),
                need,
                have: self.target.max_binding,
                hint: "use smaller images, or an adapter that binds larger ranges (wgrad devices)".into(),
            });
        }
        Ok((0..rows).step_by(count).map(|first| first..rows.min(first + count)).collect())
    }

    /// How many rows of a value fit into a binding, if not all of them do.
    pub fn rows_per_binding(&self, value: Value) -> Option<usize> {
        let info = self.graph.info(value);
        let rows = info.shape.first().copied().unwrap_or(1);
        self.target.rows_per_binding(rows, info.bytes() / rows as u64).filter(|&per_part| per_part < rows)
    }

    /// Scratch memory of `bytes`, alive from its first to its last launch.
    pub fn temporary(&mut self, bytes: u64) -> Operand {
        self.temporaries.push(bytes);
        Operand::Temporary(self.temporaries.len() - 1)
    }

    /// The launch that was appended last.
    pub fn last(&mut self) -> Option<&mut Launch> {
        self.launches.last_mut()
    }

    /// Appends a launch of workgroups of 64 that covers `invocations`.
    pub fn launch(
        &mut self,
        kernel: Kernel,
        dims: &[Dim],
        operands: &[Operand],
        invocations: u64,
    ) -> Result<&mut Launch> {
        self.launch_groups(kernel, dims, operands, invocations.div_ceil(64).max(1))
    }

    /// Appends a launch of at least `groups` workgroups: where they are more than one axis takes, they make a rectangle.
    pub fn launch_groups(
        &mut self,
        kernel: Kernel,
        dims: &[Dim],
        operands: &[Operand],
        groups: u64,
    ) -> Result<&mut Launch> {
        let limit = u64::from(self.target.max_workgroups);
        let rows = groups.div_ceil(limit);
        if rows > limit {
            return Err(Error::Limit {
                what: format!("{}: kernel {}", self.layer, kernel.name),
                need: groups,
                have: limit * limit,
                hint: "use a smaller batch".into(),
            });
        }
        let mut untouched = 0;
        let confined = |&operand: &Operand| match (operand, &self.window) {
            (Operand::Value(value), _) if self.is_view(value) => {
                let (whole, rest) = self.around(value);
                untouched += rest;
                Operand::Value(whole)
            }
            (Operand::Value(value), Some(window)) if window.values.contains(&value) => {
                Operand::Rows(value, window.rows.start, window.rows.len())
            }
            _ => operand,
        };
        let operands: Vec<Operand> = operands.iter().map(confined).collect();
        let is_half = |operand: &Operand| match *operand {
            Operand::Value(value) | Operand::Rows(value, ..) => self.graph.info(value).dtype == DType::F16,
            _ => false,
        };
        let bits = operands.iter().enumerate().map(|(index, operand)| u32::from(is_half(operand)) << index);
        let kernel = Kernel { half: bits.sum(), ..kernel };
        self.launches.push(Launch {
            kernel,
            dims: dims.into(),
            operands,
            workgroups: [groups.div_ceil(rows) as u32, rows as u32, 1],
            flops: 0,
            layer: self.layer.clone(),
            note: String::new(),
            in_place: false,
            reread: 0,
            untouched,
            first_row: self.window.as_ref().map(|window| window.rows.start),
            questions: self.asked.borrow().clone(),
        });
        Ok(self.launches.last_mut().expect("just pushed"))
    }
}

impl Launch {
    /// States the work for the plan's table.
    pub fn cost(&mut self, flops: u64, note: impl Into<String>) {
        self.flops = flops;
        self.note = note.into();
        if self.kernel.parts.is_some() {
            self.note += ", cooperative";
        }
    }

    /// One workgroup, whatever the number of invocations.
    pub fn single_workgroup(&mut self) {
        self.workgroups = [1; 3];
    }
}
