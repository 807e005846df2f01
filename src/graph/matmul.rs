//! Matrix products, one or a batch of them, with each operand transposed or not, and the fully connected layer built from
//! them.

use super::op::Inferred;
use super::*;

/// `op(a) [..., M,K] x op(b) [..., K,N] + bias [N] -> [..., M,N]`, where `op` is the transpose of the last two axes if asked
/// for (PyTorch's `matmul`). Axes before these are the same for both operands, or one operand is a matrix that all those of
/// the other meet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MatMul {
    /// `a` is stored as `[..., K,M]`.
    pub transpose_a: bool,
    /// `b` is stored as `[..., N,K]`.
    pub transpose_b: bool,
    /// A second result `[..., M]`: the sums over `K` of each row of `op(a)`. This is the bias gradient of a fully connected
    /// layer, which rides along with its weight gradient. There is none where one `a` meets many matrices.
    pub row_sums: bool,
}

impl MatMul {
    /// `M`, `N` and `K` of each product, for operands of these shapes.
    pub fn extents(&self, a: &[usize], b: &[usize]) -> Result<[usize; 3], String> {
        let (&[ref batch_a @ .., a0, a1], &[ref batch_b @ .., b0, b1]) = (a, b) else {
            return Err(format!("matmul wants matrices, or batches of them, got {a:?} and {b:?}"));
        };
        if batch_a != batch_b && !batch_a.is_empty() && !batch_b.is_empty() {
            return Err(format!(
                "matmul: {a:?} and {b:?} do not fit: the axes before the last two must be the same, or one operand a matrix"
            ));
        }
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

    /// The axes before the last two of the product of operands of these shapes.
    pub fn batch<'a>(a: &'a [usize], b: &'a [usize]) -> &'a [usize] {
        let longer = if a.len() > b.len() { a } else { b };
        &longer[..longer.len().saturating_sub(2)]
    }

    /// `K` of a node with this operator.
    pub(crate) fn depth(&self, graph: &Graph, node: &Node) -> usize {
        let shape = |index: usize| node.inputs.get(index).map_or(&[][..], |&value| graph.shape(value));
        self.extents(shape(0), shape(1)).map_or(1, |[_, _, k]| k)
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let [a, b] = [&inputs[0].shape, &inputs[1].shape];
        let [m, n, _] = self.extents(a, b)?;
        if let Some(bias) = inputs.get(2)
            && bias.shape != [n]
        {
            return Err(format!("matmul: bias has shape {:?}, expected [{n}]", bias.shape));
        }
        let batch = Self::batch(a, b);
        let mut yields = vec![([batch, &[m, n]].concat(), DType::F32)];
        if self.row_sums {
            if a.len() < b.len() {
                return Err(format!("matmul: one matrix {a:?} meets many, {b:?}; sum its rows by themselves"));
            }
            yields.push(([batch, &[m]].concat(), DType::F32));
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
        let is_batch = graph.shape(grad).len() > 2;
        let is_shared = [a, b].map(|value| is_batch && graph.shape(value).len() == 2);
        let mut result = vec![None; needs.len()];
        let product = |graph: &mut Graph, a, b, transpose_a, transpose_b, row_sums| {
            graph.add_node(Op::MatMul(MatMul { transpose_a, transpose_b, row_sums }), &[a, b])
        };
        let mut bias = needs.get(2).copied().unwrap_or(false);
        if needs[1] {
            // What one matrix gets from the products in which it meets many is one product, over all they sum over.
            let [a, grad] = match is_shared[1] {
                true => [graph.joined(a, self.transpose_a)?, graph.joined(grad, false)?],
                false => [a, grad],
            };
            // For `op(b)` = b^T the gradient is dy^T op(a), whose rows are those of dy^T: the bias gradient rides along.
            let ride = bias && self.transpose_b && (is_shared[1] || !is_batch);
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
            let but_the_last: Vec<usize> = (0..graph.shape(grad).len() - 1).collect();
            result[2] = Some(graph.sum(grad, &but_the_last, false)?);
        }
        if needs[0] {
            let [b, grad] = match is_shared[0] {
                true => [graph.joined(b, !self.transpose_b)?, graph.joined(grad, true)?],
                false => [b, grad],
            };
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
    /// `op(a) [..., M,K] x op(b) [..., K,N] -> [..., M,N]`: PyTorch's `matmul`, for operands of two axes or more. Those before
    /// the last two are the same for both, or one operand is a matrix.
    pub fn matmul(&mut self, a: Value, b: Value, transpose_a: bool, transpose_b: bool) -> Result<Value> {
        self.add_one(Op::MatMul(MatMul { transpose_a, transpose_b, row_sums: false }), &[a, b])
    }

    /// Fully connected layer (PyTorch's `Linear`): `x [...,N,I] x weight [O,I]^T + bias [O] -> [...,N,O]`.
    pub fn linear(&mut self, x: Value, weight: Value, bias: Option<Value>) -> Result<Value> {
        let inputs: Vec<Value> = [x, weight].into_iter().chain(bias).collect();
        self.add_one(Op::MatMul(MatMul { transpose_b: true, ..MatMul::default() }), &inputs)
    }

    /// The matrices of `x [..., P,Q]` as one: one below the other, `[... * P, Q]`, or side by side, `[P, ... * Q]`.
    fn joined(&mut self, x: Value, side_by_side: bool) -> Result<Value> {
        let shape = self.shape(x).to_vec();
        let rank = shape.len();
        let [rows, columns] = [shape[rank - 2], shape[rank - 1]];
        let count: usize = shape[..rank - 2].iter().product();
        if !side_by_side {
            return self.reshape(x, &[count * rows, columns]);
        }
        let order: Vec<usize> = [rank - 2].into_iter().chain(0..rank - 2).chain([rank - 1]).collect();
        let turned = self.permute(x, &order)?;
        self.reshape(turned, &[rows, count * columns])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(op: &MatMul, a: &[usize], b: &[usize]) -> Result<Vec<Shape>> {
        let mut graph = Graph::new();
        let inputs = [graph.input("a", a, DType::F32)?, graph.input("b", b, DType::F32)?];
        let outputs = graph.add_node(Op::MatMul(op.clone()), &inputs)?;
        Ok(outputs.into_iter().map(|output| graph.shape(output).into()).collect())
    }

    #[test]
    fn shapes_are_those_of_pytorch() {
        let plain = MatMul { row_sums: true, ..MatMul::default() };
        assert_eq!(product(&plain, &[2, 3, 4, 5], &[2, 3, 5, 6]).unwrap(), [vec![2, 3, 4, 6], vec![2, 3, 4]]);
        assert_eq!(product(&plain, &[7, 4, 5], &[5, 6]).unwrap(), [vec![7, 4, 6], vec![7, 4]]);
        let turned = MatMul { transpose_a: true, transpose_b: true, row_sums: false };
        assert_eq!(product(&turned, &[5, 4], &[7, 6, 5]).unwrap(), [vec![7, 4, 6]]);
    }

    #[test]
    fn operands_that_do_not_fit_are_refused() {
        let text = |a: &[usize], b: &[usize]| product(&MatMul::default(), a, b).unwrap_err().to_string();
        assert_eq!(text(&[4], &[4, 5]), "matmul: matmul wants matrices, or batches of them, got [4] and [4, 5]");
        let batches = "do not fit: the axes before the last two must be the same, or one operand a matrix";
        assert_eq!(text(&[2, 4, 5], &[3, 5, 6]), format!("matmul: matmul: [2, 4, 5] and [3, 5, 6] {batches}"));
        assert_eq!(text(&[1, 4, 5], &[3, 5, 6]), format!("matmul: matmul: [1, 4, 5] and [3, 5, 6] {batches}"));
        let inner = "do not fit: the inner extents are 5 and 4";
        assert_eq!(text(&[2, 4, 5], &[2, 4, 6]), format!("matmul: matmul: [2, 4, 5] and [2, 4, 6] {inner}"));
        let sums = MatMul { row_sums: true, ..MatMul::default() };
        let text = product(&sums, &[4, 5], &[2, 5, 6]).unwrap_err().to_string();
        assert!(text.contains("sum its rows by themselves"), "{text}");
    }
}
