//! The list of operators: one line each for name, shapes and gradient, the substance in the file of its family.

use super::*;

/// An operator with its attributes. Definitions are PyTorch's unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A tensor handed in from outside.
    Input,
    /// A trainable tensor, with the distribution of its first values.
    Parameter(Init),
    /// A tensor that outlives a step and is not trained, with its first values.
    Buffer(Init),
    /// A tensor with one number everywhere.
    Constant {
        /// The number.
        value: f32,
        /// The extents.
        shape: Shape,
    },
    /// A batch of images and labels, gathered and normalised from a resident data set.
    Gather(Gather),
    /// Two-dimensional convolution.
    Conv2d(Conv2d),
    /// Its gradient by the input.
    Conv2dBackwardData(Conv2dBackwardData),
    /// Its gradients by weight and bias.
    Conv2dBackwardWeight(Conv2dBackwardWeight),
    /// Matrix product.
    MatMul(MatMul),
    /// Maximum or average over windows.
    Pool2d(Pool2d),
    /// Its gradient.
    Pool2dBackward(Pool2dBackward),
    /// Maximum or average over bins, to a given size.
    AdaptivePool2d(AdaptivePool2d),
    /// Its gradient.
    AdaptivePool2dBackward(AdaptivePool2dBackward),
    /// A function of each element.
    Unary(Unary),
    /// Its gradient, from its result or its operand.
    UnaryBackward(Unary),
    /// A function of two tensors' elements, with broadcasting.
    Binary(Binary),
    /// A tensor repeated along axes of extent 1.
    Broadcast(Shape),
    /// Functions of elements in one kernel, which a plan makes of several nodes.
    Chain(Chain),
    /// Sum or mean over axes.
    Reduce(Reduce),
    /// The same elements under another shape.
    Reshape(Reshape),
    /// The same elements with the axes in another order.
    Permute(Permute),
    /// Tensors one after the other along an axis.
    Concat(Concat),
    /// A range of positions along an axis.
    Slice(Slice),
    /// A constant around the last two axes.
    Pad(Pad),
    /// An axis continued with what lies at its ends.
    EdgePad(EdgePad),
    /// Its gradient.
    EdgePadBackward(EdgePad),
    /// Softmax or log-softmax along an axis.
    Softmax(Softmax),
    /// Its gradient, from its result.
    SoftmaxBackward(Softmax),
    /// Local response normalisation.
    ResponseNorm(ResponseNorm),
    /// Its gradient, from its operand.
    ResponseNormBackward(ResponseNorm),
    /// Layer or group normalisation.
    Norm(Norm),
    /// Its gradient by the operand.
    NormBackward(Norm),
    /// Its gradients by weight and bias.
    NormBackwardWeight(Norm),
    /// Mean cross-entropy of logits, and the number of correct predictions.
    CrossEntropy(CrossEntropy),
    /// Its gradient.
    CrossEntropyGrad(CrossEntropyGrad),
    /// Batch normalisation.
    BatchNorm(BatchNorm),
    /// Its gradients.
    BatchNormBackward(BatchNormBackward),
    /// Random elements set to zero; also its own gradient.
    Dropout(Dropout),
    /// Mean binary cross-entropy of logits, and the number of correct rows.
    BinaryCrossEntropy(BinaryCrossEntropy),
    /// Its gradient.
    BinaryCrossEntropyGrad(BinaryCrossEntropyGrad),
}

/// What fusion appends to a node: its result is passed through these before it is stored, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epilogue {
    /// A tensor of the same shape that is added.
    pub add: Option<Value>,
    /// An activation of the result.
    pub activation: Option<Unary>,
    /// The gradient of an activation: the result is multiplied by its derivative.
    pub mask: Option<Mask>,
}

impl Epilogue {
    /// The tensors that it reads.
    pub fn reads(&self) -> impl Iterator<Item = Value> {
        self.add.into_iter().chain(self.mask.as_ref().map(|mask| mask.output))
    }
}

/// A multiplication by `activation'`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// The activation.
    pub activation: Unary,
    /// What the derivative is computed from: the activation's result, or its operand where
    /// [`Unary::needs_operand`]; of the shape of the node's own result unless `pooled`.
    pub output: Value,
    /// Of the gradient of a maximum over windows: `output` are the maxima, of the shape of the node's first operand, in
    /// place of what they were taken from. A pixel that hands on a gradient is the maximum of its window, so both hold the
    /// same number there; elsewhere the gradient is 0.
    pub pooled: bool,
    /// Nothing else reads `output` from here on, so that the result may take its place.
    pub last: bool,
}

impl Mask {
    /// A mask of the shape of the node's result, which others may read after it.
    pub fn new(activation: Unary, output: Value) -> Self {
        Self { activation, output, pooled: false, last: false }
    }
}

/// What shape inference yields: shape and type of each result.
pub(super) type Inferred = Result<Vec<(Shape, DType)>, String>;

impl Op {
    /// The operator's name as printed in plans and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Parameter(_) => "parameter",
            Self::Buffer(_) => "buffer",
            Self::Constant { .. } => "constant",
            Self::Gather(_) => "gather",
            Self::Conv2d(_) => "conv2d",
            Self::Conv2dBackwardData(_) => "conv2d_backward_data",
            Self::Conv2dBackwardWeight(_) => "conv2d_backward_weight",
            Self::MatMul(_) => "matmul",
            Self::Pool2d(pool) => pool.name(),
            Self::Pool2dBackward(back) => back.name(),
            Self::AdaptivePool2d(pool) => pool.name(),
            Self::AdaptivePool2dBackward(back) => back.name(),
            Self::Unary(unary) => unary.name(),
            Self::UnaryBackward(unary) => unary.backward_name(),
            Self::Binary(binary) => binary.name(),
            Self::Broadcast(_) => "broadcast",
            Self::Chain(_) => "chain",
            Self::Reduce(reduce) => reduce.name(),
            Self::Reshape(_) => "reshape",
            Self::Permute(_) => "permute",
            Self::Concat(_) => "concat",
            Self::Slice(_) => "slice",
            Self::Pad(_) => "pad",
            Self::EdgePad(pad) => pad.name(),
            Self::EdgePadBackward(pad) => pad.backward_name(),
            Self::Softmax(softmax) => softmax.name(),
            Self::SoftmaxBackward(softmax) => softmax.backward_name(),
            Self::ResponseNorm(_) => "response_norm",
            Self::ResponseNormBackward(_) => "response_norm_backward",
            Self::Norm(norm) => norm.name(),
            Self::NormBackward(norm) => norm.backward_name(),
            Self::NormBackwardWeight(norm) => norm.backward_weight_name(),
            Self::CrossEntropy(_) => "cross_entropy",
            Self::CrossEntropyGrad(_) => "cross_entropy_grad",
            Self::BatchNorm(_) => "batch_norm",
            Self::BatchNormBackward(_) => "batch_norm_backward",
            Self::Dropout(_) => "dropout",
            Self::BinaryCrossEntropy(_) => "bce_with_logits",
            Self::BinaryCrossEntropyGrad(_) => "bce_with_logits_grad",
        }
    }

    /// A view under another shape.
    pub(crate) fn reshape(shape: &[usize]) -> Self {
        Self::Reshape(Reshape(shape.into()))
    }

    /// The fewest and the most operands, and whether they must all be F32.
    fn operands(&self) -> (usize, usize, bool) {
        match self {
            Self::Input | Self::Parameter(_) | Self::Buffer(_) | Self::Constant { .. } => (0, 0, true),
            Self::Gather(_) => (3, 3, false),
            Self::Conv2d(_) | Self::MatMul(_) => (2, 3, true),
            Self::Conv2dBackwardData(_) | Self::Conv2dBackwardWeight(_) => (2, 2, true),
            Self::UnaryBackward(_) | Self::SoftmaxBackward(_) | Self::Binary(_) => (2, 2, true),
            Self::ResponseNormBackward(_) => (2, 2, true),
            Self::Norm(_) => (1, 3, true),
            Self::NormBackward(_) => (4, 5, true),
            Self::NormBackwardWeight(_) => (4, 4, true),
            Self::Pool2dBackward(back) if back.pool.average => (1, 1, true),
            Self::AdaptivePool2dBackward(back) if back.average => (1, 1, true),
            Self::Pool2dBackward(_) | Self::AdaptivePool2dBackward(_) => (2, 2, false),
            Self::CrossEntropy(loss) => (loss.operands(), loss.operands(), false),
            Self::CrossEntropyGrad(CrossEntropyGrad(loss)) => (loss.operands() + 1, loss.operands() + 1, false),
            Self::BinaryCrossEntropy(loss) => (loss.operands(), loss.operands(), true),
            Self::BinaryCrossEntropyGrad(BinaryCrossEntropyGrad(loss)) => {
                (loss.operands() + 1, loss.operands() + 1, true)
            }
            Self::Reshape(_) => (1, 1, false),
            Self::BatchNorm(_) => (5, 5, true),
            Self::BatchNormBackward(_) => (3, 3, true),
            Self::Chain(_) | Self::Concat(_) => (1, usize::MAX, true),
            _ => (1, 1, true),
        }
    }

    /// Refuses too few or too many operands, and operands of the wrong type.
    pub(super) fn check_operands(&self, inputs: &[&ValueInfo]) -> Result<(), String> {
        let (fewest, most, floats) = self.operands();
        if inputs.len() < fewest && most == usize::MAX {
            return Err(format!("{} takes {fewest} or more operands, got {}", self.name(), inputs.len()));
        }
        if inputs.len() < fewest || inputs.len() > most {
            return Err(format!("{} takes {fewest} to {most} operands, got {}", self.name(), inputs.len()));
        }
        match inputs.iter().find(|info| floats && info.dtype != DType::F32) {
            Some(info) => Err(format!("{} takes F32 operands, got {:?} {:?}", self.name(), info.dtype, info.shape)),
            None => Ok(()),
        }
    }

    /// Shapes and types of the results, or what is wrong with the operands.
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        match self {
            Self::Input | Self::Parameter(_) | Self::Buffer(_) => {
                Err(format!("declare an {} with its shape", self.name()))
            }
            Self::Constant { shape, .. } => Ok(vec![(shape.clone(), DType::F32)]),
            Self::Gather(gather) => gather.infer(inputs),
            Self::Conv2d(conv) => conv.infer(inputs),
            Self::Conv2dBackwardData(back) => back.infer(inputs),
            Self::Conv2dBackwardWeight(back) => back.infer(inputs),
            Self::MatMul(matmul) => matmul.infer(inputs),
            Self::Pool2d(pool) => pool.infer(inputs),
            Self::Pool2dBackward(back) => back.infer(inputs),
            Self::AdaptivePool2d(pool) => pool.infer(inputs),
            Self::AdaptivePool2dBackward(back) => back.infer(inputs),
            Self::Unary(_) => elementwise::infer_unary(inputs),
            Self::UnaryBackward(_) | Self::SoftmaxBackward(_) | Self::ResponseNormBackward(_) => {
                elementwise::infer_same(self.name(), inputs)
            }
            Self::Binary(binary) => binary.infer(inputs),
            Self::Broadcast(shape) => elementwise::infer_broadcast(shape, inputs),
            Self::Chain(chain) => chain.infer(inputs),
            Self::Reduce(reduce) => reduce.infer(inputs),
            Self::Reshape(reshape) => reshape.infer(inputs),
            Self::Permute(permute) => permute.infer(inputs),
            Self::Concat(concat) => concat.infer(inputs),
            Self::Slice(slice) => slice.infer(inputs),
            Self::Pad(pad) => pad.infer(inputs),
            Self::EdgePad(pad) => pad.infer(inputs),
            Self::EdgePadBackward(pad) => pad.infer_backward(inputs),
            Self::Softmax(softmax) => softmax.infer(inputs),
            Self::ResponseNorm(norm) => norm.infer(inputs),
            Self::Norm(norm) => norm.infer(inputs),
            Self::NormBackward(norm) => norm.infer_backward(inputs, false),
            Self::NormBackwardWeight(norm) => norm.infer_backward(inputs, true),
            Self::CrossEntropy(loss) => loss.infer(inputs),
            Self::CrossEntropyGrad(grad) => grad.infer(inputs),
            Self::BatchNorm(norm) => norm.infer(inputs),
            Self::BatchNormBackward(back) => back.infer(inputs),
            Self::Dropout(dropout) => dropout.infer(inputs),
            Self::BinaryCrossEntropy(loss) => loss.infer(inputs),
            Self::BinaryCrossEntropyGrad(grad) => grad.infer(inputs),
        }
    }

    /// Appends the gradients by those inputs for which `needs` is set, given the gradients of the results.
    pub(super) fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        grads: &[Option<Value>],
        needs: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let Some(grad) = grads[0] else { return Ok(vec![None; needs.len()]) };
        match self {
            Self::Conv2d(conv) => conv.gradient(graph, node, grad, needs),
            Self::MatMul(matmul) => matmul.gradient(graph, node, grad, needs),
            Self::Pool2d(pool) => pool.gradient(graph, node, grad),
            Self::AdaptivePool2d(pool) => pool.gradient(graph, node, grad),
            Self::Unary(unary) => unary.gradient(graph, node, grad),
            Self::Binary(binary) => binary.gradient(graph, node, grad, needs),
            Self::Broadcast(_) => elementwise::gradient_broadcast(graph, node, grad),
            Self::Reduce(reduce) => reduce.gradient(graph, node, grad),
            Self::Reshape(_) => layout::gradient(graph, node, grad),
            Self::Permute(permute) => permute.gradient(graph, grad),
            Self::Concat(concat) => concat.gradient(graph, node, grad, needs),
            Self::Slice(slice) => slice.gradient(graph, node, grad),
            Self::Pad(pad) => pad.gradient(graph, grad),
            Self::EdgePad(pad) => pad.gradient(graph, grad),
            Self::Softmax(softmax) => softmax.gradient(graph, node, grad),
            Self::BatchNorm(norm) => norm.gradient(graph, node, grad),
            Self::Dropout(dropout) => dropout.gradient(graph, grad),
            Self::CrossEntropy(loss) => loss.gradient(graph, node, grad, needs),
            Self::BinaryCrossEntropy(loss) => loss.gradient(graph, node, grad, needs),
            Self::ResponseNorm(norm) => norm.gradient(graph, node, grad),
            Self::Norm(norm) => norm.gradient(graph, node, grad, needs),
            _ => Err(Error::shape(&*node.layer, format!("{} has no gradient", self.name()))),
        }
    }

    /// Results that lie where an operand lies: index of the result, index of the operand.
    pub(crate) fn aliases(&self) -> &'static [(usize, usize)] {
        match self {
            Self::Reshape(_) => &[(0, 0)],
            Self::BatchNorm(BatchNorm { training: true, .. }) => &[(2, 3), (3, 4)],
            _ => &[],
        }
    }

    /// Whether they can add a tensor to it.
    pub(crate) fn takes_addend(&self) -> bool {
        match self {
            Self::BatchNorm(_) => true,
            Self::MatMul(matmul) => !matmul.row_sums,
            _ => false,
        }
    }

    /// Whether they can multiply it by the derivative of an activation.
    pub(crate) fn takes_mask(&self) -> bool {
        self.takes_epilogue() && !matches!(self, Self::BatchNorm(_) | Self::Norm(_))
    }

    /// Whether the kernels of this operator can apply an [`Epilogue`] to their first result.
    pub(crate) fn takes_epilogue(&self) -> bool {
        match self {
            Self::Conv2d(_) | Self::Conv2dBackwardData(_) | Self::Pool2dBackward(_) => true,
            Self::BatchNorm(_) | Self::Norm(_) => true,
            Self::AdaptivePool2dBackward(_) | Self::ResponseNormBackward(_) | Self::Slice(_) | Self::Pad(_) => true,
            Self::MatMul(matmul) => !matmul.row_sums,
            _ => false,
        }
    }
}
