//! Concatenations whose operands are computed in their places, and slices that are read where they lie: fewer copies, less
//! memory, the same bits.

#[path = "common/blank.rs"]
mod blank;
#[path = "common/steps.rs"]
mod steps;

use steps::{program, trained_on};
use wgrad::graph::{Binary, Op, Unary, Value};
use wgrad::nn::{BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, Relu, Sequential, models};
use wgrad::plan::{Class, Plan, Program, Target, fuse};
use wgrad::prelude::*;
use wgrad::train::training_program;

/// A convolution, batch normalisation and ReLU.
fn unit(graph: &mut Graph, [from, to]: [usize; 2], x: Value) -> Result<Value> {
    let [conv, norm] = ["conv", "norm"].map(|name| format!("{name}{}", graph.len()));
    let unit = Sequential::new().add(&conv, Conv2d::new(from, to, 1)).add(&norm, BatchNorm2d::new(to));
    unit.add("relu", Relu).forward(graph, x)
}

/// Blocks like those of Inception: three units side by side; then two beside a maximum, whose gradients are slices with
/// masks and a slice without.
fn inception(graph: &mut Graph, x: Value) -> Result<Value> {
    let channels = graph.shape(x)[1];
    let branches = [3, 8, 5].map(|to| unit(graph, [channels, to], x));
    let x = graph.concat(&branches.into_iter().collect::<Result<Vec<_>>>()?, 1)?;
    let units = [6, 2].map(|to| unit(graph, [16, to], x));
    let mut branches = units.into_iter().collect::<Result<Vec<_>>>()?;
    branches.push(MaxPool2d::new(3).stride(1).padding(1).forward(graph, x)?);
    let x = graph.concat(&branches, 1)?;
    let x = unit(graph, [24, 4], x)?;
    let mean = graph.mean(x, &[2, 3], false)?;
    classify(graph, mean)
}

fn classify(graph: &mut Graph, x: Value) -> Result<Value> {
    let channels = graph.shape(x)[1];
    Sequential::new().add("fc", Linear::new(channels, 10)).forward(graph, x)
}

fn copies(plan: &Plan) -> usize {
    plan.kernels().filter(|kernel| kernel.name == "pad").count()
}

fn differing(a: &[Vec<u8>], b: &[Vec<u8>]) -> usize {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a != b).count()
}

/// What two plans leave that differ in nothing but copies, and how many those are with and without views.
fn compare(gpu: &Gpu, program: &Program, expected: [usize; 2]) {
    for wide in [gpu.target().wide, false] {
        let target = Target { wide, ..gpu.target().clone() };
        let (plan, left) = trained_on(gpu, program, &target);
        let (copying, same) = trained_on(gpu, program, &Target { views: false, ..target });
        assert_eq!([&plan, &copying].map(copies), expected);
        assert_eq!(differing(&left, &same), 0, "of {} tensors", left.len());
    }
}

/// Planes of eights, of fours, and odd ones: in wide vectors, in vectors, one by one.
#[test]
fn views_and_copies_are_the_same_to_the_last_bit() {
    let gpu = Gpu::new().unwrap();
    for [h, w] in [[8, 8], [6, 6], [7, 7], [1, 5]] {
        let program = program(inception, &[5, 3, h, w], 10);
        // The maximum is copied, and all three gradients of its block.
        compare(&gpu, &program, [4, 12]);
        let again = Program { recompute: true, ..program };
        compare(&gpu, &again, [4, 12]);
    }
}

/// Sums over samples go in blocks of them, the same whether a gradient lies alone or in one that is larger.
#[test]
fn views_above_a_block_of_samples() {
    let gpu = Gpu::new().unwrap();
    let net = |graph: &mut Graph, x: Value| {
        let branches = [8, 2].map(|to| unit(graph, [3, to], x));
        let x = graph.concat(&branches.into_iter().collect::<Result<Vec<_>>>()?, 1)?;
        let x = MaxPool2d::new(4).forward(graph, x)?;
        let mean = graph.mean(x, &[2, 3], false)?;
        classify(graph, mean)
    };
    let program = program(net, &[8, 3, 384, 384], 10);
    compare(&gpu, &program, [0, 4]);
    // Of more than a block there would be a block at a time.
    let plan = Plan::new(&Program { recompute: true, ..program.clone() }, gpu.target()).unwrap();
    assert!(copies(&plan) >= 4, "{}", copies(&plan));
    // No binding covers both branches, but each alone.
    let target = Target { max_binding: 40 << 20, ..gpu.target().clone() };
    assert!(copies(&Plan::new(&program, &target).unwrap()) >= 4);
}

/// Branches of four channels, and what they are put into.
fn copied(join: impl Fn(&mut Graph, [Value; 2]) -> Result<Value>) -> usize {
    let net = |graph: &mut Graph, x: Value| {
        let branches = [unit(graph, [3, 4], x)?, unit(graph, [3, 4], x)?];
        let y = join(graph, branches)?;
        let mean = graph.mean(y, &[2, 3], false)?;
        classify(graph, mean)
    };
    copies(&Plan::new(&program(net, &[2, 3, 8, 8], 10), &Target::portable(Class::Cpu)).unwrap())
}

#[test]
fn what_others_read_as_it_is_is_copied() {
    assert_eq!(copied(|graph, branches| graph.concat(&branches, 1)), 0);
    // Another axis is no axis of channels: two copies there, two back.
    assert_eq!(copied(|graph, branches| graph.concat(&branches, 2)), 4);
    // A tensor that lies in two places, beside one that lies in one; its gradients are added up.
    assert_eq!(copied(|graph, [a, b]| graph.concat(&[a, b, a], 1)), 5);
    // A convolution reads a branch.
    assert_eq!(
        copied(|graph, [a, b]| {
            let c = Sequential::new().add("conv", Conv2d::new(4, 8, 1)).forward(graph, a)?;
            let y = graph.concat(&[a, b], 1)?;
            graph.add(y, c)
        }),
        3
    );
}

#[test]
fn an_output_has_a_place_of_its_own() {
    let mut branch = None;
    let net = |graph: &mut Graph, x: Value| {
        let y = unit(graph, [3, 4], x)?;
        let z = unit(graph, [3, 4], x)?;
        let both = graph.concat(&[y, z], 1)?;
        let mean = graph.mean(both, &[2, 3], false)?;
        classify(graph, mean)
    };
    let mut program = program(net, &[2, 3, 8, 8], 10);
    for node in program.graph.nodes() {
        if matches!(node.op, Op::Concat(_)) {
            branch = Some(node.inputs[0]);
        }
    }
    program.outputs.extend(branch);
    let plan = Plan::new(&program, &Target::portable(Class::Cpu)).unwrap();
    assert_eq!(copies(&plan), 1);
    assert_eq!(plan.regions[&branch.unwrap()].size, 2 * 4 * 64 * 4);
}

/// The gradients of all activations of a block are applied by the sum that is the gradient of their concatenation.
#[test]
fn gradients_of_activations_are_applied_before_slices() {
    let fused = fuse(&program(inception, &[5, 3, 8, 8], 10)).unwrap();
    let masked = |node: &&wgrad::graph::Node| node.epilogue.mask.is_some();
    let nodes = || fused.graph.nodes().iter();
    let sums = nodes().filter(|node| matches!(node.op, Op::Binary(Binary::Add))).filter(masked).count();
    let slices = nodes().filter(|node| matches!(node.op, Op::Slice(_)));
    assert_eq!((sums, slices.clone().count(), slices.filter(masked).count()), (1, 6, 2));
    let alone = nodes().filter(|node| matches!(node.op, Op::UnaryBackward(Unary::Relu)));
    assert_eq!(alone.count(), 1, "only the last unit's");
}

/// The plan of a training step of `model` on two images of its own size.
fn large(model: &Model, views: bool) -> Plan {
    let dataset = blank::dataset(model.default_input(), 2, 1);
    let settings = Settings { batch_size: 2, ..Settings::default() };
    let target = Target { lanes: Some(8), views, ..Target::portable(Class::Cpu) };
    Plan::new(&training_program(model, &dataset, &settings).unwrap(), &target).unwrap()
}

/// Of GoogLeNet no copy is left; of Inception-v3 those of the two blocks with a maximum among their branches: it, and the
/// three gradients. A whole is there from its first part on, so that memory is about the same.
#[test]
fn networks_copy_less() {
    let networks =
        [("googlenet", [0, 72]), ("googlenet-aux", [0, 72]), ("inception_v3", [8, 92]), ("inception_v3-aux", [8, 92])];
    for (name, expected) in networks {
        let model = models::by_name(name, 10).unwrap();
        let plans = [true, false].map(|views| large(&model, views));
        assert_eq!([copies(&plans[0]), copies(&plans[1])], expected, "{name}");
        let [bytes, copying] = plans.map(|plan| plan.activations());
        assert!(bytes * 100 <= copying * 102, "{name}: {bytes} {copying}");
    }
}
