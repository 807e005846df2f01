//! Every operator in awkward shapes: what `wgrad selftest` and the GPU tests run through.
//!
//! A case is a graph of one or a few nodes. A runner differentiates it, fuses and plans it, runs it on an adapter and
//! compares each value and gradient with [`evaluate`](super::evaluate):
//!
//! ```text
//! for case in cases()? {
//!     let backward = case.differentiated()?;
//!     let feeds = case.feeds(seed);
//!     let expected = evaluate(&backward.graph, &feeds)?;
//!     // expected[case.output.index()], and expected[grad.index()] for each grad of backward.grads
//! }
//! ```

mod batch_norm;
mod chain;
mod conv;
mod elementwise;
mod layers;
mod layout;
mod loss;
mod matmul;
mod norm;
mod pool;
mod reduce;

use super::{Array, feeds};
use crate::Result;
use crate::graph::{DType, Differentiated, Graph, Value, differentiate, differentiate_from};
use crate::plan::Algorithm;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

/// A small graph whose result and gradients are worth checking.
#[derive(Clone, Debug)]
pub struct Case {
    /// Operator and what is awkward about it.
    pub name: String,
    /// The forward graph.
    pub graph: Graph,
    /// Its result.
    pub output: Value,
    /// The leaves by which to differentiate.
    pub wrt: Vec<Value>,
    /// That of its convolutions, see [`Target::algorithm`](crate::plan::Target::algorithm).
    pub algorithm: Option<Algorithm>,
}

/// All cases, one operator family after the other.
///
/// # Errors
///
/// None: the list is fixed, and a test builds it.
pub fn cases() -> Result<Vec<Case>> {
    let families = [
        conv::list(),
        matmul::list(),
        pool::list(),
        elementwise::list(),
        chain::list(),
        layout::list(),
        reduce::list(),
        norm::list(),
        batch_norm::list(),
        loss::list(),
    ];
    families.into_iter().flatten().chain(layers::list()).collect()
}

impl Case {
    /// The graph with its gradients. A result of one number is differentiated as a loss; any other gets its gradient
    /// from one more input, `grad`.
    pub fn differentiated(&self) -> Result<Differentiated> {
        let (graph, grad) = self.with_grad()?;
        match grad {
            Some(grad) => differentiate_from(&graph, &[(self.output, grad)], &self.wrt),
            None => differentiate(&graph, self.output, &self.wrt),
        }
    }

    /// Random contents for the leaves, those of [`Case::differentiated`] included; see [`feeds`].
    pub fn feeds(&self, seed: u64) -> HashMap<Value, Array> {
        self.with_grad().map_or_else(|_| feeds(&self.graph, seed), |(graph, _)| feeds(&graph, seed))
    }

    fn with_grad(&self) -> Result<(Graph, Option<Value>)> {
        let mut graph = self.graph.clone();
        if graph.info(self.output).elements() == 1 {
            return Ok((graph, None));
        }
        let shape = graph.shape(self.output).to_vec();
        let grad = graph.input("grad", &shape, DType::F32)?;
        Ok((graph, Some(grad)))
    }
}

/// A graph being traced, and those of its leaves by which to differentiate.
#[derive(Default)]
struct Sketch {
    graph: Graph,
    wrt: Vec<Value>,
}

impl Sketch {
    /// One more floating-point leaf, with a gradient.
    fn tensor(&mut self, shape: &[usize]) -> Result<Value> {
        let value = self.graph.input(&format!("x{}", self.wrt.len()), shape, DType::F32)?;
        self.wrt.push(value);
        Ok(value)
    }
}

impl Deref for Sketch {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        &self.graph
    }
}

impl DerefMut for Sketch {
    fn deref_mut(&mut self) -> &mut Graph {
        &mut self.graph
    }
}

fn case(name: impl Into<String>, trace: impl FnOnce(&mut Sketch) -> Result<Value>) -> Result<Case> {
    let mut sketch = Sketch::default();
    let output = trace(&mut sketch)?;
    Ok(Case { name: name.into(), graph: sketch.graph, output, wrt: sketch.wrt, algorithm: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::evaluate;
    use std::collections::HashSet;

    #[test]
    fn every_case_evaluates_to_finite_numbers_with_all_gradients() {
        let mut names = HashSet::new();
        let mut operators = HashSet::new();
        for case in cases().unwrap() {
            let backward = case.differentiated().unwrap();
            let values = evaluate(&backward.graph, &case.feeds(1)).unwrap();
            assert!(values.iter().flatten().all(|array| array.data.iter().all(|x| x.is_finite())), "{}", case.name);
            assert!(values.iter().all(Option::is_some) && !backward.grads.contains(&None), "{}", case.name);
            operators.extend(backward.graph.nodes().iter().map(|node| node.op.name()));
            assert!(names.insert(case.name.clone()), "two cases are called {}", case.name);
        }
        // All but parameter, scale_backward (only ever a mask) and the fused forms that no graph begins with.
        assert_eq!(operators.len(), 68, "{operators:?}");
    }
}
