//! A network with a name, the inputs that it takes, and its number of classes.

use super::{Module, Summary};
use crate::graph::{DType, Graph, Value};
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// A classifier of images. Clones share the module.
#[derive(Clone)]
pub struct Model {
    name: String,
    classes: usize,
    inputs: Inputs,
    module: Arc<dyn Module>,
}

/// The images that a model takes, as `[C,H,W]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// These shapes; the first is the default.
    Shapes(Vec<[usize; 3]>),
    /// Any size from a smallest one on.
    AtLeast {
        /// `C`.
        channels: usize,
        /// What neither height nor width may fall below.
        smallest: usize,
        /// Height and width if nothing else is said.
        default: usize,
    },
}

impl<const N: usize> From<&[[usize; 3]; N]> for Inputs {
    fn from(shapes: &[[usize; 3]; N]) -> Self {
        Self::Shapes(shapes.into())
    }
}

impl Inputs {
    /// Whether images of this shape are among them.
    pub fn contain(&self, shape: [usize; 3]) -> bool {
        match *self {
            Self::Shapes(ref shapes) => shapes.contains(&shape),
            Self::AtLeast { channels, smallest, .. } => {
                shape[0] == channels && shape[1] >= smallest && shape[2] >= smallest
            }
        }
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shapes(shapes) => write!(f, "images of {shapes:?} as [C,H,W]"),
            Self::AtLeast { channels, smallest, .. } => {
                write!(f, "images with {channels} channels of {smallest}x{smallest} pixels or more")
            }
        }
    }
}

/// A traced network: the graph of its forward pass.
#[derive(Clone, Debug)]
pub struct Network {
    /// The graph.
    pub graph: Graph,
    /// Its input `[N,C,H,W]`.
    pub input: Value,
    /// Its result `[N, classes]`.
    pub logits: Value,
}

impl Model {
    /// A model that takes images of any of the shapes `inputs`, `[C,H,W]`, the first of them its default; or of any size,
    /// see [`Inputs`].
    pub fn new(name: &str, classes: usize, inputs: impl Into<Inputs>, module: impl Module + 'static) -> Self {
        Self { name: name.into(), classes, inputs: inputs.into(), module: Arc::new(module) }
    }

    /// Its name on the command line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The shape that it takes if nothing else is said.
    pub fn default_input(&self) -> [usize; 3] {
        match self.inputs {
            // A model without any shape refuses this one when it is traced.
            Inputs::Shapes(ref shapes) => shapes.first().copied().unwrap_or([0; 3]),
            Inputs::AtLeast { channels, default, .. } => [channels, default, default],
        }
    }

    /// The images that it takes.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The shape that it takes for images of `shape`: the same if it can, else its default.
    pub fn input_for(&self, shape: [usize; 3]) -> [usize; 3] {
        if self.inputs.contain(shape) { shape } else { self.default_input() }
    }

    /// Appends the forward pass for `x [N,C,H,W]`: logits `[N, classes]`.
    pub fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let shape = graph.shape(x).to_vec();
        let fits = matches!(shape[..], [_, c, h, w] if self.inputs.contain([c, h, w]));
        if !fits {
            return Err(Error::shape(&*self.name, format!("takes {}, got x {shape:?}", self.inputs)));
        }
        let logits = self.module.forward(graph, x)?;
        if graph.shape(logits) != [shape[0], self.classes] {
            let message = format!("yields {:?}, expected [{}, {}]", graph.shape(logits), shape[0], self.classes);
            return Err(Error::shape(&*self.name, message));
        }
        Ok(logits)
    }

    /// Traces the forward pass for a batch of images of shape `[C,H,W]`, for inference.
    pub fn trace(&self, batch: usize, input: [usize; 3]) -> Result<Network> {
        let mut graph = Graph::new();
        let [c, h, w] = input;
        let input = graph.input("x", &[batch, c, h, w], DType::F32)?;
        let logits = self.forward(&mut graph, input)?;
        Ok(Network { graph, input, logits })
    }

    /// Layers, shapes, parameters and work for one image of shape `[C,H,W]`.
    pub fn summary(&self, input: [usize; 3]) -> Result<Summary> {
        self.summary_of_batch(1, input)
    }

    /// [`Model::summary`] for a batch.
    pub fn summary_of_batch(&self, batch: usize, input: [usize; 3]) -> Result<Summary> {
        Summary::new(&self.name, &self.trace(batch, input)?)
    }
}
