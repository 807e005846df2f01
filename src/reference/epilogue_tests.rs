//! What fusion appends to a node is what the separate nodes compute.

use super::*;
use crate::graph::{DType, Epilogue, Mask, MatMul, Unary};

/// `a b`, its activation, the gradient of that by its result; and the node of `a b` rewritten with `epilogue`.
fn fused(epilogue: impl Fn(Value) -> Epilogue) -> [Array; 3] {
    let mut graph = Graph::new();
    let a = graph.input("a", &[3, 4], DType::F32).unwrap();
    let b = graph.input("b", &[4, 5], DType::F32).unwrap();
    let output = graph.input("output", &[3, 5], DType::F32).unwrap();
    let product = graph.matmul(a, b, false, false).unwrap();
    let activated = graph.tanh(product).unwrap();
    let masked = graph.add_one(Op::UnaryBackward(Unary::Relu), &[activated, output]).unwrap();
    let op = Op::MatMul(MatMul { row_sums: true, ..MatMul::default() });
    let fused = graph.add_node(op, &[a, b]).unwrap();
    let sums = graph.sum(a, &[1], false).unwrap();
    graph.nodes_mut().iter_mut().filter(|node| node.outputs == fused).for_each(|node| node.epilogue = epilogue(output));
    let mut values = evaluate(&graph, &feeds(&graph, 9)).unwrap();
    assert_eq!(values[fused[1].index()], values[sums.index()], "only the first result passes through");
    [activated, masked, fused[0]].map(|value| values[value.index()].take().unwrap())
}

#[test]
fn an_activation_is_applied() {
    let [activated, _, fused] = fused(|_| Epilogue { activation: Some(Unary::Tanh), ..Epilogue::default() });
    assert_eq!(fused, activated);
}

#[test]
fn a_mask_is_applied_after_the_activation() {
    let [_, masked, fused] = fused(|output| Epilogue {
        activation: Some(Unary::Tanh),
        mask: Some(Mask::new(Unary::Relu, output)),
        ..Epilogue::default()
    });
    assert_eq!(fused, masked);
    assert!(masked.data.contains(&0.0) && masked.data.iter().any(|&x| x != 0.0));
}

#[test]
fn a_mask_that_is_not_known_leaves_the_result_unknown() {
    let mut graph = Graph::new();
    let x = graph.constant(1.0, &[2]).unwrap();
    let output = graph.input("output", &[2], DType::F32).unwrap();
    let y = graph.relu(x).unwrap();
    graph.nodes_mut()[2].epilogue.mask = Some(Mask::new(Unary::Relu, output));
    assert_eq!(evaluate(&graph, &HashMap::new()).unwrap()[y.index()], None);
}
