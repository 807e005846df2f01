//! Modules made of modules.

use crate::Result;
use crate::graph::{Graph, Value};
use crate::nn::Module;

/// Modules one after the other, each with a name that becomes part of its parameters' names.
#[derive(Default)]
pub struct Sequential {
    modules: Vec<(String, Box<dyn Module>)>,
}

impl Sequential {
    /// No modules yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a module; give those that repeat (activations, pools) names too, they appear in plans and errors.
    pub fn add(mut self, name: impl Into<String>, module: impl Module + 'static) -> Self {
        self.modules.push((name.into(), Box::new(module)));
        self
    }
}

impl Module for Sequential {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        self.modules.iter().try_fold(x, |x, (name, module)| graph.scoped(name, |graph| module.forward(graph, x)))
    }
}

/// Modules that all see the same input; their results are put together channel after channel.
#[derive(Default)]
pub struct Branches {
    modules: Vec<(String, Box<dyn Module>)>,
}

impl Branches {
    /// No modules yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a module, whose name becomes part of its parameters' names.
    pub fn add(mut self, name: impl Into<String>, module: impl Module + 'static) -> Self {
        self.modules.push((name.into(), Box::new(module)));
        self
    }
}

impl Module for Branches {
    fn forward(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let branch = |(name, module): &(String, Box<dyn Module>)| graph.scoped(name, |graph| module.forward(graph, x));
        let results = self.modules.iter().map(branch).collect::<Result<Vec<Value>>>()?;
        graph.concat(&results, 1)
    }
}
