//! What a network computes: operators on symbolic tensors.
//!
//! A [`Graph`] is a list of nodes in the order in which they were traced. A node applies an [`Op`] to values and
//! yields values; a [`Value`] is a name for a tensor whose shape and type are known, and whose numbers are not.
//! Shapes are static: every error that shapes can make is found here, and names the layer in which it happened.
//!
//! ```text
//! trace (nn)  ->  Graph  ->  differentiate  ->  Graph with gradients  ->  fuse (plan)  ->  Graph  ->  plan
//! ```

mod adaptive;
mod augment;
mod batch_norm;
mod bce;
mod chain;
mod concat;
mod conv;
mod data;
mod differentiate;
mod display;
mod dropout;
mod edge_pad;
mod elementwise;
mod layout;
mod loss;
mod matmul;
mod norm;
mod op;
mod optimizer;
mod pool;
mod reduce;
mod response;
mod softmax;
mod window;

pub use adaptive::{AdaptivePool2d, AdaptivePool2dBackward};
pub(crate) use adaptive::{bin, longest_bin};
pub use augment::Augment;
pub(crate) use batch_norm::extents as batch_norm_extents;
pub use batch_norm::{BatchNorm, BatchNormBackward};
pub use bce::{BinaryCrossEntropy, BinaryCrossEntropyGrad};
pub(crate) use chain::Repeat;
pub use chain::{Chain, Step, Term};
pub(crate) use concat::around;
pub use concat::{Concat, Pad, Slice};
pub use conv::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight};
pub use data::{Batch, Gather, Init};
pub use differentiate::{Differentiated, differentiate, differentiate_from};
pub use dropout::Dropout;
pub use edge_pad::{EdgePad, PadMode};
pub use elementwise::{Binary, Unary, broadcast_shapes};
pub use layout::{Permute, Reshape};
pub use loss::{CrossEntropy, CrossEntropyGrad, CrossEntropyOptions};
pub use matmul::MatMul;
pub use norm::{Norm, NormExtents, NormOver};
pub use op::{Epilogue, Mask, Op};
pub use optimizer::{Clip, Optimizer};
pub use pool::{Pool2d, Pool2dBackward};
pub use reduce::Reduce;
pub use response::ResponseNorm;
pub use softmax::Softmax;
pub use window::output_size;

use crate::{Error, Result};

/// The extent of each axis, outermost first; `[]` is a scalar.
pub type Shape = Vec<usize>;

/// The most axes that a tensor may have.
pub const MAX_RANK: usize = 6;

/// The type of a tensor's elements as they lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point: how a plan may store what graphs know as `F32`, see [`Half`](crate::plan::Half).
    F16,
    /// 32-bit unsigned integer: labels, sample orders.
    U32,
    /// Unsigned byte: pixels, arg-max positions. Four to a 32-bit word, the first in the lowest bits.
    U8,
}

impl DType {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 => 2,
            Self::U8 => 1,
        }
    }
}

/// A tensor of a [`Graph`], known by shape and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

impl Value {
    /// The position in the graph's list of values.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of a [`Value`].
#[derive(Clone, Debug)]
pub struct ValueInfo {
    /// Its extents.
    pub shape: Shape,
    /// Its element type.
    pub dtype: DType,
    /// The node that yields it, as an index into [`Graph::nodes`].
    pub node: usize,
}

impl ValueInfo {
    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes that the elements take, without padding.
    pub fn bytes(&self) -> u64 {
        self.elements() as u64 * self.dtype.size() as u64
    }
}

/// One application of an operator.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operator with its attributes.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<Value>,
    /// What it yields.
    pub outputs: Vec<Value>,
    /// The path of the layer that asked for it (`features.0`), or the name of an input.
    pub layer: String,
    /// What fusion appended to it.
    pub epilogue: Epilogue,
}

/// What a network is traced for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mode {
    /// Batch normalisation by the batch, dropout at work, auxiliary classifiers in the loss.
    pub training: bool,
    /// The rate of every dropout, in place of the layers' own.
    pub dropout: Option<f32>,
    /// Of what is dropped.
    pub seed: u64,
}

/// Operators on symbolic tensors, in the order in which they run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    values: Vec<ValueInfo>,
    scope: Vec<String>,
    mode: Mode,
    auxiliary: Vec<(Value, f32)>,
    frozen: Vec<String>,
}

impl Graph {
    /// A graph with nothing in it, for inference.
    pub fn new() -> Self {
        Self::default()
    }

    /// A graph with nothing in it.
    pub fn with_mode(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// What the layer being traced is traced for; a frozen one is never in training.
    pub fn mode(&self) -> Mode {
        let training = self.mode.training && !self.frozen.iter().any(|path| lies_below(&self.path(""), path));
        Mode { training, ..self.mode }
    }

    /// From here on, layers at and below these paths are traced as for inference.
    pub fn freeze(&mut self, paths: &[String]) {
        self.frozen = paths.into();
    }

    /// Announces logits of an auxiliary classifier, whose loss counts this much in training.
    pub fn add_auxiliary(&mut self, logits: Value, weight: f32) {
        self.auxiliary.push((logits, weight));
    }

    /// Logits of auxiliary classifiers and the weights of their losses.
    pub fn auxiliary(&self) -> &[(Value, f32)] {
        &self.auxiliary
    }

    /// The nodes; each comes after those whose values it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Mutable access for the passes that rewrite a graph.
    pub(crate) fn nodes_mut(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    /// Puts a node that yields one value before node `at`; [`Graph::renumber`] must follow.
    pub(crate) fn insert(&mut self, at: usize, op: Op, inputs: &[Value], layer: &str) -> Result<Value> {
        let outputs = self.add_named(op, inputs, layer.into())?;
        let node = self.nodes.pop().expect("just added");
        self.nodes.insert(at, node);
        Ok(outputs[0])
    }

    /// Has `value` stored as [`DType::F16`].
    pub(crate) fn store_half(&mut self, value: Value) {
        self.values[value.index()].dtype = DType::F16;
    }

    /// Restores the way from values to their nodes after nodes were moved or dropped.
    pub(crate) fn renumber(&mut self) {
        for (index, node) in self.nodes.iter().enumerate() {
            for output in &node.outputs {
                self.values[output.index()].node = index;
            }
        }
    }

    /// What is known of `value`.
    pub fn info(&self, value: Value) -> &ValueInfo {
        &self.values[value.index()]
    }

    /// The extents of `value`.
    pub fn shape(&self, value: Value) -> &[usize] {
        &self.info(value).shape
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing has been traced.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The node that yields `value`.
    pub fn producer(&self, value: Value) -> &Node {
        &self.nodes[self.info(value).node]
    }

    /// Parameters in the order in which they were declared: name, value.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Value)> {
        self.leaves(|op| matches!(op, Op::Parameter(_)))
    }

    /// Parameters and buffers in the order in which they were declared: name, value, whether it is trainable.
    pub fn state(&self) -> impl Iterator<Item = (&str, Value, bool)> {
        let leaf = |node: &'_ Node| match node.op {
            Op::Parameter(_) => Some(true),
            Op::Buffer(_) => Some(false),
            _ => None,
        };
        self.nodes.iter().filter_map(move |node| Some((node.layer.as_str(), node.outputs[0], leaf(node)?)))
    }

    /// Inputs in the order in which they were declared: name, value.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Value)> {
        self.leaves(|op| matches!(op, Op::Input))
    }

    fn leaves(&self, wanted: impl Fn(&Op) -> bool) -> impl Iterator<Item = (&str, Value)> {
        self.nodes.iter().filter(move |node| wanted(&node.op)).map(|node| (node.layer.as_str(), node.outputs[0]))
    }

    /// Traces `body` as the layer `name`: errors and parameters inside carry its path.
    pub fn scoped<T>(&mut self, name: &str, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.scope.push(name.into());
        let result = body(self);
        self.scope.pop();
        result
    }

    /// The path of the layer being traced with `name` at its end.
    pub(crate) fn path(&self, name: &str) -> String {
        let mut path = self.scope.join(".");
        if !path.is_empty() && !name.is_empty() {
            path.push('.');
        }
        path + name
    }

    /// Appends `op` applied to `inputs`, after its shapes have been checked.
    pub fn add_node(&mut self, op: Op, inputs: &[Value]) -> Result<Vec<Value>> {
        let layer = self.path("");
        self.add_named(op, inputs, layer)
    }

    /// [`Graph::add_node`] for operators that yield one value.
    pub(crate) fn add_one(&mut self, op: Op, inputs: &[Value]) -> Result<Value> {
        Ok(self.add_node(op, inputs)?[0])
    }

    pub(crate) fn add_named(&mut self, op: Op, inputs: &[Value], layer: String) -> Result<Vec<Value>> {
        let fail = |message: String| {
            let layer = if layer.is_empty() { op.name().to_string() } else { layer.clone() };
            Error::shape(layer, message)
        };
        let infos: Vec<&ValueInfo> = inputs.iter().map(|&value| self.info(value)).collect();
        op.check_operands(&infos).map_err(fail)?;
        let yields = op.infer(&infos).map_err(fail)?;
        for (shape, _) in &yields {
            check_extents(shape).map_err(|message| fail(format!("{}: {message}", op.name())))?;
        }
        let node = self.nodes.len();
        let outputs: Vec<Value> = (0..yields.len()).map(|i| Value((self.values.len() + i) as u32)).collect();
        self.values.extend(yields.into_iter().map(|(shape, dtype)| ValueInfo { shape, dtype, node }));
        self.nodes.push(Node {
            op,
            inputs: inputs.into(),
            outputs: outputs.clone(),
            layer,
            epilogue: Epilogue::default(),
        });
        Ok(outputs)
    }
}

/// Whether the layer or tensor `name` is at or below `path`: `features.0.weight` is below `features`.
pub fn lies_below(name: &str, path: &str) -> bool {
    name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Refuses tensors that no device could hold: no axes of zero, no overflow.
fn check_extents(shape: &[usize]) -> Result<(), String> {
    if shape.len() > MAX_RANK {
        return Err(format!("the result would have {} axes, at most {MAX_RANK} are supported", shape.len()));
    }
    let elements = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
    match elements {
        Some(0) => Err(format!("the result would be empty: {shape:?}")),
        Some(elements) if elements <= u32::MAX as usize => Ok(()),
        _ => Err(format!("the result {shape:?} has more than 2^32 elements")),
    }
}
