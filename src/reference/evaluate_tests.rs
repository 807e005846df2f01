//! What the evaluator does with feeds that are missing, wrong, or override a value.

use super::*;
use crate::graph::{CrossEntropy, DType, Pool2dBackward};

fn array(shape: &[usize], data: &[f64]) -> Array {
    Array::new(shape, data.into()).unwrap()
}

#[test]
fn what_was_not_fed_is_none_and_so_is_what_depends_on_it() {
    let mut graph = Graph::new();
    let a = graph.input("a", &[2], DType::F32).unwrap();
    let b = graph.input("b", &[2], DType::F32).unwrap();
    let doubled = graph.add(a, a).unwrap();
    let sum = graph.add(a, b).unwrap();
    let values = evaluate(&graph, &HashMap::from([(a, array(&[2], &[1.0, 2.0]))])).unwrap();
    assert_eq!(values[doubled.index()], Some(array(&[2], &[2.0, 4.0])));
    assert_eq!([&values[b.index()], &values[sum.index()]], [&None, &None]);
}

#[test]
fn a_feed_overrides_what_a_node_yields() {
    let mut graph = Graph::new();
    let logits = graph.constant(0.0, &[1, 2]).unwrap();
    let labels = graph.input("labels", &[1], DType::U32).unwrap();
    let (loss, correct) = graph.cross_entropy(logits, labels).unwrap();
    let double = graph.add(loss, loss).unwrap();
    let feeds = HashMap::from([(labels, array(&[1], &[0.0])), (loss, array(&[], &[3.0]))]);
    let values = evaluate(&graph, &feeds).unwrap();
    assert_eq!(values[double.index()], Some(array(&[], &[6.0])));
    assert_eq!(values[correct.index()], Some(array(&[2], &[1.0, 1.0])), "the other result is still computed");
}

#[test]
fn errors_name_the_layer_and_what_is_wrong() {
    let mut graph = Graph::new();
    let x = graph.input("pixels", &[2], DType::F32).unwrap();
    let text = |feed: Array| evaluate(&graph, &HashMap::from([(x, feed)])).unwrap_err().to_string();
    assert_eq!(text(array(&[3], &[0.0; 3])), "pixels: a tensor [3] with 3 elements, expected [2]");
    assert_eq!(text(Array { shape: vec![2], data: vec![] }), "pixels: a tensor [2] with 0 elements, expected [2]");
    assert!(Array::new(&[2, 2], vec![0.0; 3]).is_err());

    let mut graph = Graph::new();
    let logits = graph.constant(0.0, &[1, 2]).unwrap();
    let labels = graph.input("labels", &[1], DType::U32).unwrap();
    graph.scoped("head", |graph| graph.cross_entropy(logits, labels)).unwrap();
    let text = evaluate(&graph, &HashMap::from([(labels, array(&[1], &[2.0]))])).unwrap_err().to_string();
    assert_eq!(text, "head: label 2 is not in 0..2");
}

#[test]
fn a_node_without_its_operands_is_an_error() {
    let mut graph = Graph::new();
    let dy = graph.constant(1.0, &[1, 1, 1, 1]).unwrap();
    let pool = crate::graph::Pool2d::max([2, 2]);
    let op = Op::Pool2dBackward(Pool2dBackward { pool, input: vec![1, 1, 2, 2] });
    let text = graph.add_one(op, &[dy]).unwrap_err().to_string();
    assert_eq!(text, "max_pool2d_backward: max_pool2d_backward takes 2 to 2 operands, got 1");
}

#[test]
fn a_fused_gradient_is_the_gradient() {
    let mut graph = Graph::new();
    let logits = graph.input("logits", &[3, 4], DType::F32).unwrap();
    let labels = graph.input("labels", &[3], DType::U32).unwrap();
    let fused = graph
        .add_node(
            Op::CrossEntropy(CrossEntropy { fused_grad: Some(0.5), ..CrossEntropy::default() }),
            &[logits, labels],
        )
        .unwrap();
    let (loss, _) = graph.cross_entropy(logits, labels).unwrap();
    let half = graph.constant(0.5, &[]).unwrap();
    let backward = crate::graph::differentiate_from(&graph, &[(loss, half)], &[logits]).unwrap();
    let values = evaluate(&backward.graph, &feeds(&graph, 5)).unwrap();
    assert_eq!(values[fused[0].index()], values[loss.index()]);
    assert_eq!(values[fused[2].index()], values[backward.grads[0].unwrap().index()]);
}
