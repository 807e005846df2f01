//! How a program runs: dispatches, bindings and a memory map, all known before anything runs.
//!
//! ```text
//! Program (graph, what to keep)  ->  fuse  ->  recompute  ->  chain  ->  lower to launches  ->  place buffers  ->  Plan
//! ```
//!
//! A [`Plan`] is data: it can be printed, tested and compared without a device. [`crate::gpu::Executable`] puts it on
//! one.

mod blocks;
mod branches;
mod chains;
mod choices;
mod fuse;
mod half;
mod layout;
mod lower;
mod masks;
mod place;
mod print;
mod program;
mod recompute;
mod target;
mod views;

pub use choices::{Choices, Question};
pub use fuse::fuse;
pub use half::Half;
pub use layout::{Group, Groups, ParameterLayout, ParameterPlace, Stretch};
pub use lower::{Arena, Launch, Lowering, Operand};
pub use program::{LossScale, Program, Record, Update};
pub use recompute::recompute;
pub use target::{Algorithm, Class, Cooperative, Target};
pub use views::Apart;

use crate::graph::Value;
use crate::kernels::Kernel;
use crate::{Error, Result};
use place::Placement;
use std::collections::{BTreeMap, BTreeSet};

/// Offsets of everything that is bound are multiples of this: the largest alignment that WebGPU allows an adapter to ask.
pub const ALIGNMENT: u64 = 256;

/// The most steps of one submit; the ring of records and the table of step numbers have this many slots.
pub const SLOTS: usize = 64;

/// Bytes of one entry in the table of step numbers, and of one record.
pub const STEP_BYTES: u64 = ALIGNMENT;
/// Bytes of one record: loss, right rows, rows that count, and a spare number.
pub const RECORD_BYTES: u64 = 16;

/// What a buffer is for. Plans of one run share the buffers of equal roles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// One number for each parameter, in pieces no larger than a buffer may be.
    Arena(Arena, usize),
    /// Everything that lives within a step, likewise.
    Activations(usize),
    /// What an input of this name was bound to.
    Input(String),
    /// The dimensions of the dispatches of the plan of this name.
    Dimensions(String),
    /// The table of step numbers.
    Steps,
    /// The ring of records.
    Records,
    /// Bound where a kernel has a binding that it will not read.
    Null,
    /// Memory through which results reach the host.
    Staging(String),
}

/// A range of a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// The buffer.
    pub role: Role,
    /// Bytes from its start, a multiple of [`ALIGNMENT`].
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// One dispatch, with everything that it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// What to run, from which launch it came, for which layer, at which cost.
    pub launch: Launch,
    /// Where its dimensions lie in the buffer [`Role::Dimensions`].
    pub dims_offset: u64,
    /// Bindings 1, 2, ... of group 0.
    pub bindings: Vec<Region>,
    /// Bytes that it reads and writes if each operand is touched once.
    pub bytes: u64,
}

impl Dispatch {
    /// Bytes of its dimensions, as they are bound.
    pub fn dims_size(&self) -> u64 {
        aligned(4 * self.launch.dims.len() as u64)
    }
}

/// A program, placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The program's name.
    pub name: String,
    /// In the order in which they run.
    pub dispatches: Vec<Dispatch>,
    /// The first dispatch of the update that ends a step, or the number of dispatches.
    pub update: usize,
    /// Bytes of every buffer that it needs.
    pub buffers: BTreeMap<Role, u64>,
    /// The content of [`Role::Dimensions`].
    pub dims: Vec<u8>,
    /// Where inputs and the values that were asked for lie.
    pub regions: BTreeMap<Value, Region>,
    /// The tensors that it stores as 16-bit floating point; what passes within a kernel is not rounded.
    pub halves: BTreeSet<Value>,
    /// Where each parameter lies in the arenas.
    pub parameters: ParameterLayout,
    /// The largest sum of activation bytes that are alive at once: no placement can do with less.
    pub lower_bound: u64,
    /// Which kernels could be chosen differently, see [`Choices`].
    pub questions: Vec<Question>,
}

impl Plan {
    /// Fuses, lowers and places `program` for `target`.
    pub fn new(program: &Program, target: &Target) -> Result<Self> {
        if program.half != Half::Never && !target.half {
            return Err(Error::usage(
                "this adapter does not store 16-bit floating point (it lacks SHADER_F16, see wgrad devices); leave --amp out",
            ));
        }
        let program = fuse(program)?;
        let kept = Self::of(Program { recompute: false, ..program.clone() }, target)?;
        if !program.recompute {
            return Ok(kept);
        }
        // The pass knows tensors but not the scratch memory of kernels: what counts is the plan.
        let again = Self::of(recompute(&program, target)?, target)?;
        Ok(if again.activations() < kept.activations() { again } else { kept })
    }

    /// Lowers and places a fused program.
    fn of(mut program: Program, target: &Target) -> Result<Self> {
        let mut halves = half::mark(&mut program);
        if target.chains {
            chains::join(&mut program);
            let stored: BTreeSet<Value> =
                program.graph.nodes().iter().flat_map(|node| &node.outputs).copied().collect();
            halves.retain(|value| stored.contains(value));
        }
        // Words of 64 bits hold no numbers of 16.
        let single = program.half == Half::Never;
        let mut target = Target { wide: target.wide && single, ..target.clone() };
        // Numbers that are stored in 32 bits are multiplied in as many.
        target.cooperative.retain(|form| !(form.half && single));
        let target = &target;
        let views = views::find(&program, target);
        let roots = views::roots(&program, &views);
        masks::mark_last(&mut program, &roots);
        let layout = ParameterLayout::new(&program.graph, &program.groups, target)?;
        let mut ctx = Lowering::new(&program.graph, target);
        ctx.record = program.record.values();
        ctx.views = views;
        ctx.nodes(&program)?;
        if let Some((loss, hits)) = ctx.record {
            crate::kernels::lower_record(&mut ctx, loss, hits)?;
        }
        let mut roots = program.roots();
        for (result, mask) in std::mem::take(&mut ctx.shared) {
            let [from, to] = [result, mask].map(|value| roots[value.index()]);
            roots.iter_mut().filter(|root| **root == from).for_each(|root| *root = to);
        }
        let inner = std::mem::take(&mut ctx.inner);
        let mut placement = Placement::new(&program, &layout, &roots, inner);
        placement.collect_gradients(&mut ctx)?;
        if program.update.is_some_and(|update| update.accumulate) {
            crate::kernels::lower_accumulation(&mut ctx, &layout.stretches(target.max_binding))?;
        }
        let update = ctx.launches.len();
        if let Some(update) = &program.update {
            crate::kernels::lower_update(&mut ctx, update, program.loss_scale, &layout)?;
        }
        let questions = ctx.questions();
        let mut buffers = program.buffers(&layout);
        let (launches, temporaries) = (std::mem::take(&mut ctx.launches), std::mem::take(&mut ctx.temporaries));
        let lower_bound = placement.place(&launches, &temporaries, target, &mut buffers)?;

        let mut dims = Vec::new();
        let mut dispatches = Vec::with_capacity(launches.len());
        for launch in launches {
            let dims_offset = dims.len() as u64;
            dims.extend(launch.dims.iter().flat_map(|dim| dim.bits().to_le_bytes()));
            dims.resize(dims.len().next_multiple_of(ALIGNMENT as usize), 0);
            let bindings = placement.bindings(&launch, target)?;
            let bound = bindings.iter().filter(|region| region.role != Role::Null).map(|region| region.size);
            let bytes = (bound.sum::<u64>() + launch.reread).saturating_sub(launch.untouched);
            dispatches.push(Dispatch { launch, dims_offset, bindings, bytes });
        }
        buffers.insert(Role::Dimensions(program.name.clone()), dims.len().max(ALIGNMENT as usize) as u64);
        if let Some((role, need)) = buffers.iter().find(|(_, bytes)| **bytes > target.max_buffer) {
            let hint = "use a smaller --batch-size or a smaller data set".into();
            return Err(Error::Limit { what: role.to_string(), need: *need, have: target.max_buffer, hint });
        }
        let regions = placement.kept(&program)?;
        Ok(Self {
            name: program.name.clone(),
            dispatches,
            update,
            buffers,
            dims,
            regions,
            halves,
            parameters: layout,
            lower_bound,
            questions,
        })
    }

    /// Bytes of all its buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.values().sum()
    }

    /// Bytes of the buffers that hold what lives within a step; at least [`Plan::lower_bound`].
    pub fn activations(&self) -> u64 {
        let pieces = self.buffers.iter().filter(|(role, _)| matches!(role, Role::Activations(_)));
        pieces.map(|(_, bytes)| bytes).sum()
    }

    /// Floating-point operations of one step.
    pub fn flops(&self) -> u64 {
        self.dispatches.iter().map(|dispatch| dispatch.launch.flops).sum()
    }

    /// What is stored in 16 bits, and what is multiplied so: rounded in memory or as it is read.
    pub fn rounded(&self) -> BTreeSet<Value> {
        let launches = self.dispatches.iter().map(|dispatch| &dispatch.launch).filter(|launch| launch.kernel.rounds());
        let read = launches.flat_map(|launch| &launch.operands[..2]).filter_map(|operand| match *operand {
            Operand::Value(value) | Operand::Rows(value, ..) => Some(value),
            _ => None,
        });
        self.halves.iter().copied().chain(read).collect()
    }

    /// The kernels in the order in which they run; layers that share one name it again.
    pub fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        self.dispatches.iter().map(|dispatch| &dispatch.launch.kernel)
    }
}

/// The buffers of plans that run on the same memory: for each role the largest size.
pub fn shared_buffers<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> BTreeMap<Role, u64> {
    let mut shared = BTreeMap::new();
    for (role, &bytes) in plans.into_iter().flat_map(|plan| &plan.buffers) {
        let size = shared.entry(role.clone()).or_insert(0);
        *size = bytes.max(*size);
    }
    shared
}

/// `bytes` rounded up so that what follows is aligned.
pub(crate) fn aligned(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT)
}
