//! Two-dimensional convolution and its gradients.
//!
//! `y[n,k,oh,ow] = bias[k] + sum over c,r,s of weight[k,c,r,s] x[n, g C/groups + c, oh stride + r dilation - padding, ...]`
//! where `g` is the group of output channel `k` and `x` is zero outside of its extents (PyTorch's `Conv2d`).

use super::op::Inferred;
use super::*;

/// Attributes of a convolution; pairs are `[height, width]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Distance between windows.
    pub stride: [usize; 2],
    /// Zeros around the input, on each side.
    pub padding: [usize; 2],
    /// Distance between the taps of a window.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self { stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 }
    }
}

/// `(dy [N,K,OH,OW], weight [K,C/groups,R,S]) -> dx [N,C,H,W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2dBackwardData {
    /// The convolution's attributes.
    pub conv: Conv2d,
    /// The shape of its input.
    pub input: Shape,
}

/// `(x [N,C,H,W], dy [N,K,OH,OW]) -> dweight [K,C/groups,R,S], dbias [K]`; the second result only with `bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2dBackwardWeight {
    /// The convolution's attributes.
    pub conv: Conv2d,
    /// The shape of its weight.
    pub weight: Shape,
    /// Whether the bias gradient is wanted as well.
    pub bias: bool,
}

impl Conv2d {
    /// The shape of the result for an input and a weight.
    pub fn output_shape(&self, x: &[usize], weight: &[usize]) -> Result<Shape, String> {
        let (&[n, c, h, w], &[k, cg, r, s]) = (x, weight) else {
            return Err(format!("conv2d wants x [N,C,H,W] and weight [K,C,R,S], got x {x:?} and weight {weight:?}"));
        };
        if self.stride.contains(&0) || self.dilation.contains(&0) || self.groups == 0 || r * s == 0 {
            return Err("conv2d wants stride, dilation, groups and kernel of at least 1".into());
        }
        if c % self.groups != 0 || c / self.groups != cg {
            let groups = self.groups;
            return Err(format!(
                "conv2d: x {x:?} has {c} channels, but weight {weight:?} in {groups} group(s) wants {cg} in each"
            ));
        }
        if k % self.groups != 0 {
            return Err(format!("conv2d: {k} output channels do not divide into {} groups", self.groups));
        }
        let size = |axis: usize, input, kernel| {
            let [padding, stride, dilation] = [self.padding[axis], self.stride[axis], self.dilation[axis]];
            output_size(input, kernel, stride, padding, dilation, false).ok_or_else(|| {
                format!(
                    "conv2d: the {r}x{s} kernel (dilation {:?}) is larger than the {h}x{w} input with padding {:?}",
                    self.dilation, self.padding
                )
            })
        };
        Ok(vec![n, k, size(0, h, r)?, size(1, w, s)?])
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let shape = self.output_shape(&inputs[0].shape, &inputs[1].shape)?;
        if let Some(bias) = inputs.get(2)
            && bias.shape != [shape[1]]
        {
            return Err(format!("conv2d: bias has shape {:?}, expected [{}]", bias.shape, shape[1]));
        }
        Ok(vec![(shape, DType::F32)])
    }

    pub(super) fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        grad: Value,
        needs: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [x, weight] = [node.inputs[0], node.inputs[1]];
        let mut result = vec![None; needs.len()];
        let bias = needs.get(2).copied().unwrap_or(false);
        if needs[1] || bias {
            let op = Conv2dBackwardWeight { conv: self.clone(), weight: graph.shape(weight).into(), bias };
            let outputs = graph.add_node(Op::Conv2dBackwardWeight(op), &[x, grad])?;
            result[1] = Some(outputs[0]);
            if bias {
                result[2] = Some(outputs[1]);
            }
        }
        if needs[0] {
            let op = Conv2dBackwardData { conv: self.clone(), input: graph.shape(x).into() };
            result[0] = Some(graph.add_one(Op::Conv2dBackwardData(op), &[grad, weight])?);
        }
        Ok(result)
    }
}

impl Conv2dBackwardData {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let expected = self.conv.output_shape(&self.input, &inputs[1].shape)?;
        expect_shape("dy", &inputs[0].shape, &expected)?;
        Ok(vec![(self.input.clone(), DType::F32)])
    }
}

impl Conv2dBackwardWeight {
    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let expected = self.conv.output_shape(&inputs[0].shape, &self.weight)?;
        expect_shape("dy", &inputs[1].shape, &expected)?;
        let mut yields = vec![(self.weight.clone(), DType::F32)];
        if self.bias {
            yields.push((vec![self.weight[0]], DType::F32));
        }
        Ok(yields)
    }
}

fn expect_shape(name: &str, found: &[usize], expected: &[usize]) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{name} has shape {found:?}, expected {expected:?}")) }
}

impl Graph {
    /// Convolution of `x [N,C,H,W]` with `weight [K,C/groups,R,S]` and `bias [K]`: `[N,K,OH,OW]`.
    pub fn conv2d(&mut self, x: Value, weight: Value, bias: Option<Value>, conv: Conv2d) -> Result<Value> {
        let inputs: Vec<Value> = [x, weight].into_iter().chain(bias).collect();
        self.add_one(Op::Conv2d(conv), &inputs)
    }
}
