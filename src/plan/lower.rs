//! From nodes to launches.
//!
//! A launch is a dispatch whose operands are still values and temporaries; placement turns them into buffer ranges.

use super::{Stretch, Target};
use crate::graph::{Graph, Node, Shape, Value};
use crate::kernels::{self, Dim, Kernel};
use crate::{Error, Result};

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
    /// State of the optimizer, counted from 0.
    State(usize),
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
    layer: String,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(graph: &'a Graph, target: &'a Target) -> Self {
        Self { graph, target, launches: vec![], temporaries: vec![], record: None, layer: String::new() }
    }

    /// Appends the launches of `node`.
    pub(super) fn node(&mut self, node: &Node) -> Result<()> {
        self.layer = node.layer.clone();
        kernels::lower(self, node)
    }

    /// Whether `loss` and `hits` are what the program records; whoever asks must then write [`Operand::Records`].
    pub fn record_here(&mut self, loss: Value, hits: Value) -> bool {
        let here = self.record == Some((loss, hits));
        if here {
            self.record = None;
        }
        here
    }

    /// The extents of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.graph.shape(value).into()
    }

    /// Scratch memory of `bytes`, alive from its first to its last launch.
    pub fn temporary(&mut self, bytes: u64) -> Operand {
        self.temporaries.push(bytes);
        Operand::Temporary(self.temporaries.len() - 1)
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
        self.launches.push(Launch {
            kernel,
            dims: dims.into(),
            operands: operands.into(),
            workgroups: [groups.div_ceil(rows) as u32, rows as u32, 1],
            flops: 0,
            layer: self.layer.clone(),
            note: String::new(),
        });
        Ok(self.launches.last_mut().expect("just pushed"))
    }
}

impl Launch {
    /// States the work for the plan's table.
    pub fn cost(&mut self, flops: u64, note: impl Into<String>) {
        self.flops = flops;
        self.note = note.into();
    }

    /// One workgroup, whatever the number of invocations.
    pub fn single_workgroup(&mut self) {
        self.workgroups = [1; 3];
    }
}
