//! A network with a name, the inputs that it takes, and its number of classes.

use super::{Module, Summary};
use crate::graph::{DType, Graph, Value};
use crate::{Error, Result};
use std::sync::Arc;

/// A classifier of images. Clones share the module.
#[derive(Clone)]
pub struct Model {
    name: String,
    classes: usize,
    inputs: Vec<[usize; 3]>,
    module: Arc<dyn Module>,
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
    /// A model that takes images of any of the shapes `inputs`, `[C,H,W]`; the first is its default.
    pub fn new(name: &str, classes: usize, inputs: &[[usize; 3]], module: impl Module + 'static) -> Self {
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
        self.inputs[0]
    }

    /// The shape that it takes for images of `shape`: the same if it can, else its default.
    pub fn input_for(&self, shape: [usize; 3]) -> [usize; 3] {
        if self.inputs.contains(&shape) { shape } else { self.default_input() }
    }

    /// Appends the forward pass for `x [N,C,H,W]`: logits `[N, classes]`.
    pub fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let shape = graph.shape(x).to_vec();
        if !self.inputs.iter().any(|input| shape.get(1..) == Some(input)) {
            let message = format!("takes images of {:?} as [C,H,W], got x {shape:?}", self.inputs);
            return Err(Error::shape(&*self.name, message));
        }
        let logits = self.module.forward(graph, x)?;
        if graph.shape(logits) != [shape[0], self.classes] {
            let message = format!("yields {:?}, expected [{}, {}]", graph.shape(logits), shape[0], self.classes);
            return Err(Error::shape(&*self.name, message));
        }
        Ok(logits)
    }

    /// Traces the forward pass for a batch of images of shape `[C,H,W]`.
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
