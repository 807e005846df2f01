//! Cross-entropy of logits and class indices, and mean squared error.

use super::op::Inferred;
use super::*;

/// `(logits [N,C], labels u32 [N]) -> loss [], hits [2]`: PyTorch's `cross_entropy` with `reduction="mean"`.
///
/// With weights `w` (1 where there are none), smoothing `e` and `l = log softmax(logits[n])` a row of label `y` has
/// the loss `-(1 - e) w[y] l[y] - e / C sum_c w[c] l[c]`, and the mean divides the sum over rows by the sum of `w[y]`.
/// Rows whose label is `ignore_index` count in neither. Further operands, in this order:
///
/// - with `mixed`, `partner u32 [N]` and `lambda f32 [1]`: the result is `lambda` times the loss of the labels and
///   `1 - lambda` times that of the partners, each with a divisor of its own (mixup; Zhang et al. 2017);
/// - with `weighted`, class weights `w f32 [C]`.
///
/// `hits` are the rows whose first maximum is at the label (with `mixed` in parts of `lambda` and `1 - lambda`), and the
/// rows that count. Where a step's batch is not full (the last of an epoch), rows behind its end count neither in a sum
/// nor in a divisor, and their gradient is zero. A batch in which no row counts has a loss of NaN, as in PyTorch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// The share of each row's target that is spread evenly over all classes, 0 to 1.
    pub label_smoothing: f32,
    /// Rows with this label are left out.
    pub ignore_index: Option<u32>,
    /// Whether there are partner labels and their share.
    pub mixed: bool,
    /// Whether there are class weights.
    pub weighted: bool,
    /// Set by fusion: a third result, the gradient by the logits for a loss gradient of this size.
    pub fused_grad: Option<f32>,
}

/// `(the operands of the cross-entropy, dloss []) -> dlogits [N,C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossEntropyGrad(pub CrossEntropy);

/// What [`Graph::cross_entropy_with`] takes besides logits and labels; see [`CrossEntropy`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropyOptions {
    /// The share of each row's target that is spread evenly over all classes.
    pub label_smoothing: f32,
    /// Rows with this label are left out.
    pub ignore_index: Option<u32>,
    /// Partner labels `u32 [N]`, and the share `f32 [1]` of the labels.
    pub mix: Option<(Value, Value)>,
    /// Class weights `f32 [C]`.
    pub weights: Option<Value>,
}

impl CrossEntropy {
    /// Partner labels and their share among a node's operands.
    pub(crate) fn mix<T: Copy>(&self, operands: &[T]) -> Option<[T; 2]> {
        self.mixed.then(|| [operands[2], operands[3]])
    }

    /// Class weights among a node's operands.
    pub(crate) fn weights<T: Copy>(&self, operands: &[T]) -> Option<T> {
        self.weighted.then(|| operands[if self.mixed { 4 } else { 2 }])
    }

    /// The number of operands.
    pub(crate) fn operands(&self) -> usize {
        2 + 2 * usize::from(self.mixed) + usize::from(self.weighted)
    }

    fn check(&self, inputs: &[&ValueInfo]) -> Result<(), String> {
        let logits = inputs[0];
        let &[n, c] = &logits.shape[..] else {
            return Err(format!("cross_entropy wants logits [N,C], got {:?}", logits.shape));
        };
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Err(format!("cross_entropy wants a label smoothing in 0..1, got {}", self.label_smoothing));
        }
        let wanted = |name: &str, info: &ValueInfo, shape: &[usize], dtype: DType| {
            if info.shape == shape && info.dtype == dtype {
                return Ok(());
            }
            Err(format!("cross_entropy wants {name} {dtype:?} {shape:?}, got {:?} {:?}", info.dtype, info.shape))
        };
        wanted("logits", logits, &[n, c], DType::F32)?;
        wanted("labels", inputs[1], &[n], DType::U32)?;
        if let Some([partner, lambda]) = self.mix(inputs) {
            wanted("partner labels", partner, &[n], DType::U32)?;
            wanted("the share of labels", lambda, &[1], DType::F32)?;
        }
        self.weights(inputs).map_or(Ok(()), |weights| wanted("class weights", weights, &[c], DType::F32))
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
            return Err(Error::shape(
                &*node.layer,
                "cross_entropy has no gradient by labels, shares and class weights",
            ));
        }
        let inputs: Vec<Value> = node.inputs.iter().copied().chain([grad]).collect();
        let mut result = vec![None; needs.len()];
        result[0] = Some(graph.add_one(Op::CrossEntropyGrad(CrossEntropyGrad(self.clone())), &inputs)?);
        Ok(result)
    }
}

impl CrossEntropyGrad {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        self.0.check(inputs)?;
        one_number("cross_entropy", inputs[inputs.len() - 1])?;
        Ok(vec![(inputs[0].shape.clone(), DType::F32)])
    }
}

/// Refuses a gradient of the loss `name` that is not one number.
pub(super) fn one_number(name: &str, grad: &ValueInfo) -> Result<(), String> {
    if grad.elements() == 1 && grad.dtype == DType::F32 {
        return Ok(());
    }
    Err(format!("{name}: the gradient of the loss is {:?} {:?}, expected F32 []", grad.dtype, grad.shape))
}

impl Graph {
    /// Mean cross-entropy of `logits [N,C]` and class indices `labels [N]`: the loss `[]`, and how many rows are right
    /// of how many `[2]`.
    pub fn cross_entropy(&mut self, logits: Value, labels: Value) -> Result<(Value, Value)> {
        self.cross_entropy_with(logits, labels, CrossEntropyOptions::default())
    }

    /// [`Graph::cross_entropy`] with label smoothing, class weights, labels to leave out, and mixed labels.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for operands of other shapes or types than [`CrossEntropy`] has, and for a smoothing outside of
    /// 0..1.
    pub fn cross_entropy_with(
        &mut self,
        logits: Value,
        labels: Value,
        options: CrossEntropyOptions,
    ) -> Result<(Value, Value)> {
        let CrossEntropyOptions { label_smoothing, ignore_index, mix, weights } = options;
        let (mixed, weighted) = (mix.is_some(), weights.is_some());
        let op = CrossEntropy { label_smoothing, ignore_index, mixed, weighted, fused_grad: None };
        let mix = mix.map_or(vec![], |(partner, lambda)| vec![partner, lambda]);
        let inputs: Vec<Value> = [logits, labels].into_iter().chain(mix).chain(weights).collect();
        let outputs = self.add_node(Op::CrossEntropy(op), &inputs)?;
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
