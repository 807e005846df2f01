//! Dropout (Srivastava et al. 2014).

use super::op::Inferred;
use super::*;

/// `x -> y`: each element is zero with probability `rate`, else divided by `1 - rate`.
///
/// Which ones are dropped is no state: it is a function of the seed, the step, the layer and the element's position
/// ([`philox`](crate::reference::philox)), computed once more for the gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of zero, in `0..1`.
    pub rate: f32,
    /// The run's seed.
    pub seed: u64,
    /// Tells the layers of a network apart.
    pub layer: u32,
}

impl Dropout {
    /// Elements whose random word is below are dropped.
    pub fn threshold(&self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        if !(0.0..1.0).contains(&self.rate) {
            return Err(format!("dropout: the rate must be in 0..1 (1 itself excluded), got {}", self.rate));
        }
        Ok(vec![(inputs[0].shape.clone(), DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, grad: Value) -> Result<Vec<Option<Value>>> {
        Ok(vec![Some(graph.add_one(Op::Dropout(self.clone()), &[grad])?)])
    }
}

impl Graph {
    /// Dropout in training, `x` itself otherwise; see [`Mode`].
    pub fn dropout(&mut self, x: Value, rate: f32) -> Result<Value> {
        let rate = self.mode().dropout.unwrap_or(rate);
        if !self.mode().training || rate == 0.0 {
            return Ok(x);
        }
        let layer = self.nodes.iter().filter(|node| matches!(node.op, Op::Dropout(_))).count() as u32;
        self.add_one(Op::Dropout(Dropout { rate, seed: self.mode().seed, layer }), &[x])
    }
}
