//! How much rounding to allow: the length of an operator's sums.

use crate::graph::{CrossEntropyGrad, Graph, Node, Op, longest_bin};

/// The number of terms that are added up for one element of the node's results, at most; 1 where nothing is.
///
/// A sum of `L` terms in f32 is off by about `sqrt(L)` roundings of the largest partial sum, and by `L` at worst, so
/// a tolerance should grow with it.
pub fn reduction_length(graph: &Graph, node: &Node) -> usize {
    let shape = |i: usize| node.inputs.get(i).map_or(&[][..], |&value| graph.shape(value));
    let product = |extents: &[usize]| extents.iter().product::<usize>();
    // Windows that one position of the input can lie in.
    let windows =
        |kernel: [usize; 2], stride: [usize; 2]| kernel[0].div_ceil(stride[0]) * kernel[1].div_ceil(stride[1]);
    let length = match (&node.op, shape(0), shape(1)) {
        (Op::Conv2d(_), _, [_, taps @ ..]) => product(taps),
        (Op::Conv2dBackwardData(op), _, &[k, _, r, s]) => k / op.conv.groups * r * s,
        (Op::Conv2dBackwardWeight(_), _, &[n, _, oh, ow]) => n * oh * ow,
        (Op::MatMul(op), ..) => op.depth(graph, node),
        (Op::Pool2d(pool), ..) if pool.average => product(&pool.kernel),
        (Op::Pool2dBackward(op), ..) => windows(op.pool.kernel, op.pool.stride),
        (Op::AdaptivePool2d(op), &[_, _, h, w], _) if op.average => {
            longest_bin(op.output[0], h) * longest_bin(op.output[1], w)
        }
        (Op::AdaptivePool2dBackward(op), &[_, _, oh, ow], _) => {
            longest_bin(op.input[2], oh) * longest_bin(op.input[3], ow)
        }
        (Op::Reduce(op), x, _) => op.length(x),
        (Op::Softmax(op) | Op::SoftmaxBackward(op), x, _) => x.get(op.axis).copied().unwrap_or(1),
        (Op::CrossEntropy(_) | Op::BinaryCrossEntropy(_), &[n, c], _) => n + c,
        (Op::CrossEntropyGrad(CrossEntropyGrad(op)), &[n, c], _) if op.weighted => n + c,
        (Op::ResponseNorm(op) | Op::ResponseNormBackward(op), ..) => op.size,
        (Op::Norm(op) | Op::NormBackward(op), x, _) => op.extents(x).map_or(1, |at| at.length),
        (Op::NormBackwardWeight(op), x, _) => op.extents(x).map_or(1, |at| at.rows * at.length / at.weights),
        (Op::CrossEntropyGrad(_), &[_, c], _) => c,
        (Op::BatchNorm(_) | Op::BatchNormBackward(_), &[n, _, ref rest @ ..], _) => n * product(rest),
        _ => 1,
    };
    length.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, DType, Pool2d, differentiate_from};

    #[test]
    fn lengths_of_a_small_network() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 4, 9, 9], DType::F32).unwrap();
        let weight = graph.input("weight", &[6, 2, 3, 3], DType::F32).unwrap();
        let conv = Conv2d { groups: 2, ..Conv2d::default() };
        let y = graph.conv2d(x, weight, None, conv).unwrap();
        let y = graph.pool2d(y, Pool2d { stride: [2, 2], ..Pool2d::average([3, 3]) }).unwrap();
        let dy = graph.input("dy", &[2, 6, 3, 3], DType::F32).unwrap();
        let graph = differentiate_from(&graph, &[(y, dy)], &[x, weight]).unwrap().graph;
        let lengths: Vec<_> =
            graph.nodes().iter().map(|node| (node.op.name(), reduction_length(&graph, node))).collect();
        let expected = [
            ("conv2d", 2 * 9),
            ("avg_pool2d", 9),
            ("avg_pool2d_backward", 4),
            ("conv2d_backward_weight", 2 * 49),
            ("conv2d_backward_data", 3 * 9),
        ];
        assert_eq!(lengths.into_iter().filter(|(_, length)| *length > 1).collect::<Vec<_>>(), expected);
    }
}
