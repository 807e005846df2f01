//! All cases of the self test, with wgpu's run-time checks off and on; and those with tiles for GPUs, which do not need one.

use std::collections::BTreeSet;
use std::sync::Mutex;
use wgrad::gpu::{Gpu, GpuOptions};
use wgrad::graph::{DType, Graph};
use wgrad::plan::{Class, Half, Plan, Program, Target};
use wgrad::reference::cases::{Case, cases};
use wgrad::selftest;

/// Runs the cases whose name contains `filter`, and returns the kernels that took part.
fn all_pass(options: GpuOptions, filter: &str) -> BTreeSet<&'static str> {
    let gpu = Gpu::open(&options).unwrap();
    let failed = Mutex::new(vec![]);
    let checks = pollster::block_on(selftest::run(&gpu, filter, |check, _| {
        if !check.passed() {
            failed.lock().unwrap().push(format!(
                "{}: {} is {:.1} times the tolerance off ({:.1e} relative) {:?} {:?}",
                check.name, check.tensor, check.worst, check.error, check.failure, check.kernels
            ));
        }
    }));
    let (failed, checks) = (failed.into_inner().unwrap(), checks.unwrap());
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), checks.len(), failed.join("\n"));
    checks.into_iter().flat_map(|check| check.kernels).collect()
}

#[test]
fn unchecked() {
    all_pass(GpuOptions::default(), "");
}

#[test]
fn checked() {
    all_pass(GpuOptions { checked: true, ..GpuOptions::default() }, "");
}

/// The cases that have enough rows and columns, with the kernels that GPUs run them on.
fn tiles_pass(class: Class, checked: bool) {
    let kernels = all_pass(GpuOptions { class: Some(class), checked, ..GpuOptions::default() }, "in tiles");
    for kernel in ["matmul_tiles", "conv_tiles", "conv_weight_tiles"] {
        assert!(kernels.contains(kernel), "{kernel} did not run on class {}", class.name());
    }
}

/// Winograd's algorithms by products in tiles.
#[test]
fn winograd_in_tiles() {
    for class in [Class::Discrete, Class::Integrated] {
        let kernels = all_pass(GpuOptions { class: Some(class), ..GpuOptions::default() }, "3x3 F(");
        for kernel in ["winograd_transform", "matmul_tiles", "winograd_inverse"] {
            assert!(kernels.contains(kernel), "{kernel} did not run on class {}", class.name());
        }
    }
}

#[test]
fn tiles_of_discrete_gpus() {
    tiles_pass(Class::Discrete, false);
}

#[test]
fn tiles_of_integrated_gpus() {
    tiles_pass(Class::Integrated, true);
}

/// Where subgroups multiply matrices, the cases of `tiles_of_discrete_gpus` do; and so do products whose sum is resumed, for
/// which there must be bindings too small for an operand.
#[test]
fn tiles_of_matrices() {
    let gpu = Gpu::open(&GpuOptions { class: Some(Class::Discrete), ..GpuOptions::default() }).unwrap();
    let Some(form) = gpu.target().cooperative.first() else {
        eprintln!("{} has no cooperative matrices, or none that kernels can use", gpu.describe());
        return;
    };
    let half = if form.half { Half::Everything } else { Half::Never };
    let multiplies = |case: &Case, target: &Target| {
        let derived = case.differentiated().unwrap();
        let outputs: Vec<_> = derived.grads.iter().flatten().copied().chain([case.output]).collect();
        let plan = Plan::new(&Program { half, ..Program::new("case", derived.graph, &outputs) }, target).unwrap();
        let matrices = plan.kernels().filter(|kernel| kernel.parts.is_some());
        matrices
            .map(|kernel| (kernel.name, kernel.defines.contains(&("RESUME", "true".into()))))
            .collect::<BTreeSet<_>>()
    };
    let mut found = BTreeSet::new();
    for case in cases().unwrap().iter().filter(|case| case.name.contains("in tiles")) {
        found.extend(multiplies(case, gpu.target()).into_iter().map(|(name, _)| name));
    }
    assert_eq!(found, BTreeSet::from(["matmul_tiles", "conv_tiles", "conv_weight_tiles"]));

    let target = Target { max_binding: 1 << 18, ..gpu.target().clone() };
    for (m, n, k, transpose_a) in [(65, 300, 1000, false), (700, 33, 517, true), (33, 500, 517, false)] {
        let mut graph = Graph::new();
        let a = graph.input("a", &if transpose_a { [k, m] } else { [m, k] }, DType::F32).unwrap();
        let b = graph.input("b", &[k, n], DType::F32).unwrap();
        let output = graph.matmul(a, b, transpose_a, false).unwrap();
        let case = Case { name: format!("{m}x{n}x{k}"), graph, output, wrt: vec![], algorithm: None };
        assert!(multiplies(&case, &target).contains(&("matmul_tiles", true)), "{} is not cut along K", case.name);
        let check = pollster::block_on(selftest::check_on(&gpu, &target, &case, half)).unwrap();
        assert!(check.passed(), "{}: {} times the tolerance off", case.name, check.worst);
    }
}
