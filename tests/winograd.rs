//! How exact convolutions are, as sums of products and by Winograd's algorithms.

use std::collections::HashMap;
use wgrad::gpu::Gpu;
use wgrad::graph::{Conv2d, DType, Graph, Value, differentiate_from};
use wgrad::plan::{Algorithm, Class, Plan, Program, Target};
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
        let by_lanes = target.algorithm.is_some() && target.lanes.is_some();
        let by_matrices = target.algorithm.is_some() && target.lanes.is_none();
        assert_eq!(check.kernels.contains("winograd_tiles"), by_lanes, "{:?}", check.kernels);
        assert_eq!(check.kernels.contains("winograd_transform"), by_matrices, "{:?}", check.kernels);
        check.error
    };
    wanted.iter().map(error).collect()
}

/// Sums of products lose digits with their length. Tiles of 2x2 results lose fewer, because their sums are shorter; tiles of
/// 4x4 results lose more where sums are short, because their numbers are brought there and back, and no more where they are
/// long. The gradient by the weights sums 144 products at any number of channels.
fn bounded_on(gpu: &Gpu, target: &Target) {
    for (channels, direct, two, four) in [(16, 1e-6, 1e-6, 2e-6), (128, 3e-6, 1.5e-6, 3e-6), (512, 6e-6, 3e-6, 6e-6)] {
        for (name, exact, algorithm, bound) in [
            ("direct", true, None, direct),
            ("F(2x2)", false, Some(Algorithm::Winograd(2)), two),
            ("F(4x4)", false, Some(Algorithm::Winograd(4)), four),
        ] {
            let target = Target { exact, algorithm, ..target.clone() };
            let errors = errors(gpu, &target, channels);
            println!("{channels} channels, {name}: {errors:?}");
            assert!(errors.iter().all(|error| *error > 0.0 && *error <= bound), "{channels} {name}: {errors:?}");
        }
    }
}

#[test]
fn errors_are_bounded() {
    let gpu = Gpu::new().unwrap();
    bounded_on(&gpu, gpu.target());
}

/// As on adapters without subgroups, and in tiles as on GPUs.
#[test]
fn errors_are_bounded_on_any_adapter() {
    let gpu = Gpu::new().unwrap();
    let target = Target { lanes: None, ..gpu.target().clone() };
    bounded_on(&gpu, &target);
    for class in [Class::Integrated, Class::Discrete] {
        bounded_on(&gpu, &Target { class, bake: true, ..target.clone() });
    }
}

/// The kernels of a forward pass and both gradients, and what was asked.
fn plan(target: &Target, channels: usize, side: usize) -> Plan {
    let mut graph = Graph::new();
    let x = graph.input("x", &[8, channels, side, side], DType::F32).unwrap();
    let weight = graph.input("weight", &[channels, channels, 3, 3], DType::F32).unwrap();
    let y = graph.conv2d(x, weight, None, Conv2d { padding: [1; 2], ..Conv2d::default() }).unwrap();
    let shape = graph.shape(y).to_vec();
    let grad = graph.input("grad", &shape, DType::F32).unwrap();
    let derived = differentiate_from(&graph, &[(y, grad)], &[x, weight]).unwrap();
    let outputs: Vec<Value> = derived.grads.into_iter().flatten().chain([y]).collect();
    Plan::new(&Program::new("convolution", derived.graph, &outputs), target).unwrap()
}

/// Without lanes the rule takes them where there are channels enough for what transforms move: GPUs' products are fast, so
/// there must be more.
#[test]
fn the_rule_counts_what_transforms_move() {
    let taken = |plan: &Plan| plan.kernels().any(|kernel| kernel.name == "winograd_inverse");
    for (class, few, many) in [(Class::Cpu, 8, 64), (Class::Integrated, 128, 512), (Class::Discrete, 128, 512)] {
        let target = Target::portable(class);
        assert!(!taken(&plan(&target, few, 32)), "{class:?}");
        let chosen = plan(&target, many, 32);
        assert!(taken(&chosen), "{class:?}");
        assert!(!taken(&plan(&Target { exact: true, ..target.clone() }, many, 32)), "{class:?}");
        // Few pixels: filters cost more than they save.
        assert!(!taken(&plan(&target, many, 2)), "{class:?}");

        let asked: Vec<_> = chosen.questions.iter().filter(|question| question.name.starts_with("conv 3x3")).collect();
        assert_eq!(asked.len(), 3, "{class:?}: {asked:?}");
        for question in asked {
            assert_eq!(question.candidates[0], "winograd 4x4");
            assert!(question.candidates.contains(&"direct".to_string()) && !question.follows, "{question:?}");
        }
        // Which tile is asked once it is known that there are products.
        let tiles = chosen.questions.iter().filter(|question| question.name.starts_with("matmul 36 of"));
        assert_eq!(tiles.clone().count() > 0, class != Class::Cpu);
        assert!(tiles.clone().all(|question| question.follows));
        let launch = chosen.dispatches.iter().find(|dispatch| dispatch.launch.kernel.name == "winograd_inverse");
        assert_eq!(launch.unwrap().launch.questions.len(), if class == Class::Cpu { 1 } else { 2 });
    }
}
