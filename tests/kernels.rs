//! All cases of the self test, with wgpu's run-time checks off and on; and those with tiles for GPUs, which do not need one.

use std::collections::BTreeSet;
use std::sync::Mutex;
use wgrad::gpu::{Gpu, GpuOptions};
use wgrad::plan::Class;
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
