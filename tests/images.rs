//! Kernels that read images of the memory of buffers, on the driver that has them: the same bits as from the buffers.

#[path = "common/steps.rs"]
mod steps;

use steps::{program, trained_on};
use wgrad::graph::Value;
use wgrad::nn::{BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, Relu, Sequential};
use wgrad::plan::Program;
use wgrad::prelude::*;

/// Convolutions of each family that CPU drivers have, with masks in place; odd planes, and channels that fill no vector.
fn net(graph: &mut Graph, x: Value) -> Result<Value> {
    let x = Sequential::new()
        .add("first", Conv2d::new(3, 24, 5).padding(2))
        .add("relu1", Relu)
        .add("pool", MaxPool2d::new(2))
        .add("conv2", Conv2d::new(24, 34, 3).padding(1))
        .add("relu2", Relu)
        .add("conv3", Conv2d::new(34, 32, 3).padding(1))
        .add("norm", BatchNorm2d::new(32))
        .add("relu3", Relu)
        .add("conv4", Conv2d::new(32, 48, 3).stride(2))
        .add("relu4", Relu)
        .forward(graph, x)?;
    let [n, c, h, w] = <[usize; 4]>::try_from(graph.shape(x).to_vec()).unwrap();
    let flat = graph.reshape(x, &[n, c * h * w])?;
    Sequential::new()
        .add("fc1", Linear::new(c * h * w, 64))
        .add("relu", Relu)
        .add("fc2", Linear::new(64, 10))
        .forward(graph, flat)
}

/// One test alone in this file: it changes the environment.
#[test]
fn images_hold_the_same_bits() {
    let open = |images: &str| {
        // SAFETY: this program has no other thread yet that could look at the environment: each device is closed.
        unsafe { std::env::set_var("WGRAD_IMAGES", images) };
        Gpu::new().unwrap()
    };
    let left = ["1", "0"].map(|images| {
        let gpu = open(images);
        let offered = gpu.info().driver == "llvmpipe" && gpu.info().backend == wgpu::Backend::Vulkan;
        assert_eq!(gpu.target().images, offered && images == "1");
        [[9, 3, 22, 26], [16, 3, 15, 13]].map(|shape| {
            let program = program(net, &shape, 10);
            let plain = trained_on(&gpu, &program, gpu.target()).1;
            [plain, trained_on(&gpu, &Program { recompute: true, ..program }, gpu.target()).1]
        })
    });
    assert_eq!(left[0], left[1]);
    if left[0].iter().flatten().flatten().all(|bytes| bytes.iter().all(|byte| *byte == 0)) {
        panic!("nothing was computed");
    }
}
