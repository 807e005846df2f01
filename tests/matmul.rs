//! Plans of matrix products: a batch is one dispatch, and so is what follows it.

use wgrad::graph::{DType, Graph, MatMul, Op, Shape, Value, differentiate_from};
use wgrad::plan::{Class, Plan, Program, Target};

/// One target for each family of kernels: `panels` and `lanes`, `registers`, `tiles`.
fn targets() -> [Target; 3] {
    let lanes = Target { lanes: Some(8), ..Target::portable(Class::Cpu) };
    [lanes, Target::portable(Class::Cpu), Target::portable(Class::Discrete)]
}

/// Kernels and notes of the dispatches that compute the result of `build` and the gradients by its inputs.
fn plan(
    target: &Target,
    shapes: &[&[usize]],
    gradients: bool,
    build: impl Fn(&mut Graph, &[Value]) -> Value,
) -> Vec<(String, String)> {
    let mut graph = Graph::new();
    let input = |(index, shape): (usize, &&[usize])| graph.input(&format!("x{index}"), shape, DType::F32).unwrap();
    let inputs: Vec<Value> = shapes.iter().enumerate().map(input).collect();
    let y = build(&mut graph, &inputs);
    let mut outputs = vec![y];
    if gradients {
        let shape: Shape = graph.shape(y).into();
        let seed = graph.input("seed", &shape, DType::F32).unwrap();
        let derived = differentiate_from(&graph, &[(y, seed)], &inputs).unwrap();
        outputs = derived.grads.into_iter().flatten().collect();
        graph = derived.graph;
    }
    let plan = Plan::new(&Program::new("products", graph, &outputs), target).unwrap();
    let describe =
        |dispatch: &wgrad::plan::Dispatch| (dispatch.launch.kernel.name.into(), dispatch.launch.note.clone());
    plan.dispatches.iter().map(describe).filter(|(name, _)| name != "matmul_pack").collect()
}

fn matmul(graph: &mut Graph, x: &[Value]) -> Value {
    graph.matmul(x[0], x[1], false, false).unwrap()
}

#[test]
fn a_batch_is_one_dispatch() {
    for target in targets() {
        for side in [48, 256, 512] {
            let dispatches = plan(&target, &[&[4, 4, side, side], &[4, 4, side, side]], false, matmul);
            assert!(
                matches!(&dispatches[..], [(name, note)] if name.starts_with("matmul")
                && *note == format!("16 of M {side}, N {side}, K {side}")),
                "{dispatches:?}"
            );
        }
    }
}

/// Rows that meet one matrix are rows of one product, and its gradient is one sum over all of them.
#[test]
fn one_right_matrix_for_all_is_one_product() {
    for target in targets() {
        let forward = plan(&target, &[&[6, 32, 64], &[64, 128]], false, matmul);
        assert_eq!(forward.len(), 1, "{forward:?}");
        assert_eq!(forward[0].1, "M 192, N 128, K 64");
        let backward = plan(&target, &[&[6, 32, 64], &[64, 128]], true, matmul);
        let notes: Vec<&str> = backward.iter().map(|(_, note)| note.as_str()).collect();
        assert_eq!(notes.len(), 2, "{backward:?}");
        assert!(notes.contains(&"M 64, N 128, K 192") && notes.contains(&"M 192, N 64, K 128"), "{notes:?}");
    }
}

/// A bias, a tensor of the result's shape and an activation are applied before the product is stored.
#[test]
fn what_follows_a_product_is_no_dispatch() {
    for target in targets() {
        for batch in [&[][..], &[3]] {
            let of = |matrix: [usize; 2]| [batch, &matrix].concat();
            let shapes = [of([32, 64]), of([64, 48]), of([32, 48]), vec![48]];
            let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
            let dispatches = plan(&target, &shapes, false, |graph, x| {
                let y = graph.add_node(Op::MatMul(MatMul::default()), &[x[0], x[1], x[3]]).unwrap()[0];
                let y = graph.add(x[2], y).unwrap();
                graph.relu(y).unwrap()
            });
            assert!(matches!(&dispatches[..], [(name, _)] if name.starts_with("matmul")), "{dispatches:?}");
        }
    }
}
