//! All cases of the self test, with wgpu's run-time checks off and on.

use std::sync::Mutex;
use wgrad::gpu::{Gpu, GpuOptions};
use wgrad::selftest;

fn all_pass(checked: bool) {
    let gpu = Gpu::open(&GpuOptions { checked, ..GpuOptions::default() }).unwrap();
    let failed = Mutex::new(vec![]);
    let checks = pollster::block_on(selftest::run(&gpu, "", |check, _| {
        if !check.passed() {
            failed.lock().unwrap().push(format!(
                "{}: {} is {:.1} times the tolerance off ({:.1e} relative) {:?} {:?}",
                check.name, check.tensor, check.worst, check.error, check.failure, check.kernels
            ));
        }
    }));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), checks.unwrap().len(), failed.join("\n"));
}

#[test]
fn unchecked() {
    all_pass(false);
}

#[test]
fn checked() {
    all_pass(true);
}
