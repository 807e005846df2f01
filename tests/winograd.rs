//! How exact convolutions are, as sums of products and by Winograd's algorithms.

use std::collections::HashMap;
use wgrad::gpu::Gpu;
use wgrad::graph::{Conv2d, DType, Graph, Value, differentiate_from};
use wgrad::plan::{Algorithm, Target};
use wgrad::reference::feeds;
use wgrad::selftest::compare_on;

/// The result and the gradients of a convolution of `channels` channels to 32.
fn convolution(channels: usize) -> (Graph, Vec<(Value, String)>) {
    let mut graph = Graph::new();
    let x = graph.input("x", &[1, channels, 12, 12], DType::F32).unwrap();
    let weight = graph.input("weight", &[32, channels, 3, 3], DType::F32).unwrap();
    let y = graph.conv2d(x, weight, None, Conv2d { padding: [1; 2], ..Conv2d::default() }).unwrap();
    let grad = graph.input("grad", &[1, 32, 12, 12], DType::F32).unwrap();
    let derived = differentiate_from(&graph, &[(y, grad)], &[x, weight]).unwrap();
    let wanted = [Some(y), derived.grads[0], derived.grads[1]];
    let names = ["result", "gradient by x", "gradient by weight"];
    let wanted = wanted.into_iter().flatten().zip(names).map(|(value, name)| (value, name.to_string())).collect();
    (derived.graph, wanted)
}

/// The largest errors of results and gradients, relative to the largest number of each.
fn errors(gpu: &Gpu, target: &Target, channels: usize) -> Vec<f64> {
    let (graph, wanted) = convolution(channels);
    let numbers: HashMap<_, _> = feeds(&graph, 7);
    let error = |wanted: &(Value, String)| {
        let check = compare_on(gpu, target, &wanted.1, &graph, &numbers, std::slice::from_ref(wanted));
        let check = pollster::block_on(check).unwrap();
        let tiles = check.kernels.contains("winograd_tiles");
        assert_eq!(tiles, target.algorithm.is_some() && target.lanes.is_some(), "{:?}", check.kernels);
        check.error
    };
    wanted.iter().map(error).collect()
}

/// Sums of products lose digits with their length. Tiles of 2x2 results lose fewer, because their sums are shorter; tiles of
/// 4x4 results lose more where sums are short, because their numbers are brought there and back, and no more where they are
/// long. The gradient by the weights sums 144 products at any number of channels.
#[test]
fn errors_are_bounded() {
    let gpu = Gpu::new().unwrap();
    for (channels, direct, two, four) in [(16, 1e-6, 1e-6, 2e-6), (128, 3e-6, 1.5e-6, 3e-6), (512, 6e-6, 3e-6, 6e-6)] {
        for (name, exact, algorithm, bound) in [
            ("direct", true, None, direct),
            ("F(2x2)", false, Some(Algorithm::Winograd(2)), two),
            ("F(4x4)", false, Some(Algorithm::Winograd(4)), four),
        ] {
            let target = Target { exact, algorithm, ..gpu.target().clone() };
            let errors = errors(&gpu, &target, channels);
            println!("{channels} channels, {name}: {errors:?}");
            assert!(errors.iter().all(|error| *error > 0.0 && *error <= bound), "{channels} {name}: {errors:?}");
        }
    }
}
