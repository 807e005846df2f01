//! Binary cross-entropy of logits, for rows that may belong to several classes or to none.

use super::loss::one_number;
use super::op::Inferred;
use super::*;

/// `(logits [N,C], targets [N,C]) -> loss [], hits [2]`: PyTorch's `binary_cross_entropy_with_logits` with
/// `reduction="mean"`.
///
/// An element `x` with target `t`, 0 to 1, has the loss `(1 - t) x + (1 + (p - 1) t) log(1 + exp(-x))`, computed without
/// overflow; `p` is its class's of the third operand, `pos_weight f32 [C]`, with `weighted`, else 1. The mean is over all
/// elements. `hits` are the rows all of whose elements are on their target's side (`x > 0` where `t > 1/2`), and the
/// rows. Short batches are treated as in [`CrossEntropy`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BinaryCrossEntropy {
    /// Whether there are weights of positive targets.
    pub weighted: bool,
    /// Set by fusion: a third result, the gradient by the logits for a loss gradient of this size.
    pub fused_grad: Option<f32>,
}

/// `(the operands of the binary cross-entropy, dloss []) -> dlogits [N,C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryCrossEntropyGrad(pub BinaryCrossEntropy);

impl BinaryCrossEntropy {
    /// The number of operands.
    pub(crate) fn operands(&self) -> usize {
        2 + usize::from(self.weighted)
    }

    fn check(&self, inputs: &[&ValueInfo]) -> Result<(), String> {
        let [logits, targets] = [&inputs[0].shape, &inputs[1].shape];
        let &[_, c] = &logits[..] else {
            return Err(format!("bce_with_logits wants logits [N,C], got {logits:?}"));
        };
        if targets != logits {
            return Err(format!("bce_with_logits wants targets {logits:?}, got {targets:?}"));
        }
        match inputs.get(2) {
            Some(weight) if self.weighted && weight.shape != [c] => {
                Err(format!("bce_with_logits wants pos_weight [{c}], got {:?}", weight.shape))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        self.check(inputs)?;
        let mut yields = vec![(vec![], DType::F32), (vec![2], DType::F32)];
        if self.fused_grad.is_some() {
            yields.push((inputs[0].shape.clone(), DType::F32));
        }
        Ok(yields)
    }

    pub(super) fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        grad: Value,
        needs: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        if needs[1..].contains(&true) {
            return Err(Error::shape(&*node.layer, "bce_with_logits has no gradient by targets and pos_weight"));
        }
        let inputs: Vec<Value> = node.inputs.iter().copied().chain([grad]).collect();
        let mut result = vec![None; needs.len()];
        result[0] = Some(graph.add_one(Op::BinaryCrossEntropyGrad(BinaryCrossEntropyGrad(self.clone())), &inputs)?);
        Ok(result)
    }
}

impl BinaryCrossEntropyGrad {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        self.0.check(inputs)?;
        one_number("bce_with_logits", inputs[inputs.len() - 1])?;
        Ok(vec![(inputs[0].shape.clone(), DType::F32)])
    }
}

impl Graph {
    /// Mean binary cross-entropy of `logits [N,C]` and `targets f32 [N,C]`, with weights `f32 [C]` of positive targets:
    /// the loss `[]`, and how many rows are right of how many `[2]`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for other shapes or types.
    pub fn bce_with_logits(
        &mut self,
        logits: Value,
        targets: Value,
        pos_weight: Option<Value>,
    ) -> Result<(Value, Value)> {
        let op = BinaryCrossEntropy { weighted: pos_weight.is_some(), fused_grad: None };
        let inputs: Vec<Value> = [logits, targets].into_iter().chain(pos_weight).collect();
        let outputs = self.add_node(Op::BinaryCrossEntropy(op), &inputs)?;
        Ok((outputs[0], outputs[1]))
    }
}
