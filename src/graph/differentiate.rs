//! Reverse-mode differentiation, from graph to graph.
//!
//! Nodes are visited backwards; each appends nodes that turn the gradients of its results into gradients of its
//! inputs. A value that is read several times gets the sum, in the order in which its readers are visited, so that the
//! sum's rounding never depends on anything but the graph.

use super::*;
use std::collections::HashMap;

/// A graph with gradients in it.
#[derive(Clone, Debug)]
pub struct Differentiated {
    /// The forward graph with the backward nodes appended; the values of the forward graph keep their names.
    pub graph: Graph,
    /// The gradient by each of the values asked for; `None` where the loss does not depend on it.
    pub grads: Vec<Option<Value>>,
}

/// The gradients of the scalar `loss` by each of `wrt`.
pub fn differentiate(graph: &Graph, loss: Value, wrt: &[Value]) -> Result<Differentiated> {
    if graph.info(loss).elements() != 1 {
        let message = format!("a loss must be one number, this has shape {:?}", graph.shape(loss));
        return Err(Error::shape(&*graph.producer(loss).layer, message));
    }
    let mut graph = graph.clone();
    let shape = graph.shape(loss).to_vec();
    let one = graph.constant(1.0, &shape)?;
    differentiate_from(&graph, &[(loss, one)], wrt)
}

/// The gradients of `sum over (y, dy) of seeds of <y, dy>` by each of `wrt`.
pub fn differentiate_from(graph: &Graph, seeds: &[(Value, Value)], wrt: &[Value]) -> Result<Differentiated> {
    for &(value, grad) in seeds {
        if graph.shape(value) != graph.shape(grad) {
            let message =
                format!("the gradient {:?} of a value {:?} has another shape", graph.shape(grad), graph.shape(value));
            return Err(Error::shape(&*graph.producer(value).layer, message));
        }
    }
    if let Some(node) = graph.nodes.iter().find(|node| node.epilogue != Epilogue::default()) {
        return Err(Error::shape(&*node.layer, "differentiate a graph before it is fused"));
    }
    let mut graph = Graph { scope: vec![], ..graph.clone() };
    let forward = graph.nodes.clone();
    let mut depends = vec![false; graph.len()];
    wrt.iter().for_each(|value| depends[value.index()] = true);
    for node in &forward {
        if node.inputs.iter().any(|input| depends[input.index()]) {
            node.outputs.iter().for_each(|output| depends[output.index()] = true);
        }
    }

    let mut grads: HashMap<Value, Value> = HashMap::new();
    for &(value, grad) in seeds {
        accumulate(&mut graph, &mut grads, value, grad)?;
    }
    for node in forward.iter().rev() {
        let needs: Vec<bool> = node.inputs.iter().map(|input| depends[input.index()]).collect();
        let known: Vec<Option<Value>> = node.outputs.iter().map(|output| grads.get(output).copied()).collect();
        if !needs.contains(&true) || known.iter().all(Option::is_none) {
            continue;
        }
        let layer = if node.layer.is_empty() { node.op.name() } else { &node.layer };
        let by_input = graph.scoped(layer, |graph| node.op.gradient(graph, node, &known, &needs))?;
        for ((&input, grad), needed) in node.inputs.iter().zip(by_input).zip(needs) {
            if let (true, Some(grad)) = (needed, grad) {
                graph.scoped(layer, |graph| accumulate(graph, &mut grads, input, grad))?;
            }
        }
    }
    let grads = wrt.iter().map(|value| grads.get(value).copied()).collect();
    Ok(Differentiated { graph, grads })
}

fn accumulate(graph: &mut Graph, grads: &mut HashMap<Value, Value>, value: Value, grad: Value) -> Result<()> {
    let total = match grads.get(&value) {
        Some(&other) => graph.add(other, grad)?,
        None => grad,
    };
    grads.insert(value, total);
    Ok(())
}
