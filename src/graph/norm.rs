//! Normalisation of each sample by itself: layer normalisation (Ba, Kiros and Hinton 2016) and group normalisation
//! (Wu and He 2018), PyTorch's `LayerNorm` and `GroupNorm`.
//!
//! Both cut `x` into rows of adjacent elements and give each row mean 0 and variance 1 (the biased variance, `eps` added
//! under the root). They differ in which weight an element has: in layer normalisation one for each position of the row,
//! in group normalisation one for each channel.

use super::op::Inferred;
use super::*;

/// What makes a row, and what has a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormOver {
    /// The last so many axes; weight and bias have their extents.
    LastAxes(usize),
    /// The channels of `[N,C,...]` in so many groups of neighbours; weight and bias are `[C]`.
    Groups(usize),
}

/// `(x [, weight [, bias]]) -> (y, mean, rstd)`: `y = (x - mean) * rstd * weight + bias`, with the mean of each row and
/// one over the root of its variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// What makes a row.
    pub over: NormOver,
    /// Added to the variance.
    pub eps: f32,
}

/// A tensor as normalisation sees it: `rows x length` elements, of which `inner` in a row share a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormExtents {
    /// Rows that are normalised each for itself.
    pub rows: usize,
    /// Elements of a row.
    pub length: usize,
    /// Weights.
    pub weights: usize,
    /// Neighbours that share a weight: element `i` of the tensor has weight `i / inner % weights`.
    pub inner: usize,
}

impl Norm {
    pub(super) fn name(self) -> &'static str {
        match self.over {
            NormOver::LastAxes(_) => "layer_norm",
            NormOver::Groups(_) => "group_norm",
        }
    }

    pub(super) fn backward_name(self) -> &'static str {
        match self.over {
            NormOver::LastAxes(_) => "layer_norm_backward",
            NormOver::Groups(_) => "group_norm_backward",
        }
    }

    pub(super) fn backward_weight_name(self) -> &'static str {
        match self.over {
            NormOver::LastAxes(_) => "layer_norm_backward_weight",
            NormOver::Groups(_) => "group_norm_backward_weight",
        }
    }

    /// Rows and weights of a tensor.
    pub fn extents(self, x: &[usize]) -> Result<NormExtents, String> {
        let elements: usize = x.iter().product();
        match self.over {
            NormOver::LastAxes(axes) => {
                if axes == 0 || axes > x.len() {
                    return Err(format!("layer_norm over the last {axes} axes of {x:?}, which has {}", x.len()));
                }
                let length: usize = x[x.len() - axes..].iter().product();
                Ok(NormExtents { rows: elements / length, length, weights: length, inner: 1 })
            }
            NormOver::Groups(groups) => {
                let &[n, c, ref rest @ ..] = x else {
                    return Err(format!("group_norm wants x [N,C,...], got {x:?}"));
                };
                if groups == 0 || c % groups != 0 {
                    return Err(format!("group_norm: {c} channels of {x:?} cannot be divided into {groups} groups"));
                }
                let rows = n * groups;
                Ok(NormExtents { rows, length: elements / rows, weights: c, inner: rest.iter().product() })
            }
        }
    }

    /// The shape of weight and bias for a tensor that [`Norm::extents`] accepts.
    pub fn weight_shape(self, x: &[usize]) -> Shape {
        match self.over {
            NormOver::LastAxes(axes) => x[x.len() - axes..].into(),
            NormOver::Groups(_) => vec![x[1]],
        }
    }

    pub(super) fn infer(self, inputs: &[&ValueInfo]) -> Inferred {
        let x = &inputs[0].shape;
        let extents = self.extents(x)?;
        let expected = self.weight_shape(x);
        for (what, info) in ["weight", "bias"].into_iter().zip(&inputs[1..]) {
            if info.shape != expected {
                return Err(format!("{}: {what} has shape {:?}, expected {expected:?}", self.name(), info.shape));
            }
        }
        let statistic = (vec![extents.rows], DType::F32);
        Ok(vec![(x.clone(), DType::F32), statistic.clone(), statistic])
    }

    /// `(dy, x, mean, rstd [, weight]) -> dx`, and `(dy, x, mean, rstd) -> (dweight, dbias)` if `weights`.
    pub(super) fn infer_backward(self, inputs: &[&ValueInfo], weights: bool) -> Inferred {
        let (dy, x) = (&inputs[0].shape, &inputs[1].shape);
        let extents = self.extents(x)?;
        if dy != x {
            return Err(format!("{}: dy {dy:?} and x {x:?} differ", self.backward_name()));
        }
        if inputs[2..4].iter().any(|info| info.shape != [extents.rows]) {
            return Err(format!("{}: mean and rstd must have shape [{}]", self.backward_name(), extents.rows));
        }
        let expected = self.weight_shape(x);
        match inputs.get(4) {
            Some(weight) if weight.shape != expected => {
                Err(format!("{}: weight has shape {:?}, expected {expected:?}", self.backward_name(), weight.shape))
            }
            _ if weights => Ok(vec![(expected.clone(), DType::F32), (expected, DType::F32)]),
            _ => Ok(vec![(x.clone(), DType::F32)]),
        }
    }

    pub(super) fn gradient(
        self,
        graph: &mut Graph,
        node: &Node,
        grad: Value,
        needs: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let mut inputs = vec![grad, node.inputs[0], node.outputs[1], node.outputs[2]];
        let mut grads = vec![None; needs.len()];
        if needs[1..].contains(&true) {
            let by_weights = graph.add_node(Op::NormBackwardWeight(self), &inputs)?;
            grads[1..].iter_mut().zip(by_weights).for_each(|(grad, value)| *grad = Some(value));
        }
        if needs[0] {
            inputs.extend(node.inputs.get(1));
            grads[0] = Some(graph.add_one(Op::NormBackward(self), &inputs)?);
        }
        Ok(grads)
    }
}

impl Graph {
    /// Layer normalisation over the last `axes` axes of `x`; weight and bias have their extents.
    pub fn layer_norm(
        &mut self,
        x: Value,
        axes: usize,
        weight: Option<Value>,
        bias: Option<Value>,
        eps: f32,
    ) -> Result<Value> {
        self.norm(x, weight, bias, Norm { over: NormOver::LastAxes(axes), eps })
    }

    /// Group normalisation of `x [N,C,...]` over `groups` groups of channels; weight and bias are `[C]`.
    pub fn group_norm(
        &mut self,
        x: Value,
        groups: usize,
        weight: Option<Value>,
        bias: Option<Value>,
        eps: f32,
    ) -> Result<Value> {
        self.norm(x, weight, bias, Norm { over: NormOver::Groups(groups), eps })
    }

    fn norm(&mut self, x: Value, weight: Option<Value>, bias: Option<Value>, norm: Norm) -> Result<Value> {
        if weight.is_none() && bias.is_some() {
            let message = format!("{}: a bias without a weight; add it afterwards", norm.name());
            return Err(Error::shape(self.path(""), message));
        }
        let inputs: Vec<Value> = [Some(x), weight, bias].into_iter().flatten().collect();
        Ok(self.add_node(Op::Norm(norm), &inputs)?[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_weights() {
        let norm = |over| Norm { over, eps: 1e-5 };
        let layer = norm(NormOver::LastAxes(2)).extents(&[2, 3, 5, 7]).unwrap();
        assert_eq!(layer, NormExtents { rows: 6, length: 35, weights: 35, inner: 1 });
        let group = norm(NormOver::Groups(2)).extents(&[3, 4, 5, 7]).unwrap();
        assert_eq!(group, NormExtents { rows: 6, length: 70, weights: 4, inner: 35 });
        assert!(norm(NormOver::Groups(2)).extents(&[3, 5, 7]).unwrap_err().contains("5 channels"));
        assert!(norm(NormOver::LastAxes(3)).extents(&[3, 5]).unwrap_err().contains("last 3 axes"));
    }

    #[test]
    fn weights_of_another_shape_are_refused() {
        let mut g = Graph::new();
        let mut input = |name: &str, shape: &[usize]| g.input(name, shape, DType::F32).unwrap();
        let (x, w, wrong) = (input("x", &[2, 4, 3]), input("w", &[4]), input("wrong", &[3]));
        let error = g.group_norm(x, 2, Some(w), Some(wrong), 1e-5).unwrap_err().to_string();
        assert!(error.contains("bias has shape [3], expected [4]"), "{error}");
        assert!(g.layer_norm(x, 1, Some(wrong), None, 1e-5).is_ok());
        assert!(g.layer_norm(x, 1, None, Some(wrong), 1e-5).unwrap_err().to_string().contains("without a weight"));
    }
}
