//! What a plan is made from: a graph, and which of its values matter.

use super::{Arena, Groups, Half, ParameterLayout, RECORD_BYTES, Role, SLOTS, STEP_BYTES, aligned};
use crate::graph::{Clip, DType, Graph, Optimizer, Value};
use std::collections::BTreeMap;

/// Whether a program writes its loss into the ring of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// No ring is needed.
    None,
    /// A loss and how many rows are right of how many, see [`CrossEntropy`](crate::graph::CrossEntropy).
    Loss {
        /// One number, put together from any number of losses.
        loss: Value,
        /// Two numbers, those of the classifier that counts.
        hits: Value,
    },
}

impl Record {
    /// The values that are recorded.
    pub fn values(self) -> Option<(Value, Value)> {
        match self {
            Self::None => None,
            Self::Loss { loss, hits } => Some((loss, hits)),
        }
    }
}

/// What ends a step: how gradients change parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The limit on gradients.
    pub clip: Option<Clip>,
    /// Whether a step's gradients are joined from several batches. Then the gradients of each batch are added up, and
    /// the dispatches from [`Plan::update`](super::Plan::update) on run only with the last one.
    pub accumulate: bool,
    /// Whether exponential moving averages of the parameters are kept.
    pub average: bool,
}

impl Update {
    /// The arena of a whole step's gradients.
    pub fn gradients(&self) -> Arena {
        if self.accumulate { Arena::Accumulated } else { Arena::Gradients }
    }
}

impl From<Optimizer> for Update {
    fn from(optimizer: Optimizer) -> Self {
        Self { optimizer, clip: None, accumulate: false, average: false }
    }
}

/// A factor on the loss, by which gradients keep clear of what 16 bits cannot hold. Both are inputs that each update
/// changes: the factor is halved where a gradient is not finite, in which case nothing else is updated, and doubled after
/// many steps in which all were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossScale {
    /// One number, of the loss's shape.
    pub scale: Value,
    /// Two numbers: steps since the factor was changed, and steps skipped in all.
    pub history: Value,
}

impl LossScale {
    /// The factor of a run's first step.
    pub const FIRST: f32 = 65536.0;
}

/// A graph and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Program {
    /// Names the plan and its buffer of dimensions.
    pub name: String,
    /// What to compute.
    pub graph: Graph,
    /// Values that are read after the last dispatch.
    pub outputs: Vec<Value>,
    /// Parameters and their gradients; these go into the gradient arena.
    pub gradients: Vec<(Value, Value)>,
    /// How parameters are treated; programs that share memory must agree.
    pub groups: Groups,
    /// What ends a step.
    pub update: Option<Update>,
    /// What `gradients` are multiplied by, and the update divides them by.
    pub loss_scale: Option<LossScale>,
    /// The arena that trained parameters are read from: the parameters', or that of their averages.
    pub weights: Arena,
    /// Whether losses are recorded.
    pub record: Record,
    /// Whether activations are computed again where that saves memory, see [`recompute`](super::recompute()).
    pub recompute: bool,
    /// Which tensors are stored as 16-bit floating point; the target must be able to, see
    /// [`Target::half`](super::Target::half).
    pub half: Half,
}

impl Program {
    /// A program that computes `outputs`.
    pub fn new(name: &str, graph: Graph, outputs: &[Value]) -> Self {
        let outputs = outputs.into();
        let (gradients, groups) = (vec![], Groups::default());
        let (update, weights, record) = (None, Arena::Parameters, Record::None);
        let (name, recompute, half) = (name.into(), false, Half::Never);
        let loss_scale = None;
        Self { name, graph, outputs, gradients, groups, update, loss_scale, weights, record, recompute, half }
    }

    /// For each value the one whose memory it shares: views share that of what they view, and what an operator updates in
    /// place stays where it was.
    pub(super) fn roots(&self) -> Vec<Value> {
        let mut roots: Vec<Value> = (0..self.graph.len() as u32).map(Value).collect();
        for node in self.graph.nodes() {
            for &(output, input) in node.op.aliases() {
                roots[node.outputs[output].index()] = roots[node.inputs[input].index()];
            }
        }
        roots
    }

    /// The buffers whose sizes do not depend on placement.
    pub(super) fn buffers(&self, layout: &ParameterLayout) -> BTreeMap<Role, u64> {
        let mut buffers = BTreeMap::from([
            (Role::Null, 8 * super::ALIGNMENT),
            (Role::Steps, SLOTS as u64 * STEP_BYTES),
            (Role::Records, if self.record == Record::None { RECORD_BYTES } else { SLOTS as u64 * RECORD_BYTES }),
        ]);
        let mut arenas = vec![Arena::Parameters];
        if !self.gradients.is_empty() {
            arenas.push(Arena::Gradients);
        }
        if let Some(update) = &self.update {
            arenas.extend((0..update.optimizer.states()).map(Arena::State));
            arenas.extend(update.accumulate.then_some(Arena::Accumulated));
            arenas.extend(update.average.then_some(Arena::Average));
        }
        arenas.push(self.weights);
        for arena in arenas {
            buffers.extend(layout.buffers(arena).map(|(piece, bytes)| (Role::Arena(arena, piece), bytes)));
        }
        for (name, value) in self.graph.inputs() {
            let info = self.graph.info(value);
            let padded = if info.dtype == DType::U8 { info.bytes().next_multiple_of(4) } else { info.bytes() };
            buffers.insert(Role::Input(name.into()), aligned(padded));
        }
        buffers
    }
}
