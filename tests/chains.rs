//! Functions of elements that a plan puts into one kernel: fewer dispatches and bytes, the same bits.

#[path = "common/blank.rs"]
mod blank;
#[path = "common/steps.rs"]
mod steps;

use std::collections::{HashMap, HashSet};
use steps::trained_on;
use wgrad::gpu::Runner;
use wgrad::graph::{Conv2d, DType, Init, Mode, Unary, Value};
use wgrad::nn::{self, BatchNorm2d, Linear, Module, Sequential};
use wgrad::plan::{Class, Dispatch, Half, Plan, Program, Region, Target};
use wgrad::prelude::*;
use wgrad::reference::cases::{Case, cases};
use wgrad::reference::{Array, feeds};
use wgrad::selftest;
use wgrad::train::training_program;

fn chained() -> impl Iterator<Item = Case> {
    cases().unwrap().into_iter().filter(|case| case.name.starts_with("chain "))
}

/// A case with its gradients as outputs.
fn program(case: &Case, half: Half) -> Program {
    let derived = case.differentiated().unwrap();
    let outputs: Vec<Value> = derived.grads.iter().flatten().copied().chain([case.output]).collect();
    Program { half, ..Program::new(&case.name, derived.graph, &outputs) }
}

/// The outputs of a program on `target`, in bytes.
fn outputs(gpu: &Gpu, program: &Program, target: &Target, feeds: &HashMap<Value, Array>) -> Vec<Vec<u8>> {
    pollster::block_on(async {
        let mut runner = Runner::on(gpu, program, target).await.unwrap();
        let leaves = program.graph.inputs().chain(program.graph.state().map(|(name, value, _)| (name, value)));
        for (_, value) in leaves {
            let numbers: Vec<f32> = feeds[&value].data.iter().map(|&number| number as f32).collect();
            runner.feed(value, bytemuck::cast_slice(&numbers)).unwrap();
        }
        runner.run_poisoned().await.unwrap();
        let mut left = vec![];
        for &value in &program.outputs {
            left.push(runner.read(value).await.unwrap());
        }
        left
    })
}

fn alone(target: &Target) -> Target {
    Target { chains: false, ..target.clone() }
}

fn bytes(plan: &Plan) -> u64 {
    plan.dispatches.iter().map(|dispatch| dispatch.bytes).sum()
}

fn kernels(plan: &Plan) -> Vec<&str> {
    plan.kernels().map(|kernel| kernel.name).collect()
}

/// The CPU's driver knows no fused multiplication and addition, and must not see through the steps of a chain.
#[test]
fn a_chain_yields_the_bits_of_its_functions_alone() {
    let gpu = Gpu::new().unwrap();
    let mut count = 0;
    for case in chained() {
        let program = program(&case, Half::Never);
        for wide in [gpu.target().wide, false] {
            let target = Target { wide, ..gpu.target().clone() };
            let plan = Plan::new(&program, &target).unwrap();
            assert!(kernels(&plan).contains(&"chain"), "{}", case.name);
            assert!(plan.dispatches.iter().all(|dispatch| dispatch.bindings.len() <= 8));
            let results = [&target, &alone(&target)].map(|target| outputs(&gpu, &program, target, &case.feeds(1)));
            let differ = results[0].iter().zip(&results[1]).filter(|(a, b)| a != b).count();
            assert!(differ == 0 || gpu.target().class != Class::Cpu, "{} wide {wide}: {differ} differ", case.name);
            count += 1;
        }
    }
    assert!(count > 40);
}

#[test]
fn chains_save_dispatches_and_bytes() {
    for class in [Class::Cpu, Class::Discrete] {
        let target = Target::portable(class);
        for case in chained() {
            let plans =
                [&target, &alone(&target)].map(|target| Plan::new(&program(&case, Half::Never), target).unwrap());
            assert!(plans[0].dispatches.len() < plans[1].dispatches.len(), "{}\n{}\n{}", case.name, plans[0], plans[1]);
            assert!(bytes(&plans[0]) < bytes(&plans[1]), "{}\n{}\n{}", case.name, plans[0], plans[1]);
            assert!(plans[0].lower_bound <= plans[1].lower_bound, "{}\n{}\n{}", case.name, plans[0], plans[1]);
        }
    }
}

/// A graph that is run on random numbers: its chains, and that they change no bit.
fn compare(build: impl Fn(&mut Graph) -> Result<Vec<Value>>, target: &Target) -> Vec<String> {
    let gpu = Gpu::new().unwrap();
    let mut graph = Graph::with_mode(Mode { training: true, ..Mode::default() });
    let results = build(&mut graph).unwrap();
    let program = Program::new("graph", graph, &results);
    let feeds = feeds(&program.graph, 5);
    let [chained, alone] = [target, &alone(target)].map(|target| outputs(&gpu, &program, target, &feeds));
    assert!(chained == alone || gpu.target().class != Class::Cpu);
    let plan = Plan::new(&program, target).unwrap();
    let chains = plan.dispatches.iter().filter(|dispatch| dispatch.launch.kernel.name == "chain");
    let name = |dispatch: &Dispatch| {
        let regions: HashSet<&Region> = dispatch.bindings.iter().collect();
        assert_eq!(regions.len(), dispatch.bindings.len(), "a region is bound twice");
        dispatch.launch.note.clone()
    };
    chains.map(name).collect()
}

fn input(graph: &mut Graph, name: &str, shape: &[usize]) -> Value {
    graph.input(name, shape, DType::F32).unwrap()
}

fn convolved(graph: &mut Graph, x: Value) -> Result<Value> {
    let channels = graph.shape(x)[1];
    let weight = input(graph, &format!("w{}", graph.len()), &[channels, channels, 1, 1]);
    graph.conv2d(x, weight, None, Conv2d::default())
}

#[test]
fn a_chain_is_called_by_its_functions() {
    let swish = |g: &mut Graph| {
        let x = input(g, "x", &[2, 3]);
        let gate = g.sigmoid(x)?;
        Ok(vec![g.mul(x, gate)?])
    };
    assert_eq!(compare(swish, Gpu::new().unwrap().target()), ["sigmoid+mul [2, 3]"]);
}

/// What is computed from one member and read by another must run between them.
#[test]
fn no_way_leads_out_of_a_chain_and_back() {
    let target = Gpu::new().unwrap().target().clone();
    let shape = [2, 4, 6, 6];
    let gate = |g: &mut Graph| {
        let x = input(g, "x", &shape);
        let gate = g.sigmoid(x)?;
        let y = convolved(g, gate)?;
        Ok(vec![g.mul(gate, y)?])
    };
    assert!(compare(gate, &target).is_empty());
    // Of three, the two that can.
    let three = |g: &mut Graph| {
        let x = input(g, "x", &shape);
        let square = g.mul(x, x)?;
        let gate = g.sigmoid(square)?;
        let y = convolved(g, gate)?;
        Ok(vec![g.mul(square, y)?])
    };
    assert_eq!(compare(three, &target), ["mul+sigmoid [2, 4, 6, 6]"]);
}

/// Two operands that wait for the last member, where one result would: dearer than what it saves.
#[test]
fn chains_keep_no_more_waiting_than_they_save() {
    let waiting = |product: fn(&mut Graph, Value, Value) -> Result<Value>| {
        let mut graph = Graph::new();
        let x = input(&mut graph, "x", &[4, 8, 16, 16]);
        let [a, b] = [convolved(&mut graph, x).unwrap(), convolved(&mut graph, x).unwrap()];
        let product = product(&mut graph, a, b).unwrap();
        let y = (0..3).try_fold(product, |y, _| convolved(&mut graph, y)).unwrap();
        let z = (0..3).try_fold(x, |y, _| convolved(&mut graph, y)).unwrap();
        let sum = graph.sub(product, z).unwrap();
        let plan = |target: &Target| Plan::new(&Program::new("wait", graph.clone(), &[y, sum]), target).unwrap();
        let mut later = graph.clone();
        let z = (0..3).try_fold(x, |y, _| convolved(&mut later, y)).unwrap();
        let sum = later.sub(product, z).unwrap();
        let target = Target::portable(Class::Other);
        assert_eq!(kernels(&plan(&target)).iter().filter(|name| **name == "chain").count(), 0);
        [&target, &alone(&target)]
            .map(|target| Plan::new(&Program::new("wait", later.clone(), &[sum]), target).unwrap())
    };
    let [two, alone] = waiting(|g, a, b| g.mul(a, b));
    assert_eq!(two.activations(), alone.activations());
    assert!(!kernels(&two).contains(&"chain"));
    let [one, alone] = waiting(|g, a, _| g.mul(a, a));
    assert!(one.activations() <= alone.activations() && bytes(&one) < bytes(&alone));
    assert!(kernels(&one).contains(&"chain"));
}

/// A running mean is read before batch normalisation overwrites it, be it by a kernel that could run later.
#[test]
fn what_is_updated_in_place_is_read_in_time() {
    let graph = |g: &mut Graph| {
        let [x, a, b] = [input(g, "x", &[8, 3, 4, 4]), input(g, "a", &[3]), input(g, "b", &[3])];
        let [mean, var] = ["mean", "var"].map(|name| g.buffer(name, &[3], Init::Constant(1.0)).unwrap());
        let before = g.mul(mean, a)?;
        let y = g.batch_norm(x, [a, b, mean, var], 0.5, 1e-5)?;
        Ok(vec![g.sub(before, b)?, y])
    };
    compare(graph, Gpu::new().unwrap().target());
}

#[test]
fn views_of_one_tensor_are_bound_once() {
    let target = Gpu::new().unwrap().target().clone();
    let square = |g: &mut Graph| {
        let x = input(g, "x", &[4, 6]);
        let flat = g.reshape(x, &[24])?;
        let same = g.reshape(flat, &[4, 6])?;
        let product = g.mul(x, same)?;
        Ok(vec![g.tanh(product)?])
    };
    assert_eq!(compare(square, &target), ["mul+tanh [4, 6]"]);
    // Two views that are repeated in two ways cannot be.
    let outer = |g: &mut Graph| {
        let x = input(g, "x", &[6]);
        let y = g.reshape(x, &[6, 1])?;
        let [a, b] = [g.broadcast(x, &[6, 6])?, g.broadcast(y, &[6, 6])?];
        Ok(vec![g.sub(a, b)?])
    };
    assert!(compare(outer, &target).len() <= 1);
}

/// Neither inputs nor outputs give their places to results of chains that read them last.
#[test]
fn what_is_seen_from_outside_is_not_overwritten() {
    let target = Gpu::new().unwrap().target().clone();
    let graph = |g: &mut Graph| {
        let x = input(g, "x", &[2, 4, 6, 6]);
        let y = convolved(g, x)?;
        let product = g.mul(x, y)?;
        let z = g.tanh(product)?;
        Ok(vec![x, y, convolved(g, z)?])
    };
    assert_eq!(compare(graph, &target), ["mul+tanh [2, 4, 6, 6]"]);
}

/// Samples in ranges that a binding covers, and operands that have samples or are the same for all.
#[test]
fn tensors_above_a_binding_go_in_parts() {
    let gate = |g: &mut Graph| {
        let shape = [96, 4, 4, 8];
        let [a, b] = [input(g, "a", &shape), input(g, "b", &shape)];
        let [a, b] = [convolved(g, a)?, convolved(g, b)?];
        let [c, d] = [input(g, "c", &[4, 1, 1]), input(g, "d", &[96, 1, 1, 1])];
        let gate = g.sigmoid(b)?;
        let product = g.mul(a, gate)?;
        let sum = g.add(product, c)?;
        let y = g.mul(sum, d)?;
        let weight = input(g, "w", &[4, 4, 4, 8]);
        Ok(vec![g.conv2d(y, weight, None, Conv2d::default())?])
    };
    let target = Gpu::new().unwrap().target().clone();
    let parts = |max_binding| compare(gate, &Target { max_binding, lanes: None, ..target.clone() });
    let whole = parts(128 << 20);
    assert_eq!(whole, ["mul+add+mul [96, 4, 4, 8]"]);
    assert_eq!(parts(34 << 10).len(), 2);
}

/// In 16 bits, with the reference rounding what is stored and nothing else.
#[test]
fn chains_of_numbers_of_16_bits() {
    let gpu = Gpu::new().unwrap();
    if !gpu.target().half {
        return;
    }
    for case in chained() {
        let check = pollster::block_on(selftest::check(&gpu, &case, Half::Everything)).unwrap();
        assert!(check.passed(), "{} {} {}", case.name, check.worst, check.tensor);
    }
    let case = chained().find(|case| case.name.contains("gelu [4, 40]")).unwrap();
    let halves = |target: &Target| Plan::new(&program(&case, Half::Everything), target).unwrap().halves.len();
    // The operand, its gradient, that of the result and it.
    assert_eq!(halves(gpu.target()), 4);
    assert!(halves(&alone(gpu.target())) > 10);
}

/// A network with gates and a residual sum of its own: two steps of training.
fn gated(graph: &mut Graph, x: Value) -> Result<Value> {
    let conv = |graph: &mut Graph, name: &str, x: Value| {
        let channels = graph.shape(x)[1];
        let layer = Sequential::new().add("conv", nn::Conv2d::new(channels, 8, 3).padding(1));
        let layer = Sequential::new().add(name, layer.add("norm", BatchNorm2d::new(8)));
        layer.forward(graph, x)
    };
    let a = conv(graph, "a", x)?;
    let gate = graph.sigmoid(a)?;
    let y = graph.mul(a, gate)?;
    let [b, c] = [conv(graph, "b", y)?, conv(graph, "c", y)?];
    let gate = graph.unary(c, Unary::HardSwish)?;
    let gated = graph.mul(b, gate)?;
    let sum = graph.add(gated, y)?;
    let mean = graph.mean(sum, &[2, 3], false)?;
    Sequential::new().add("fc", Linear::new(8, 10)).forward(graph, mean)
}

#[test]
fn training_leaves_the_same_bits() {
    let gpu = Gpu::new().unwrap();
    let program = steps::program(gated, &[4, 3, 12, 12], 10);
    for recompute in [false, true] {
        let program = Program { recompute, ..program.clone() };
        let [(plan, left), (other, same)] =
            [gpu.target(), &alone(gpu.target())].map(|target| trained_on(&gpu, &program, target));
        assert!(left == same || gpu.target().class != Class::Cpu, "recompute {recompute}");
        assert!(plan.dispatches.len() + 6 <= other.dispatches.len(), "{plan}\n{other}");
        assert!(bytes(&plan) < bytes(&other));
        assert!(plan.activations() <= other.activations(), "{plan}\n{other}");
    }
}

/// Samples go through layers and the chains between them block by block.
#[test]
fn chains_go_block_by_block() {
    let gpu = Gpu::new().unwrap();
    let net = |graph: &mut Graph, x: Value| {
        let y = Sequential::new().add("a", nn::Conv2d::new(3, 8, 1)).forward(graph, x)?;
        // Of the convolution there is a block at a time, of what normalisation reads all.
        let shift = input(graph, "shift", &[8, 1, 1]);
        let y = graph.sub(y, shift)?;
        let y = graph.tanh(y)?;
        let norm = Sequential::new().add("norm", BatchNorm2d::new(8));
        let y = norm.add("b", nn::Conv2d::new(8, 8, 1)).forward(graph, y)?;
        let gate = graph.sigmoid(y)?;
        let y = graph.mul(y, gate)?;
        let y = nn::MaxPool2d::new(8).forward(graph, y)?;
        let mean = graph.mean(y, &[2, 3], false)?;
        Sequential::new().add("fc", Linear::new(8, 10)).forward(graph, mean)
    };
    let program = Program { recompute: true, ..steps::program(net, &[32, 3, 320, 320], 10) };
    let [(plan, left), (other, same)] =
        [gpu.target(), &alone(gpu.target())].map(|target| trained_on(&gpu, &program, target));
    assert!(left == same || gpu.target().class != Class::Cpu);
    let in_blocks = |plan: &Plan| {
        let launches = plan.dispatches.iter().map(|dispatch| &dispatch.launch);
        launches.filter(|launch| launch.kernel.name == "chain" && launch.first_row > Some(0)).count()
    };
    assert!(in_blocks(&plan) > 2, "{plan}");
    assert!(plan.activations() <= other.activations());
}

/// No network of the zoo takes more memory or moves more bytes with chains.
#[test]
fn networks_take_no_more_of_anything() {
    for (name, build, classes) in models::MODELS {
        let model = build(*classes);
        let dataset = blank::dataset(model.default_input(), 8, 1);
        for recompute in [false, true] {
            let settings = Settings { batch_size: 8, recompute, ..Settings::default() };
            let program = training_program(&model, &dataset, &settings).unwrap();
            let target = Target { lanes: Some(8), max_buffer: 1 << 40, ..Target::portable(Class::Cpu) };
            let [plan, other] = [&target, &alone(&target)].map(|target| Plan::new(&program, target).unwrap());
            let lower = [plan.lower_bound, other.lower_bound];
            assert!(lower[0] <= lower[1], "{name} {recompute}: {lower:?}");
            assert!(plan.dispatches.len() <= other.dispatches.len() && bytes(&plan) <= bytes(&other));
        }
    }
}
