//! Batch normalisation (Ioffe and Szegedy 2015), PyTorch's `BatchNorm2d`.

use super::op::Inferred;
use super::*;

/// `(x [N,C,...], weight [C], bias [C], running_mean [C], running_var [C]) -> y, coefficients [C,4]`, in training also
/// the running statistics, updated in place.
///
/// `y = (x - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]`. In training, mean and (biased) variance are those of the
/// batch over all axes but the second, and `running = (1 - momentum) running + momentum batch`, with the unbiased
/// variance; otherwise they are the running ones. The coefficients of a channel are `mean, 1 / sqrt(var + eps),
/// weight / sqrt(var + eps), bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Normalise by the statistics of the batch.
    pub training: bool,
    /// Update the running statistics; of no meaning outside of training.
    pub update: bool,
    /// Share of the batch in the running statistics.
    pub momentum: f32,
    /// Added to the variance.
    pub eps: f32,
}

/// `(dy, x, coefficients) -> dx, dweight [C], dbias [C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormBackward {
    /// Whether mean and variance depended on `x`.
    pub training: bool,
}

/// Samples, channels, and elements of a sample in a channel.
pub(crate) fn extents(x: &[usize]) -> [usize; 3] {
    [x[0], x[1], x[2..].iter().product()]
}

impl BatchNorm {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let x = &inputs[0].shape;
        let &[_, c, ..] = &x[..] else {
            return Err(format!("batch_norm wants x [N,C,...], got {x:?}"));
        };
        let names = ["weight", "bias", "running_mean", "running_var"];
        for (name, info) in names.iter().zip(&inputs[1..]) {
            if info.shape != [c] {
                return Err(format!("batch_norm: {name} has shape {:?}, expected [{c}]", info.shape));
            }
        }
        if self.training && x.iter().product::<usize>() == c {
            return Err(format!(
                "batch_norm: one value per channel in {x:?} has no variance; train with a larger batch or images"
            ));
        }
        let mut yields = vec![(x.clone(), DType::F32), (vec![c, 4], DType::F32)];
        if self.training {
            yields.extend([(vec![c], DType::F32), (vec![c], DType::F32)]);
        }
        Ok(yields)
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let op = Op::BatchNormBackward(BatchNormBackward { training: self.training });
        let outputs = graph.add_node(op, &[grad, node.inputs[0], node.outputs[1]])?;
        Ok(vec![Some(outputs[0]), Some(outputs[1]), Some(outputs[2]), None, None])
    }
}

impl BatchNormBackward {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let [dy, x, coefficients] = [&inputs[0].shape, &inputs[1].shape, &inputs[2].shape];
        if dy != x || coefficients[..] != [x[1], 4] {
            return Err(format!(
                "batch_norm_backward: dy {dy:?}, x {x:?} and coefficients {coefficients:?} do not fit"
            ));
        }
        Ok(vec![(x.clone(), DType::F32), (vec![x[1]], DType::F32), (vec![x[1]], DType::F32)])
    }
}

impl Graph {
    /// Batch normalisation of `x [N,C,...]`; `state` are weight, bias, running mean and running variance, each `[C]`.
    /// Whether it is that of training is the graph's [`Mode`].
    pub fn batch_norm(&mut self, x: Value, state: [Value; 4], momentum: f32, eps: f32) -> Result<Value> {
        let training = self.mode().training;
        let [weight, bias, mean, var] = state;
        let op = BatchNorm { training, update: training, momentum, eps };
        self.add_one(Op::BatchNorm(op), &[x, weight, bias, mean, var])
    }
}
