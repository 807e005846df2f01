//! Matrix product, with each operand transposed or not, and the fully connected layer built from it.

use super::op::Inferred;
use super::*;

/// `op(a) [M,K] x op(b) [K,N] + bias [N] -> [M,N]`, where `op` is the transpose if asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatMul {
    /// `a` is stored as `[K,M]`.
    pub transpose_a: bool,
    /// `b` is stored as `[N,K]`.
    pub transpose_b: bool,
    /// A second result `[M]`: the sums over `K` of each row of `op(a)`. This is the bias gradient of a fully connected
    /// layer, which rides along with its weight gradient.
    pub row_sums: bool,
}

impl MatMul {
    /// `M`, `N` and `K` for operands of these shapes.
    pub fn extents(&self, a: &[usize], b: &[usize]) -> Result<[usize; 3], String> {
        let (&[a0, a1], &[b0, b1]) = (a, b) else {
            return Err(format!("matmul wants two matrices, got {a:?} and {b:?}"));
        };
        let (m, k) = if self.transpose_a { (a1, a0) } else { (a0, a1) };
        let (k2, n) = if self.transpose_b { (b1, b0) } else { (b0, b1) };
        if k != k2 {
            let mark = |transposed| if transposed { " transposed" } else { "" };
            return Err(format!(
                "matmul: {a:?}{} and {b:?}{} do not fit: the inner extents are {k} and {k2}",
                mark(self.transpose_a),
                mark(self.transpose_b)
            ));
        }
        Ok([m, n, k])
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let [m, n, _] = self.extents(&inputs[0].shape, &inputs[1].shape)?;
        if let Some(bias) = inputs.get(2)
            && bias.shape != [n]
        {
            return Err(format!("matmul: bias has shape {:?}, expected [{n}]", bias.shape));
        }
        let mut yields = vec![(vec![m, n], DType::F32)];
        if self.row_sums {
            yields.push((vec![m], DType::F32));
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
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let mut result = vec![None; needs.len()];
        let product = |graph: &mut Graph, a, b, transpose_a, transpose_b, row_sums| {
            graph.add_node(Op::MatMul(MatMul { transpose_a, transpose_b, row_sums }), &[a, b])
        };
        let mut bias = needs.get(2).copied().unwrap_or(false);
        if needs[1] {
            // For `op(b)` = b^T the gradient is dy^T op(a), whose rows are those of dy^T: the bias gradient rides along.
            let ride = bias && self.transpose_b;
            let outputs = match self.transpose_b {
                true => product(graph, grad, a, true, self.transpose_a, ride)?,
                false => product(graph, a, grad, !self.transpose_a, false, false)?,
            };
            result[1] = Some(outputs[0]);
            if ride {
                result[2] = Some(outputs[1]);
                bias = false;
            }
        }
        if bias {
            result[2] = Some(graph.sum(grad, &[0], false)?);
        }
        if needs[0] {
            let outputs = match self.transpose_a {
                true => product(graph, b, grad, self.transpose_b, true, false)?,
                false => product(graph, grad, b, false, !self.transpose_b, false)?,
            };
            result[0] = Some(outputs[0]);
        }
        Ok(result)
    }
}

impl Graph {
    /// `op(a) [M,K] x op(b) [K,N] -> [M,N]`.
    pub fn matmul(&mut self, a: Value, b: Value, transpose_a: bool, transpose_b: bool) -> Result<Value> {
        self.add_one(Op::MatMul(MatMul { transpose_a, transpose_b, row_sums: false }), &[a, b])
    }

    /// Fully connected layer (PyTorch's `Linear`): `x [N,I] x weight [O,I]^T + bias [O] -> [N,O]`.
    pub fn linear(&mut self, x: Value, weight: Value, bias: Option<Value>) -> Result<Value> {
        let inputs: Vec<Value> = [x, weight].into_iter().chain(bias).collect();
        self.add_one(Op::MatMul(MatMul { transpose_b: true, ..MatMul::default() }), &inputs)
    }
}
