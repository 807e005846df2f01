//! Losses: cross-entropy of logits, mean squared error.

use super::op::Inferred;
use super::*;

/// `(logits [N,C], labels u32 [N]) -> loss [], correct []`: the mean over the batch of `-log softmax(logits)[label]`,
/// and how many rows have their first maximum at the label.
///
/// Where a step's batch is not full (the last of an epoch), rows behind its end count neither in the sum nor in the
/// divisor, and their gradient is zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// Set by fusion: a third result, the gradient by the logits for a loss gradient of this size.
    pub fused_grad: Option<f32>,
}

/// `(logits, labels, dloss []) -> dlogits [N,C] = dloss (softmax(logits) - onehot(label)) / N`.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossEntropyGrad;

fn check(inputs: &[&ValueInfo]) -> Result<(), String> {
    let [logits, labels] = [inputs[0], inputs[1]];
    let &[n, _] = &logits.shape[..] else {
        return Err(format!("cross_entropy wants logits [N,C], got {:?}", logits.shape));
    };
    if labels.shape != [n] || labels.dtype != DType::U32 {
        return Err(format!("cross_entropy wants labels u32 [{n}], got {:?} {:?}", labels.dtype, labels.shape));
    }
    Ok(())
}

impl CrossEntropy {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        check(inputs)?;
        let mut yields = vec![(vec![], DType::F32), (vec![], DType::F32)];
        if self.fused_grad.is_some() {
            yields.push((inputs[0].shape.clone(), DType::F32));
        }
        Ok(yields)
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let inputs = [node.inputs[0], node.inputs[1], grad];
        Ok(vec![Some(graph.add_one(Op::CrossEntropyGrad(CrossEntropyGrad), &inputs)?), None])
    }
}

impl CrossEntropyGrad {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        check(inputs)?;
        if inputs[2].elements() != 1 {
            return Err(format!(
                "cross_entropy: the gradient of the loss has shape {:?}, expected []",
                inputs[2].shape
            ));
        }
        Ok(vec![(inputs[0].shape.clone(), DType::F32)])
    }
}

impl Graph {
    /// Mean cross-entropy of `logits [N,C]` and class indices `labels [N]`: loss and number of correct rows.
    pub fn cross_entropy(&mut self, logits: Value, labels: Value) -> Result<(Value, Value)> {
        let outputs = self.add_node(Op::CrossEntropy(CrossEntropy::default()), &[logits, labels])?;
        Ok((outputs[0], outputs[1]))
    }

    /// Mean over all elements of `(a - b)^2`.
    pub fn mse_loss(&mut self, a: Value, b: Value) -> Result<Value> {
        if self.shape(a) != self.shape(b) {
            let message = format!("mse_loss: {:?} and {:?} differ", self.shape(a), self.shape(b));
            return Err(Error::shape(self.path(""), message));
        }
        let difference = self.sub(a, b)?;
        let square = self.mul(difference, difference)?;
        let axes: Vec<usize> = (0..self.shape(square).len()).collect();
        self.mean(square, &axes, false)
    }
}
