//! The reference evaluator, and the gradient rules of the graph, against numbers from PyTorch.

#[path = "common/torch_cases.rs"]
mod torch_cases;

use torch_cases::{TorchCase, load};
use wgrad::graph::{DType, Op, Unary, Value, differentiate_from};
use wgrad::reference::{Array, evaluate};

#[test]
fn outputs_and_gradients_are_those_of_pytorch() {
    let cases = load();
    assert!(cases.len() >= 130, "only {} cases", cases.len());
    cases.iter().for_each(check);
}

fn check(case: &TorchCase) {
    let mut graph = case.graph.clone();
    let grad = graph.input("grad", &case.grad_output.shape, DType::F32).unwrap();
    let wrt: Vec<Value> = case.wrt.iter().map(|(value, _)| *value).collect();
    let backward = differentiate_from(&graph, &[(case.output, grad)], &wrt).unwrap();
    let mut feeds = case.feeds.clone();
    feeds.insert(grad, case.grad_output.clone());
    let values = evaluate(&backward.graph, &feeds).unwrap();

    let found = |value: Value| values[value.index()].as_ref().unwrap();
    // Nine digits in the file; a mean's gradient is scaled by 1 / n, which the graph holds in f32.
    let in_f32 = backward.graph.nodes().iter().any(|node| matches!(node.op, Op::Unary(Unary::Scale(_))));
    compare(&case.name, "output", found(case.output), &case.expected, 1e-8);
    for ((value, expected), grad) in case.wrt.iter().zip(backward.grads) {
        let input = &case.graph.producer(*value).layer;
        compare(&case.name, input, found(grad.unwrap()), expected, if in_f32 { 1e-7 } else { 1e-8 });
    }
}

fn compare(case: &str, what: &str, found: &Array, expected: &Array, relative: f64) {
    assert_eq!(found.shape, expected.shape, "{case}: {what}");
    for (i, (found, expected)) in found.data.iter().zip(&expected.data).enumerate() {
        let allowed = relative * expected.abs() + 1e-13;
        assert!((found - expected).abs() <= allowed, "{case}: {what}[{i}] is {found}, PyTorch has {expected}");
    }
}
