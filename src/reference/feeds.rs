//! Random contents for the leaves of a graph.

use super::Array;
use crate::graph::{CrossEntropyGrad, DType, Graph, Node, Op, Value};
use rand::Rng;
use rand_pcg::Pcg32;
use std::collections::HashMap;

/// Contents for every input and parameter of `graph`: floats are uniform in `[-1, 1)` and exact in f32, bytes are
/// random, and indices (labels, sample orders) are in the range that their readers allow.
///
/// Each leaf has a random stream of its own, so a graph and its derivative agree on the leaves they share.
pub fn feeds(graph: &Graph, seed: u64) -> HashMap<Value, Array> {
    let leaves = graph.inputs().chain(graph.state().map(|(name, value, _)| (name, value)));
    leaves.map(|(_, value)| (value, draw(graph, value, &mut Pcg32::new(seed, value.index() as u64)))).collect()
}

fn draw(graph: &Graph, value: Value, random: &mut Pcg32) -> Array {
    let info = graph.info(value);
    let end = index_end(graph, value).unwrap_or(1) as u64;
    Array::zeros(&info.shape).map(|_| {
        let bits = random.next_u32();
        match info.dtype {
            // 24 bits, as many as an f32 holds.
            DType::F32 | DType::F16 => f64::from(bits >> 8) / f64::from(1 << 23) - 1.0,
            DType::U32 => ((u64::from(bits) * end) >> 32) as f64,
            DType::U8 => f64::from(bits >> 24),
        }
    })
}

/// The end of the range of indices that the readers of `value` allow.
fn index_end(graph: &Graph, value: Value) -> Option<usize> {
    let by_reader = |node: &Node| match (&node.op, &node.inputs[..]) {
        (Op::CrossEntropy(loss) | Op::CrossEntropyGrad(CrossEntropyGrad(loss)), inputs @ &[logits, labels, ..])
            if labels == value || loss.mix(inputs).is_some_and(|[partner, _]| partner == value) =>
        {
            graph.shape(logits).last().copied()
        }
        (Op::Gather(_), &[images, _, order]) if order == value => graph.shape(images).first().copied(),
        (Op::Gather(_), &[_, labels, _]) if labels == value => {
            node.outputs[1..].iter().take(2).filter_map(|&labels| index_end(graph, labels)).min()
        }
        _ => None,
    };
    graph.nodes().iter().filter_map(by_reader).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Gather;

    #[test]
    fn contents_fit_their_readers() {
        let mut graph = Graph::new();
        let images = graph.input("images", &[50, 1, 1, 3], DType::U8).unwrap();
        let labels = graph.input("labels", &[50], DType::U32).unwrap();
        let order = graph.input("order", &[50], DType::U32).unwrap();
        let gather = Gather::plain(20, &[0.5], &[0.5]);
        let (x, y) = graph.gather(images, labels, order, gather).unwrap();
        let logits = graph.reshape(x, &[20, 3]).unwrap();
        graph.cross_entropy(logits, y).unwrap();
        let drawn = feeds(&graph, 1);
        let range =
            |value: Value| drawn[&value].data.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
        assert_eq!(range(labels), (0.0, 2.0));
        assert!(range(order).1 < 50.0 && range(order).1 > 30.0);
        assert!(range(images).1 <= 255.0 && range(images).1 > 200.0);
        assert_eq!(drawn, feeds(&graph, 1));
        assert_ne!(drawn, feeds(&graph, 2));
    }

    #[test]
    fn floats_are_exact_in_f32_and_centred() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1000], DType::F32).unwrap();
        let data = &feeds(&graph, 3)[&x].data;
        assert!(data.iter().all(|&x| x == f64::from(x as f32) && (-1.0..1.0).contains(&x)));
        assert!(data.iter().sum::<f64>().abs() < 60.0);
    }
}
