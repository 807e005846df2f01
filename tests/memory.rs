//! Activations that are computed again, masks from maxima, results in the places of masks, samples in
//! blocks: less memory, the same bits.

#[path = "common/steps.rs"]
mod steps;

use steps::{program, trained};
use wgrad::graph::{Op, Unary, Value};
use wgrad::nn::{BatchNorm2d, Conv2d, Dropout, Linear, MaxPool2d, Module, Relu, Sequential};
use wgrad::plan::{Class, Plan, Program, Target, fuse};
use wgrad::prelude::*;
use wgrad::train::training_program;

/// Batch normalisation, dropout, overlapping maxima with padding, a residual sum and a concatenation.
fn everything(graph: &mut Graph, x: Value) -> Result<Value> {
    let x = Sequential::new()
        .add("conv1", Conv2d::new(3, 8, 3).padding(1))
        .add("relu1", Relu)
        .add("conv2", Conv2d::new(8, 16, 3).padding(1))
        .add("norm1", BatchNorm2d::new(16))
        .add("relu2", Relu)
        .add("conv3", Conv2d::new(16, 16, 3).padding(1))
        .add("relu3", Relu)
        .add("pool1", MaxPool2d::new(3).stride(2).padding(1))
        .add("drop1", Dropout(0.3))
        .forward(graph, x)?;
    let y = Sequential::new()
        .add("conv4", Conv2d::new(16, 8, 3).padding(1))
        .add("norm2", BatchNorm2d::new(8))
        .add("relu4", Relu)
        .forward(graph, x)?;
    let z = Sequential::new().add("conv5", Conv2d::new(16, 8, 1)).forward(graph, x)?;
    let z = graph.unary(z, Unary::Tanh)?;
    let both = graph.concat(&[y, z], 1)?;
    let sum = graph.add(both, x)?;
    let sum = Sequential::new()
        .add("relu5", Relu)
        .add("conv6", Conv2d::new(16, 8, 3).padding(1))
        .add("relu6", Relu)
        .add("pool2", MaxPool2d::new(2))
        .forward(graph, sum)?;
    let flat = graph.flatten(sum, 1)?;
    Sequential::new()
        .add("fc1", Linear::new(8 * 4 * 4, 32))
        .add("relu7", Relu)
        .add("drop2", Dropout(0.5))
        .add("fc2", Linear::new(32, 10))
        .forward(graph, flat)
}

fn step() -> Program {
    program(everything, &[8, 3, 16, 16], 10)
}

fn differing(a: &[Vec<u8>], b: &[Vec<u8>]) -> usize {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a != b).count()
}

#[test]
fn what_is_computed_again_is_the_same_to_the_last_bit() {
    let gpu = Gpu::new().unwrap();
    let kept = step();
    let again = Program { recompute: true, ..kept.clone() };
    let ((plan, left), (less, same)) = (trained(&gpu, &kept), trained(&gpu, &again));
    assert!(less.dispatches.len() > plan.dispatches.len() + 3, "nothing is computed again");
    assert!(less.lower_bound < plan.lower_bound, "{} against {}", less.lower_bound, plan.lower_bound);
    let norms = |plan: &Plan| plan.kernels().filter(|kernel| kernel.name == "batch_norm_merge").count();
    assert!(norms(&less) > norms(&plan), "no batch normalisation is computed again");
    assert_eq!(differing(&left, &same), 0, "of {} tensors", left.len());
}

/// The gradients of the convolutions that follow a ReLU lie where the ReLU's result lay; whoever wants to read that after
/// the step gets it, and the same numbers.
#[test]
fn results_in_the_places_of_masks_are_the_same_to_the_last_bit() {
    let gpu = Gpu::new().unwrap();
    let shared = step();
    let mut apart = shared.clone();
    let activations = shared.graph.nodes().iter().filter(|node| matches!(node.op, Op::Unary(_)));
    apart.outputs.extend(activations.map(|node| node.outputs[0]));
    let ((plan, left), (other, same)) = (trained(&gpu, &shared), trained(&gpu, &apart));
    let in_place = |plan: &Plan| plan.dispatches.iter().filter(|dispatch| dispatch.launch.in_place).count();
    assert!(in_place(&plan) > 0 && in_place(&other) == 0, "{} {}", in_place(&plan), in_place(&other));
    let (ours, theirs) = (&left[shared.outputs.len()..], &same[apart.outputs.len()..]);
    assert_eq!(differing(ours, theirs), 0, "of {} tensors", ours.len());
}

#[test]
fn masks_behind_maxima_are_the_maxima() {
    let fused = fuse(&step()).unwrap();
    let masks: Vec<_> = fused
        .graph
        .nodes()
        .iter()
        .filter(|node| matches!(node.op, Op::Pool2dBackward(_)))
        .map(|node| node.epilogue.mask.clone())
        .collect();
    // Behind the first there is a dropout, behind its gradient the mask of the ReLU before it.
    assert_eq!(masks.len(), 2);
    for mask in masks.into_iter().flatten() {
        assert!(mask.pooled && matches!(fused.graph.producer(mask.output).op, Op::Pool2d(_)), "{mask:?}");
    }
}

/// An activation that has other readers than the maximum: its gradient is a sum, and its mask its own.
#[test]
fn masks_of_sums_are_not_maxima() {
    let net = |graph: &mut Graph, x: Value| {
        let y = Sequential::new().add("conv", Conv2d::new(3, 4, 3).padding(1)).add("relu", Relu).forward(graph, x)?;
        let pooled = Sequential::new().add("pool", MaxPool2d::new(3).stride(1).padding(1)).forward(graph, y)?;
        let sum = graph.add(pooled, y)?;
        let flat = graph.flatten(sum, 1)?;
        Sequential::new().add("fc", Linear::new(4 * 64, 10)).forward(graph, flat)
    };
    let fused = fuse(&program(net, &[2, 3, 8, 8], 10)).unwrap();
    assert!(fused.graph.nodes().iter().all(|node| node.epilogue.mask.as_ref().is_none_or(|mask| !mask.pooled)));
}

/// The first layers of a VGG, narrow, on tensors of 77 MB: three blocks of samples.
fn narrow_vgg(graph: &mut Graph, x: Value) -> Result<Value> {
    let x = Sequential::new()
        .add("conv1", Conv2d::new(3, 8, 3).padding(1))
        .add("relu1", Relu)
        .add("conv2", Conv2d::new(8, 8, 3).padding(1))
        .add("relu2", Relu)
        .add("pool1", MaxPool2d::new(2))
        .add("conv3", Conv2d::new(8, 8, 3).padding(1))
        .add("relu3", Relu)
        .add("drop3", Dropout(0.2))
        .add("pool3", MaxPool2d::new(4))
        .forward(graph, x)?;
    let flat = graph.flatten(x, 1)?;
    Sequential::new().add("fc", Linear::new(8 * 56 * 56, 10)).forward(graph, flat)
}

/// Of what passes between the first convolutions there is a block at a time, forwards and backwards; gradients of weights
/// are summed over the same blocks as ever.
#[test]
fn samples_pass_through_layers_in_blocks_with_the_same_bits() {
    let gpu = Gpu::new().unwrap();
    let kept = program(narrow_vgg, &[12, 3, 448, 448], 10);
    let again = Program { recompute: true, ..kept.clone() };
    let ((plan, left), (less, same)) = (trained(&gpu, &kept), trained(&gpu, &again));
    let layers = |rows| {
        let confined = less.dispatches.iter().filter(move |dispatch| dispatch.launch.first_row == Some(rows));
        confined.map(|dispatch| dispatch.launch.layer.as_str()).collect::<Vec<_>>()
    };
    for rows in [5, 10] {
        let mut layers = layers(rows);
        layers.dedup();
        assert_eq!(layers, ["conv1", "conv2", "pool1", "conv1", "conv2", "conv1"], "samples from {rows} on");
    }
    let largest = 12 * 8 * 448 * 448 * 4;
    assert!(less.activations() < 2 * largest && plan.activations() > 2 * largest, "{}", less.activations());
    assert_eq!(differing(&left, &same), 0, "of {} tensors", left.len());
}

/// A convolution needs operand and result, its gradients as much; but not of all samples at once.
#[test]
fn vgg16_trains_in_less_than_half_with_recomputation() {
    let model = models::vgg16(10);
    let images = |count: usize| data::Images {
        shape: [3, 224, 224],
        pixels: vec![0; count * 3 * 224 * 224],
        labels: vec![0; count],
    };
    let mut dataset = data::digits();
    (dataset.train, dataset.test, dataset.mean, dataset.std) = (images(16), images(1), vec![0.0; 3], vec![1.0; 3]);
    let largest = 16 * 64 * 224 * 224 * 4;
    for lanes in [None, Some(8)] {
        let target = Target { lanes, ..Target::portable(Class::Cpu) };
        let plan = |recompute| {
            let settings = Settings { batch_size: 16, recompute, ..Settings::default() };
            let program = training_program(&model, &dataset, &settings).unwrap();
            Plan::new(&program, &target).unwrap()
        };
        let (kept, again) = (plan(false), plan(true));
        let (less, most) = (again.activations(), kept.activations());
        assert!(less <= most / 2 && less <= largest * 3 / 2, "{lanes:?}: {less} of {most}");
        // Kept are: the batch, what each pooling yields, and all between them but what goes into a pooling.
        assert!(kept.lower_bound <= largest * 31 / 10, "{lanes:?}: {} of {largest}", kept.lower_bound);
        assert!(again.flops() < kept.flops() * 4 / 3, "more than the forward pass is computed again");
    }
}
