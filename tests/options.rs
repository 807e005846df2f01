//! What a run may be asked for beyond an optimizer: steps of several batches, averages, clipping, frozen layers, decay of
//! weights alone, and losses with options.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad::gpu::Runner;
use wgrad::graph::{Clip, DType, Graph, Init, differentiate};
use wgrad::plan::{self, Arena, Groups, Program, Update};
use wgrad::prelude::*;
use wgrad::train::{Checkpoint, ClassWeights, Observer, StepMetrics, training_program};

fn settings() -> Settings {
    Settings {
        batch_size: 32,
        epochs: 1,
        optimizer: Sgd::new(0.05).momentum(0.9).into(),
        schedule: Schedule::Constant,
        seed: 5,
        ..Settings::default()
    }
}

fn fit(gpu: &Gpu, settings: Settings) -> Report {
    Trainer::new(gpu, models::lenet5(10)).settings(settings).fit(&data::digits()).unwrap()
}

fn bytes(checkpoint: &Checkpoint) -> Vec<u8> {
    checkpoint.to_file().to_bytes().unwrap()
}

/// The tensors of a checkpoint by name.
fn tensors(checkpoint: &Checkpoint) -> BTreeMap<String, Vec<f32>> {
    checkpoint.tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.data.clone())).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

/// 1,437 samples: in steps of 96 the last has 93, in three batches of 32, 32 and 29.
#[test]
fn several_small_batches_equal_a_large_one() {
    let gpu = Gpu::new().unwrap();
    let run = |batch_size, accumulate, clip| {
        let adam = Adam::new(1e-3).into();
        let optimizer = if clip { adam } else { settings().optimizer };
        let clip = clip.then_some(Clip::Norm(0.5));
        fit(&gpu, Settings { batch_size, accumulate, clip, optimizer, ..settings() })
    };
    for clip in [false, true] {
        let (whole, parts) = (run(96, 1, clip), run(32, 3, clip));
        assert_eq!([whole.steps.len(), parts.steps.len()], [15, 15]);
        for (a, b) in whole.steps.iter().zip(&parts.steps) {
            assert_eq!((a.step, a.epoch, a.lr), (b.step, b.epoch, b.lr));
            assert!((a.loss - b.loss).abs() <= 2e-5 * a.loss, "step {}: {} and {}", a.step, a.loss, b.loss);
            assert!((a.accuracy - b.accuracy).abs() < 0.011, "step {}: {} and {}", a.step, a.accuracy, b.accuracy);
        }
        let (a, b) = (tensors(&whole.last), tensors(&parts.last));
        for name in ["conv1.weight", "fc3.weight", "fc3.bias"] {
            let difference = largest_difference(&a[name], &b[name]);
            assert!(difference <= 1e-4, "{name}: {difference}");
        }
    }
}

#[derive(Clone, Default)]
struct StopAt {
    step: u64,
    stop: Arc<AtomicBool>,
    last: Rc<RefCell<Option<Checkpoint>>>,
}

impl Observer for StopAt {
    fn steps(&mut self, steps: &[StepMetrics]) -> Result<()> {
        if steps.iter().any(|step| step.step >= self.step) {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint, _best: bool) -> Result<()> {
        *self.last.borrow_mut() = Some(checkpoint.clone());
        Ok(())
    }
}

/// Everything that has state, at once.
#[test]
fn a_run_with_everything_repeats_and_resumes_to_the_last_bit() {
    let gpu = Gpu::new().unwrap();
    let digits = data::digits();
    let trainer = || {
        let optimizer = RmsProp::new(1e-3).momentum(0.5).centered();
        let settings = Settings {
            accumulate: 5,
            epochs: 3,
            label_smoothing: 0.1,
            class_weights: ClassWeights::Balanced,
            groups: Groups { frozen: vec!["conv1".into()], spare_vectors: true },
            ..settings()
        };
        Trainer::new(&gpu, models::lenet5(10))
            .settings(settings)
            .optimizer(optimizer.weight_decay(0.01))
            .clip(Clip::Norm(1.0))
            .average(0.9)
    };
    let whole = trainer().fit(&digits).unwrap();
    // Who is told to stop ends what is on its way, which may be the rest of the epoch: no stop lies in the last one.
    assert_eq!(whole.steps.len(), 27);
    assert_eq!(bytes(&trainer().fit(&digits).unwrap().last), bytes(&whole.last));
    for step in [1, 9, 12] {
        let stop = StopAt { step, ..StopAt::default() };
        let part = trainer().observe(stop.clone()).stop_flag(stop.stop.clone()).fit(&digits).unwrap();
        assert!(part.last.step >= step && part.last.step < 27);
        let file = stop.last.borrow().clone().unwrap();
        let rest = trainer().resume(file).fit(&digits).unwrap();
        assert_eq!(bytes(&rest.last), bytes(&whole.last), "stopped after step {}", part.last.step);
    }
}

#[test]
fn averages_follow_their_formula_and_are_what_is_evaluated() {
    let gpu = Gpu::new().unwrap();
    let decay = 0.7;
    let run = |steps| fit(&gpu, Settings { steps: Some(steps), average: Some(decay), ..settings() });
    let name = "fc2.weight";
    let mut expected: Vec<f64> = vec![];
    for steps in 1..=4 {
        let report = run(steps);
        let found = tensors(&report.last);
        let weights = found[name].iter().map(|&weight| f64::from(weight));
        expected = match steps {
            1 => weights.collect(),
            _ => expected.iter().zip(weights).map(|(old, weight)| decay * old + (1.0 - decay) * weight).collect(),
        };
        let average = &found[&format!("optimizer.average.{name}")];
        let expected: Vec<f32> = expected.iter().map(|&number| number as f32).collect();
        assert!(largest_difference(average, &expected) <= 4e-8 * steps as f32, "step {steps}");
        assert_eq!(average == &found[name], steps == 1);
    }

    // The best weights are the averages, and evaluate to what the run said of them.
    let report = fit(&gpu, Settings { average: Some(decay), ..settings() });
    let best = report.best.as_ref().unwrap();
    let weights = best.weights().unwrap();
    assert_eq!(weights.get(name).unwrap().data, tensors(best)[&format!("optimizer.average.{name}")]);
    assert_eq!(weights.names().count(), 10);
    let nothing = Settings { optimizer: Sgd::new(0.0).into(), steps: Some(1), ..settings() };
    let again = Trainer::new(&gpu, models::lenet5(10)).settings(nothing).init(weights).fit(&data::digits()).unwrap();
    assert_eq!(again.evaluations[0].loss, report.evaluations[0].loss);
    assert_eq!(again.evaluations[0].accuracy, report.evaluations[0].accuracy);
    // What is trained does not depend on averages being kept.
    let plain = fit(&gpu, settings());
    assert_eq!(tensors(&plain.last)[name], tensors(&report.last)[name]);
    assert_ne!(plain.evaluations[0].loss, report.evaluations[0].loss);
}

#[test]
fn frozen_layers_stay_and_cost_no_gradient() {
    let gpu = Gpu::new().unwrap();
    let digits = data::digits();
    let frozen = Groups { frozen: vec!["conv1".into(), "conv2.bias".into()], ..Groups::default() };
    let settings = Settings { steps: Some(3), groups: frozen, ..settings() };
    let begin = tensors(&fit(&gpu, Settings { optimizer: Sgd::new(0.0).into(), ..settings.clone() }).last);
    let end = tensors(&fit(&gpu, settings.clone()).last);
    for (name, numbers) in begin.iter().filter(|(name, _)| !name.starts_with("optimizer.")) {
        let stays = ["conv1.weight", "conv1.bias", "conv2.bias"].contains(&name.as_str());
        assert_eq!(numbers == &end[name], stays, "{name}");
        assert_eq!(end.contains_key(&format!("optimizer.momentum_buffer.{name}")), !stays, "{name}");
    }

    let model = models::lenet5(10);
    let digits = digits.fit(model.default_input()).unwrap();
    let program = |paths: &[&str]| {
        let frozen = paths.iter().map(ToString::to_string).collect();
        let groups = Groups { frozen, ..Groups::default() };
        training_program(&model, &digits, &Settings { groups, ..settings.clone() })
    };
    let count = |paths: &[&str]| {
        let target = plan::Target::portable(plan::Class::Cpu);
        let plan = plan::Plan::new(&program(paths).unwrap(), &target).unwrap();
        (plan.kernels().filter(|kernel| kernel.name.starts_with("conv_weight")).count(), plan.dispatches.len())
    };
    let counts = [count(&[]), count(&["conv1"]), count(&["conv1", "conv2"])];
    assert_eq!(counts.map(|(weights, _)| weights), [2, 1, 0]);
    // Nor is there one by what lies before the first layer that is trained.
    assert!(counts[0].1 > counts[1].1 + 2 && counts[1].1 > counts[2].1 + 2, "{counts:?}");
    let error = program(&["features"]).unwrap_err().to_string();
    assert!(error.contains("--freeze features") && error.contains("conv1, conv2, fc1, fc2, fc3"), "{error}");
    let error = program(&["conv1", "conv2", "fc1", "fc2", "fc3"]).unwrap_err().to_string();
    assert!(error.contains("no parameter to train"), "{error}");
}

/// Batch normalisation in a frozen layer is that of inference; the others keep learning statistics.
#[test]
fn frozen_layers_are_traced_for_inference() {
    let mut graph = Graph::with_mode(wgrad::graph::Mode { training: true, ..Default::default() });
    graph.freeze(&["features".into()]);
    let training = |graph: &mut Graph, layer: &str| graph.scoped(layer, |graph| Ok(graph.mode().training)).unwrap();
    assert!(training(&mut graph, "features2") && training(&mut graph, "head") && !training(&mut graph, "features"));
    let below = graph.scoped("features", |graph| graph.scoped("bn1", |graph| Ok(graph.mode().training)));
    assert!(!below.unwrap() && graph.mode().training);
}

#[test]
fn decay_of_weights_alone_leaves_vectors_out() {
    let gpu = Gpu::new().unwrap();
    let run = |weight_decay: f32, spare_vectors: bool| {
        let optimizer = Sgd::new(0.05).weight_decay(weight_decay).into();
        let groups = Groups { spare_vectors, ..Groups::default() };
        tensors(&fit(&gpu, Settings { optimizer, groups, steps: Some(1), ..settings() }).last)
    };
    let (plain, all, weights) = (run(0.0, false), run(0.5, false), run(0.5, true));
    for (name, numbers) in &plain {
        let vector = name.ends_with("bias");
        assert_ne!(numbers, &all[name], "{name}");
        assert_eq!(&weights[name], if vector { numbers } else { &all[name] }, "{name}");
    }
}

/// A loss that is the sum of parameters times given numbers plus 1, some of them of sizes that are no multiple of four.
fn given_gradients(sizes: &[usize], update: Update) -> (Program, Vec<[wgrad::graph::Value; 2]>) {
    let mut graph = Graph::new();
    let mut pairs = vec![];
    let mut total = graph.constant(0.0, &[]).unwrap();
    for (index, &size) in sizes.iter().enumerate() {
        let weight = graph.parameter(&format!("w{index}"), &[size], Init::Constant(0.0)).unwrap();
        let given = graph.input(&format!("g{index}"), &[size], DType::F32).unwrap();
        // The gradient is one more than what is given, and what pads it to whole vectors is 1.
        let one = graph.constant(1.0, &[size]).unwrap();
        let factor = graph.add(given, one).unwrap();
        let product = graph.mul(weight, factor).unwrap();
        let sum = graph.sum(product, &[0], false).unwrap();
        total = graph.add(total, sum).unwrap();
        pairs.push([weight, given]);
    }
    let weights: Vec<_> = pairs.iter().map(|pair| pair[0]).collect();
    let derived = differentiate(&graph, total, &weights).unwrap();
    let mut program = Program::new("given gradients", derived.graph, &[]);
    program.gradients = weights.iter().copied().zip(derived.grads.into_iter().flatten()).collect();
    program.update = Some(update);
    (program, pairs)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// The parameters after a step of gradient descent at rate 1 from 0: the negated gradients, clipped.
fn step(gpu: &Gpu, sizes: &[usize], clip: Clip, gradients: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let update = Update { clip: Some(clip), ..wgrad::graph::Optimizer::sgd(1.0).into() };
    let (program, pairs) = given_gradients(sizes, update);
    pollster::block_on(async {
        let mut runner = Runner::new(gpu, &program).await.unwrap();
        for ([_, given], numbers) in pairs.iter().zip(gradients) {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| (number - 1.0).to_le_bytes()).collect();
            runner.feed(*given, &numbers).unwrap();
        }
        let numbers = wgrad::gpu::StepNumbers { rates: [1.0, 0.0, 0.0], ..wgrad::gpu::StepNumbers::once() };
        runner.set_step(numbers).unwrap();
        runner.run_poisoned().await.unwrap();
        let mut found = vec![];
        for [weight, _] in pairs {
            let region = runner.plan().parameters.find(weight).unwrap().regions(Arena::Parameters).remove(0);
            found.push(floats(&runner.read_region(&region).await.unwrap()));
        }
        found
    })
}

#[test]
fn the_norm_is_that_of_all_gradients_and_of_nothing_else() {
    let gpu = Gpu::new().unwrap();
    let sizes = [7, 64, 1, 70_001, 12, 3];
    let gradients: Vec<Vec<f32>> = sizes
        .iter()
        .map(|&size| (0..size).map(|i| ((i * 7919 + size) % 2003) as f32 / 1024.0 - 1.0).collect())
        .collect();
    let norm = gradients.iter().flatten().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    for limit in [0.5, 1e6] {
        let factor = (f64::from(limit) / (norm + 1e-6)).min(1.0);
        let found = step(&gpu, &sizes, Clip::Norm(limit), &gradients);
        for (found, gradients) in found.iter().flatten().zip(gradients.iter().flatten()) {
            let expected = -factor * f64::from(*gradients);
            assert!((f64::from(*found) - expected).abs() <= 1e-6 * factor, "{found} instead of {expected}");
        }
    }
    let found = step(&gpu, &sizes, Clip::Value(0.25), &gradients);
    for (found, gradient) in found.iter().flatten().zip(gradients.iter().flatten()) {
        assert_eq!(*found, -gradient.clamp(-0.25, 0.25));
    }
}

#[test]
fn what_is_not_finite_is_not_hidden_by_clipping() {
    let gpu = Gpu::new().unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        for clip in [Clip::Norm(1.0), Clip::Value(1.0)] {
            let found = step(&gpu, &[5, 3], clip, &[vec![1.0, bad, 0.5, 0.0, 0.0], vec![0.25; 3]]);
            assert!(!found[0][1].is_finite(), "{bad} {clip:?}: {found:?}");
        }
    }
    // Finite gradients whose norm is not.
    let found = step(&gpu, &[2], Clip::Norm(1.0), &[vec![3e38, 1.0]]);
    assert!(found[0].iter().all(|number| number.is_nan()), "{found:?}");
}

/// Options of the loss change what is minimised, not what is measured.
#[test]
fn options_of_the_loss_are_for_training_alone() {
    let gpu = Gpu::new().unwrap();
    let run = |label_smoothing, class_weights| {
        let optimizer = Sgd::new(0.0).into();
        fit(&gpu, Settings { label_smoothing, class_weights, optimizer, steps: Some(2), ..settings() })
    };
    let plain = run(0.0, ClassWeights::Equal);
    let twice = run(0.0, ClassWeights::Given(vec![2.0; 10]));
    let smooth = run(0.2, ClassWeights::Equal);
    let mut first = vec![0.0; 10];
    first[1] = 1.0;
    let one = run(0.0, ClassWeights::Given(first));
    for report in [&twice, &smooth, &one] {
        assert_eq!(report.evaluations[0].loss, plain.evaluations[0].loss);
        assert_eq!(report.steps[0].accuracy, plain.steps[0].accuracy);
    }
    let loss = |report: &Report| report.steps[0].loss;
    assert!((loss(&twice) - loss(&plain)).abs() < 1e-6);
    assert!((loss(&smooth) - loss(&plain)).abs() > 1e-5 && (loss(&one) - loss(&plain)).abs() > 1e-5);
}

#[test]
fn senseless_options_are_refused() {
    let refuse = |settings: Settings, word: &str| {
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refuse(Settings { accumulate: 0, ..settings() }, "--accumulate must be 1 to 64 batches, got 0");
    refuse(Settings { accumulate: 65, ..settings() }, "--accumulate");
    refuse(Settings { label_smoothing: 1.0, ..settings() }, "--label-smoothing");
    refuse(Settings { class_weights: ClassWeights::Given(vec![-1.0]), ..settings() }, "--class-weights");
    refuse(Settings { clip: Some(Clip::Norm(0.0)), ..settings() }, "--clip-norm");
    refuse(Settings { clip: Some(Clip::Value(f32::NAN)), ..settings() }, "--clip-value");
    refuse(Settings { average: Some(1.0), ..settings() }, "--ema");
    refuse(Settings { optimizer: RmsProp::new(0.1).alpha(1.0).into(), ..settings() }, "--alpha");
}
