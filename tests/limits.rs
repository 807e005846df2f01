//! Tensors above what a binding covers: the same numbers, to the last bit, as on an adapter with room for them.

#[path = "common/steps.rs"]
mod steps;

use steps::{program, trained};
use wgrad::gpu::Gpu;
use wgrad::graph::{Clip, Graph, Init, Optimizer, Unary, Value};
use wgrad::nn::{self, BatchNorm2d, Conv2d, Dropout, Linear, MaxPool2d, Module, Relu, Sequential};
use wgrad::plan::Update;

/// A device on the adapter that the tests use, with this limit on bindings.
fn limited(max_storage_buffer_binding_size: u64) -> Gpu {
    let full = Gpu::new().unwrap();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let same = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        (info.name, info.backend) == (full.info().name.clone(), full.info().backend)
    };
    let adapter = adapters.into_iter().find(same).unwrap();
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features() & wgpu::Features::SUBGROUP,
        required_limits: wgpu::Limits { max_storage_buffer_binding_size, ..adapter.limits() },
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Gpu::from_wgpu(device, queue)
}

fn assert_same(net: impl Module, input: &[usize], classes: usize, limit: u64) {
    let program = program(net, input, classes);
    let (whole_plan, whole) = trained(&Gpu::new().unwrap(), &program);
    let (plan, cut) = trained(&limited(limit), &program);
    assert!(plan.dispatches.len() > whole_plan.dispatches.len(), "nothing was cut");
    assert!(plan.dispatches.iter().flat_map(|dispatch| &dispatch.bindings).all(|region| region.size <= limit));
    let differing = whole.iter().zip(&cut).filter(|(whole, cut)| whole != cut).count();
    assert_eq!(differing, 0, "of {} tensors", whole.len());
    let loss = f32::from_le_bytes(whole[0][..4].try_into().unwrap());
    assert!(loss.is_finite() && loss > 0.0);
}

/// The norm of gradients in parts is a sum in another order, and otherwise the same.
#[test]
fn the_norm_of_gradients_in_parts() {
    let net = Sequential::new().add("fc1", Linear::new(511, 257)).add("relu1", Relu).add("fc2", Linear::new(257, 10));
    let mut program = program(net, &[8, 511], 10);
    let update = Update { clip: Some(Clip::Norm(0.01)), ..Optimizer::sgd(1e-2).into() };
    program.update = Some(update);
    let weights = |gpu: &Gpu| {
        let (plan, left) = trained(gpu, &program);
        let sums = plan.kernels().filter(|kernel| kernel.name == "gradient_squares").count();
        let floats = |bytes: &Vec<u8>| bytemuck::pod_collect_to_vec::<u8, f32>(bytes);
        (sums, left[program.outputs.len()..].iter().flat_map(floats).collect::<Vec<f32>>())
    };
    let ((few, whole), (many, cut)) = (weights(&Gpu::new().unwrap()), weights(&limited(1 << 16)));
    assert!(few >= 1 && many > few + 4, "{few} {many}");
    let differences = whole.iter().zip(&cut).map(|(a, b)| (a - b).abs());
    assert!(differences.fold(0.0, f32::max) <= 1e-7, "a part was left out of the norm, or counted twice");
    program.update = Some(Update { clip: None, ..update });
    let (_, unclipped) = trained(&Gpu::new().unwrap(), &program);
    let unclipped: Vec<f32> =
        unclipped[program.outputs.len()..].iter().flat_map(|b| bytemuck::pod_collect_to_vec::<u8, f32>(b)).collect();
    assert!(whole.iter().zip(&unclipped).any(|(a, b)| (a - b).abs() > 1e-4), "nothing was clipped");
}

#[test]
fn weights_in_parts() {
    let net = Sequential::new()
        .add("fc1", Linear::new(512, 4096))
        .add("relu1", Relu)
        .add("fc2", Linear::new(4096, 1024))
        .add("relu2", Relu)
        .add("fc3", Linear::new(1024, 10));
    assert_same(net, &[8, 512], 10, 1 << 20);
}

/// By other extents than multiples of four the kernels for any adapter run, and parts are not all of one size.
#[test]
fn odd_weights_in_parts() {
    let net = Sequential::new()
        .add("fc1", Linear::new(333, 1001))
        .add("tanh", nn::Tanh)
        .add("fc2", Linear::new(1001, 707))
        .add("relu", Relu)
        .add("fc3", Linear::new(707, 3));
    assert_same(net, &[5, 333], 3, 300_000);
}

fn weight(graph: &mut Graph, name: &str, shape: &[usize]) -> wgrad::Result<Value> {
    graph.parameter(name, shape, Init::Normal(0.03))
}

/// Attention over 96 places: batches of matrices, some of them larger than the limit, by others and by weights.
#[test]
fn batches_of_matrices_in_parts() {
    let net = |graph: &mut Graph, x: Value| {
        let query = weight(graph, "query", &[256, 260])?;
        let query = graph.matmul(x, query, false, false)?;
        let key = weight(graph, "key", &[256, 260])?;
        let key = graph.matmul(x, key, false, false)?;
        let scores = graph.matmul(query, key, false, true)?;
        let places = graph.softmax(scores, 2)?;
        let taken = graph.matmul(places, x, false, false)?;
        let sum = graph.add(taken, x)?;
        let sum = graph.relu(sum)?;
        let narrow = weight(graph, "narrow", &[256, 32])?;
        let narrow = graph.matmul(sum, narrow, false, false)?;
        let flat = graph.flatten(narrow, 1)?;
        Sequential::new().add("fc", Linear::new(96 * 32, 10)).forward(graph, flat)
    };
    assert_same(net, &[24, 96, 256], 10, 600_000);
}

/// The gradient by a bias is a sum over all rows; where they are cut, it is added up in another order.
#[test]
fn the_gradient_by_a_bias_in_parts() {
    let net = |graph: &mut Graph, x: Value| {
        let y = Sequential::new().add("wide", Linear::new(64, 320)).forward(graph, x)?;
        let y = graph.mean(y, &[1], false)?;
        Sequential::new().add("fc", Linear::new(320, 10)).forward(graph, y)
    };
    let program = program(net, &[24, 96, 64], 10);
    let (whole_plan, whole) = trained(&Gpu::new().unwrap(), &program);
    let (plan, cut) = trained(&limited(600_000), &program);
    assert!(plan.dispatches.len() > whole_plan.dispatches.len(), "nothing was cut");
    let bias = |left: &[Vec<u8>]| {
        let gradients = left.len() - program.outputs.len();
        assert_eq!(gradients % 5, 0, "parameters, gradients, two moments and an average");
        bytemuck::pod_collect_to_vec::<u8, f32>(&left[program.outputs.len() + gradients / 5 + 1])
    };
    let (whole, cut) = (bias(&whole), bias(&cut));
    assert_eq!(whole.len(), 320);
    let largest = whole.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let worst = whole.iter().zip(&cut).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest > 1e-3 && worst <= 1e-5 * largest, "{worst} of {largest}");
}

/// Matrices that all of a batch meet, larger than the limit: of either side, and stored either way.
#[test]
fn one_large_matrix_for_a_batch() {
    let net = |graph: &mut Graph, x: Value| {
        let left = weight(graph, "left", &[400, 128])?;
        let y = graph.matmul(left, x, false, false)?;
        let turned = weight(graph, "turned", &[400, 200])?;
        let y = graph.matmul(turned, y, true, false)?;
        let right = weight(graph, "right", &[200, 320])?;
        let y = graph.matmul(y, right, true, false)?;
        let y = graph.relu(y)?;
        let narrow = weight(graph, "narrow", &[320, 16])?;
        let narrow = graph.matmul(y, narrow, false, false)?;
        let flat = graph.flatten(narrow, 1)?;
        Sequential::new().add("fc", Linear::new(256, 10)).forward(graph, flat)
    };
    assert_same(net, &[6, 128, 16], 10, 200_000);
}

#[test]
fn activations_in_ranges_of_samples() {
    let net = |graph: &mut Graph, x: Value| {
        let x = Sequential::new()
            .add("conv1", Conv2d::new(3, 16, 3).padding(1))
            .add("norm1", BatchNorm2d::new(16))
            .add("relu1", Relu)
            .add("drop", Dropout(0.3))
            .forward(graph, x)?;
        let y = Sequential::new()
            .add("conv2", Conv2d::new(16, 8, 3).padding(1))
            .add("norm2", BatchNorm2d::new(8))
            .forward(graph, x)?;
        let z = Sequential::new().add("conv3", Conv2d::new(16, 8, 1)).forward(graph, x)?;
        let z = graph.unary(z, Unary::Tanh)?;
        let both = graph.concat(&[y, z], 1)?;
        let sum = graph.add(both, x)?;
        let pooled = Sequential::new().add("pool", MaxPool2d::new(2)).forward(graph, sum)?;
        let mean = graph.mean(pooled, &[2, 3], false)?;
        Sequential::new().add("fc", Linear::new(16, 10)).forward(graph, mean)
    };
    assert_same(net, &[14, 3, 208, 208], 10, 32 << 20);
}
