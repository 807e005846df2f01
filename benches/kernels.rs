//! Kernels and whole steps on the best adapter (or `WGRAD_ADAPTER`), in operations per second as their definitions count
//! them. `cargo bench` compares with its own last run; `wgrad profile` shows single dispatches.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgrad::gpu::{Gpu, Runner};
use wgrad::graph::{Conv2d, DType, Graph, Value, differentiate_from};
use wgrad::plan::Program;
use wgrad::prelude::{Settings, data, models};
use wgrad::train::training_program;

fn bench(criterion: &mut Criterion, gpu: &Gpu, name: &str, program: &Program) {
    let runner = pollster::block_on(Runner::new(gpu, program)).expect("the plan fits the adapter");
    let mut group = criterion.benchmark_group("wgrad");
    group.sample_size(20).throughput(Throughput::Elements(runner.plan().flops()));
    group.bench_function(name, |bencher| bencher.iter(|| runner.run().expect("the device is alive")));
    group.finish();
}

/// The program of one operator, or of its gradients alone.
fn operator(
    build: impl Fn(&mut Graph) -> wgrad::Result<(Value, Vec<Value>)>,
    gradients: bool,
) -> wgrad::Result<Program> {
    let mut graph = Graph::new();
    let (output, wrt) = build(&mut graph)?;
    if !gradients {
        return Ok(Program::new("forward", graph, &[output]));
    }
    let shape = graph.shape(output).to_vec();
    let seed = graph.input("seed", &shape, DType::F32)?;
    let derived = differentiate_from(&graph, &[(output, seed)], &wrt)?;
    let outputs: Vec<Value> = derived.grads.into_iter().flatten().collect();
    Ok(Program::new("backward", derived.graph, &outputs))
}

fn all(criterion: &mut Criterion) {
    let gpu = Gpu::new().expect("an adapter");
    let matmul = |graph: &mut Graph| {
        let (a, b) = (graph.input("a", &[512, 512], DType::F32)?, graph.input("b", &[512, 512], DType::F32)?);
        Ok((graph.matmul(a, b, false, false)?, vec![a, b]))
    };
    let conv = |graph: &mut Graph| {
        let x = graph.input("x", &[8, 64, 32, 32], DType::F32)?;
        let weight = graph.input("weight", &[64, 64, 3, 3], DType::F32)?;
        Ok((graph.conv2d(x, weight, None, Conv2d { padding: [1; 2], ..Conv2d::default() })?, vec![x, weight]))
    };
    for gradients in [false, true] {
        let way = if gradients { "backward" } else { "forward" };
        bench(criterion, &gpu, &format!("matmul 512 {way}"), &operator(matmul, gradients).expect("shapes fit"));
        bench(
            criterion,
            &gpu,
            &format!("conv 3x3 n8 c64 32x32 k64 {way}"),
            &operator(conv, gradients).expect("shapes fit"),
        );
    }
    for batch_size in [64, 256] {
        let settings = Settings { batch_size, ..Settings::default() };
        let program = training_program(&models::lenet5(10), &data::digits(), &settings).expect("shapes fit");
        bench(criterion, &gpu, &format!("lenet5 step {batch_size}"), &program);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
