//! Activations and gradients in 16 bits: how far a network's gradients are off, what the scale of the loss does, and that a
//! run goes on where it stopped.

use std::sync::LazyLock;
use wgrad::data;
use wgrad::gpu::{Gpu, Runner, StepNumbers};
use wgrad::graph::{Clip, DType, Graph, Init, Mode, Optimizer, Value, differentiate, differentiate_from};
use wgrad::nn::{BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential, Tanh, models};
use wgrad::plan::{Arena, Class, Half, LossScale, Plan, Program, Target, Update};
use wgrad::prelude::*;
use wgrad::reference::{evaluate_stored, feeds};
use wgrad::train::training_program;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().expect("an adapter"));

/// Whether the adapter stores 16-bit numbers. The Vulkan driver that the tests run on does; GL has no way to say so.
fn half() -> bool {
    if !GPU.target().half {
        eprintln!("{} does not store 16-bit floating point", GPU.describe());
    }
    GPU.target().half
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// Batch normalisation, a residual, and branches that are put together.
fn residual() -> Model {
    Model::new("residual", 10, &[[3, 14, 14]], |graph: &mut Graph, x: Value| {
        let stem = Sequential::new()
            .add("conv", Conv2d::new(3, 12, 3).padding(1).without_bias())
            .add("bn", BatchNorm2d::new(12))
            .add("relu", Relu)
            .forward(graph, x)?;
        let block = |name: &str| {
            Sequential::new()
                .add(format!("{name}.conv1"), Conv2d::new(12, 12, 3).padding(1).without_bias())
                .add(format!("{name}.bn1"), BatchNorm2d::new(12))
                .add(format!("{name}.relu"), Relu)
                .add(format!("{name}.conv2"), Conv2d::new(12, 12, 3).padding(1).without_bias())
                .add(format!("{name}.bn2"), BatchNorm2d::new(12))
        };
        let right = block("block").forward(graph, stem)?;
        let sum = graph.add(stem, right)?;
        let sum = graph.relu(sum)?;
        let left = Sequential::new().add("left", Conv2d::new(12, 5, 1)).add("tanh", Tanh).forward(graph, sum)?;
        let all = graph.concat(&[sum, left], 1)?;
        Sequential::new()
            .add("pool", MaxPool2d::new(2))
            .add("flatten", Flatten)
            .add("fc", Linear::new(17 * 49, 10))
            .forward(graph, all)
    })
}

/// Loss and gradients of networks with every kind of layer against the f64 reference, which rounds what the plan stores or
/// multiplies in 16 bits, and against the reference that rounds nothing.
#[test]
fn gradients_of_networks_are_within_their_roundings() {
    if !half() {
        return;
    }
    let networks: [(&str, Model, [usize; 4]); 3] = [
        ("lenet5", models::lenet5(10), [3, 1, 28, 28]),
        ("residual", residual(), [12, 3, 14, 14]),
        ("alexnet-cifar", models::by_name("alexnet-cifar", Some(10)).unwrap(), [2, 3, 32, 32]),
    ];
    for (network, model, [n, c, h, w]) in networks {
        let mut graph = Graph::with_mode(Mode { training: true, dropout: None, seed: 3 });
        let x = graph.input("x", &[n, c, h, w], DType::F32).unwrap();
        let labels = graph.input("labels", &[n], DType::U32).unwrap();
        let logits = model.forward(&mut graph, x).unwrap();
        let (loss, _) = graph.cross_entropy(logits, labels).unwrap();
        let parameters: Vec<Value> = graph.parameters().map(|(_, value)| value).collect();
        let names: Vec<String> = graph.parameters().map(|(name, _)| name.to_string()).collect();
        let scale = graph.input("scale", &[], DType::F32).unwrap();
        let derived = differentiate_from(&graph, &[(loss, scale)], &parameters).unwrap();
        let grads: Vec<Value> = derived.grads.iter().map(|grad| grad.unwrap()).collect();
        let outputs: Vec<Value> = [loss].into_iter().chain(grads.iter().copied()).collect();
        let program = Program { half: Half::Activations, ..Program::new(network, derived.graph, &outputs) };

        let mut fed = feeds(&program.graph, 1);
        fed.get_mut(&scale).unwrap().data = vec![4096.0];
        let first = wgrad::train::initial_state(&program.graph, 1);
        for ((_, value, _), numbers) in program.graph.state().zip(first) {
            let array = fed.get_mut(&value).unwrap();
            array.data = numbers.into_iter().map(f64::from).collect();
        }
        pollster::block_on(async {
            let mut runner = Runner::new(&GPU, &program).await.unwrap();
            let halves = runner.plan().halves.clone();
            assert!(halves.len() > 10, "{network}: {} tensors in 16 bits", halves.len());
            for (&value, array) in &fed {
                let bytes: Vec<u8> = match program.graph.info(value).dtype {
                    DType::F32 => array.data.iter().flat_map(|&number| (number as f32).to_le_bytes()).collect(),
                    _ => array.data.iter().flat_map(|&number| (number as u32).to_le_bytes()).collect(),
                };
                runner.feed(value, &bytes).unwrap();
            }
            runner.run_poisoned().await.unwrap();
            let rounded = evaluate_stored(&program.graph, &fed, &runner.plan().rounded()).unwrap();
            let exact = evaluate_stored(&program.graph, &fed, &Default::default()).unwrap();
            for (value, name) in outputs.iter().zip([&"loss".to_string()].into_iter().chain(&names)) {
                let found = floats(&runner.read(*value).await.unwrap());
                let distance = |expected: &[f64]| {
                    let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
                    let error = norm(&mut found.iter().zip(expected).map(|(&a, b)| f64::from(a) - b));
                    error / norm(&mut expected.iter().copied()).max(1e-30)
                };
                let [to_rounded, to_exact] =
                    [&rounded, &exact].map(|values| distance(&values[value.index()].as_ref().unwrap().data));
                // Where rounding by up to 5e-4 turns a maximum or the sign before a ReLU, about once in a thousand numbers, a
                // gradient takes another way: a distance of the root of that, 3 % for each such layer. The reference that
                // rounds goes the same way, but for numbers that lie in the middle between two of 16 bits.
                assert!(to_rounded <= 1e-2, "{network}: {name} is {to_rounded:.1e} off");
                assert!(to_exact <= 1e-1, "{network}: {name} is {to_exact:.1e} off what 32 bits hold");
            }
        });
    }
}

/// A network of two numbers: the loss is `sum of w g`, so that `g` is the gradient.
fn given(update: Update, scaled: bool) -> (Program, [Value; 2]) {
    let mut graph = Graph::new();
    let w = graph.parameter("w", &[3], Init::Constant(1.0)).unwrap();
    let g = graph.input("g", &[3], DType::F32).unwrap();
    let product = graph.mul(w, g).unwrap();
    let loss = graph.sum(product, &[0], false).unwrap();
    let loss_scale = scaled.then(|| LossScale {
        scale: graph.input("scale", &[], DType::F32).unwrap(),
        history: graph.input("history", &[2], DType::F32).unwrap(),
    });
    let derived = match loss_scale {
        Some(LossScale { scale, .. }) => differentiate_from(&graph, &[(loss, scale)], &[w]).unwrap(),
        None => differentiate(&graph, loss, &[w]).unwrap(),
    };
    let program = Program {
        gradients: vec![(w, derived.grads[0].unwrap())],
        update: Some(update),
        loss_scale,
        ..Program::new("given", derived.graph, &[])
    };
    (program, [w, g])
}

/// Weights, optimizer state and averages after these gradients, and scale and history, which begin as given.
fn after(update: Update, scale: Option<[f32; 3]>, gradients: &[[f32; 3]]) -> (Vec<f32>, Vec<f32>) {
    let (program, [w, g]) = given(update, scale.is_some());
    pollster::block_on(async {
        let mut runner = Runner::new(&GPU, &program).await.unwrap();
        runner.feed(w, bytemuck::cast_slice(&[1.0_f32; 3])).unwrap();
        if let (Some(inputs), Some(numbers)) = (program.loss_scale, scale) {
            runner.feed(inputs.scale, bytemuck::cast_slice(&numbers[..1])).unwrap();
            runner.feed(inputs.history, bytemuck::cast_slice(&numbers[1..])).unwrap();
        }
        for (step, gradients) in gradients.iter().enumerate() {
            runner.feed(g, bytemuck::cast_slice(gradients)).unwrap();
            let rates = update.optimizer.step_numbers(0.5, step as u64 + 1);
            runner.set_step(StepNumbers { index: step as u32, rates, ..StepNumbers::once() }).unwrap();
            runner.run().unwrap();
        }
        let place = runner.plan().parameters.iter().next().unwrap().clone();
        let states = (0..update.optimizer.states()).map(Arena::State).chain(update.average.then_some(Arena::Average));
        let mut left = vec![];
        for arena in [Arena::Parameters].into_iter().chain(states) {
            left.extend(floats(&runner.read_region(&place.regions(arena)[0]).await.unwrap()));
        }
        let mut history = vec![];
        if let Some(inputs) = program.loss_scale {
            history.extend(floats(&runner.read(inputs.scale).await.unwrap()));
            history.extend(floats(&runner.read(inputs.history).await.unwrap()));
        }
        (left, history)
    })
}

fn updates() -> Vec<Update> {
    let optimizers: [Optimizer; 3] =
        [Sgd::new(0.1).momentum(0.9).into(), Adam::new(0.1).into(), RmsProp::new(0.1).into()];
    let clips = [None, Some(Clip::Norm(0.5)), Some(Clip::Value(0.25))];
    let all = optimizers.into_iter().flat_map(|optimizer| clips.map(|clip| (optimizer, clip)));
    all.map(|(optimizer, clip)| Update { clip, average: true, ..optimizer.into() }).collect()
}

/// A scale that is a power of two loses nothing: every optimizer, clipping in whatever way, leaves the same bits.
#[test]
fn scaled_steps_are_those_without_scale() {
    let gradients = [[0.25, -3.0, 1e-3], [0.5, 0.125, -0.7]];
    for update in updates() {
        let (plain, _) = after(update, None, &gradients);
        let (scaled, history) = after(update, Some([65536.0, 0.0, 0.0]), &gradients);
        assert_eq!(history, [65536.0, 2.0, 0.0]);
        match update.clip {
            // The norm is a root, which is rounded in another place.
            Some(Clip::Norm(_)) => {
                plain.iter().zip(&scaled).for_each(|(a, b)| assert!((a - b).abs() <= 1e-6 * a.abs(), "{a} {b}"))
            }
            _ => assert_eq!(plain, scaled, "{update:?}"),
        }
    }
}

/// A step whose gradients overflow changes nothing but the scale.
#[test]
fn steps_that_overflow_are_skipped() {
    for update in updates() {
        let good = [0.25, -3.0, 1e-3];
        let (once, _) = after(update, Some([1024.0, 7.0, 4.0]), &[good]);
        for bad in [f32::INFINITY, f32::NAN, f32::MAX] {
            let (found, history) = after(update, Some([1024.0, 7.0, 4.0]), &[good, [0.0, bad, 0.0]]);
            assert_eq!(found, once, "{update:?}");
            assert_eq!(history, [512.0, 0.0, 5.0]);
        }
    }
}

#[test]
fn the_scale_grows_after_many_good_steps_and_stays_within_its_range() {
    let update: Update = Optimizer::sgd(0.1).into();
    let good = [[1.0, 1.0, 1.0]];
    for (before, left) in [
        ([65536.0, 1998.0, 3.0], [65536.0, 1999.0, 3.0]),
        ([65536.0, 1999.0, 3.0], [131072.0, 0.0, 3.0]),
        ([2_f32.powi(24), 1999.0, 0.0], [2_f32.powi(24), 0.0, 0.0]),
    ] {
        assert_eq!(after(update, Some(before), &good).1, left);
    }
    let least = [2_f32.powi(-24), 5.0, 0.0];
    assert_eq!(after(update, Some(least), &[[f32::NAN; 3]]).1, [2_f32.powi(-24), 0.0, 1.0]);
}

/// The plan's activations take about half of what they take in 32 bits, and nothing else changes.
#[test]
fn memory_is_halved() {
    let target = Target { half: true, ..Target::portable(Class::Discrete) };
    for name in ["resnet18-cifar", "vgg16_bn-cifar"] {
        let model = models::by_name(name, Some(10)).unwrap();
        let digits = data::digits().fit(model.default_input()).unwrap();
        let plan = |amp| {
            let settings = Settings { batch_size: 64, amp, ..Settings::default() };
            Plan::new(&training_program(&model, &digits, &settings).unwrap(), &target).unwrap()
        };
        let (full, half) = (plan(false), plan(true));
        let ratio = half.activations() as f64 / full.activations() as f64;
        assert!((0.49..0.65).contains(&ratio), "{name}: {ratio}");
        assert!(half.activations() as f64 <= 1.10 * half.lower_bound as f64);
    }
}

/// Runs in 16 bits learn what runs in 32 bits learn, and go on to the last bit where they stopped.
#[test]
fn runs_learn_and_go_on() {
    if !half() {
        return;
    }
    let digits = data::digits();
    let settings = Settings { epochs: 2, seed: 5, schedule: Schedule::Constant, ..Settings::default() };
    let trainer = |amp, steps| {
        let settings = Settings { amp, steps, ..settings.clone() };
        Trainer::new(&GPU, models::lenet5(10)).settings(settings)
    };
    let full = trainer(false, None).fit(&digits).unwrap();
    let half = trainer(true, None).fit(&digits).unwrap();
    assert_eq!(half.last.loss_scale(), Some((LossScale::FIRST, 0)));
    assert_eq!(full.last.loss_scale(), None);
    let accuracies = [full.accuracy(), half.accuracy()];
    assert!(accuracies.iter().all(|accuracy| *accuracy > 0.9), "{accuracies:?}");
    for (a, b) in full.steps[..5].iter().zip(&half.steps) {
        assert!((a.loss - b.loss).abs() < 2e-3 * a.loss, "{} in 32 bits, {} in 16", a.loss, b.loss);
    }
    let part = trainer(true, Some(20)).fit(&digits).unwrap();
    let whole = trainer(true, None).resume(part.last).fit(&digits).unwrap();
    assert_eq!(whole.last.tensors.to_bytes().unwrap(), half.last.tensors.to_bytes().unwrap());
}

/// An adapter that cannot is told so before anything runs.
#[test]
fn adapters_without_16_bits_are_refused() {
    let model = models::lenet5(10);
    let digits = data::digits().fit(model.default_input()).unwrap();
    let program = training_program(&model, &digits, &Settings { amp: true, ..Settings::default() }).unwrap();
    let error = Plan::new(&program, &Target::portable(Class::Other)).unwrap_err().to_string();
    assert!(error.contains("SHADER_F16") && error.contains("--amp"), "{error}");
}
