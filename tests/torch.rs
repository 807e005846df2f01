//! Operators, optimizers and schedules against numbers from PyTorch.

#[path = "common/torch_cases.rs"]
mod torch_cases;

use serde_json::Value as Json;
use std::collections::HashMap;
use wgrad::gpu::{Gpu, Runner, StepNumbers};
use wgrad::graph::{Clip, DType, Graph, Init, Optimizer, differentiate, differentiate_from};
use wgrad::plan::{Arena, Program, Update};
use wgrad::reference::Array;
use wgrad::selftest::compare;
use wgrad::train::Schedule;

/// The reference agrees with PyTorch (`tests/reference_goldens.rs`); here the adapter must agree with the reference.
#[test]
fn operators_on_the_adapter() {
    let gpu = Gpu::new().unwrap();
    let mut failed = vec![];
    for case in torch_cases::load() {
        let mut graph = case.graph.clone();
        let shape = graph.shape(case.output).to_vec();
        assert_eq!(shape, case.expected.shape, "{}", case.name);
        let seed = graph.input("seed", &shape, DType::F32).unwrap();
        let wrt: Vec<_> = case.wrt.iter().map(|(value, _)| *value).collect();
        let derived = differentiate_from(&graph, &[(case.output, seed)], &wrt).unwrap();
        let mut wanted = vec![(case.output, "result".to_string())];
        wanted.extend(derived.grads.iter().flatten().map(|&grad| (grad, "gradient".to_string())));
        let mut feeds: HashMap<_, Array> = case.feeds.clone();
        feeds.insert(seed, case.grad_output.clone());
        let check = pollster::block_on(compare(&gpu, &case.name, &derived.graph, &feeds, &wanted)).unwrap();
        if !check.passed() {
            failed.push(format!("{check:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Twelve steps of each optimizer with given gradients: the loss is the sum of parameter times gradient.
#[test]
fn optimizers_on_the_adapter() {
    let gpu = Gpu::new().unwrap();
    let cases: Json = serde_json::from_str(include_str!("goldens/optim.json")).unwrap();
    let mut averaged = 0;
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let numbers = |json: &Json| json.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<f64>>();
        let hyper = |key: &str| case["hyper"][key].as_f64().unwrap();
        let weight_decay = hyper("weight_decay") as f32;
        let optimizer = match case["kind"].as_str().unwrap() {
            "sgd" => Optimizer::Sgd {
                lr: hyper("lr"),
                momentum: hyper("momentum") as f32,
                nesterov: case["hyper"]["nesterov"].as_bool().unwrap(),
                weight_decay,
            },
            "rmsprop" => Optimizer::RmsProp {
                lr: hyper("lr"),
                alpha: hyper("alpha") as f32,
                eps: hyper("eps") as f32,
                momentum: hyper("momentum") as f32,
                centered: case["hyper"]["centered"].as_bool().unwrap(),
                weight_decay,
            },
            kind => {
                let betas = numbers(&case["hyper"]["betas"]);
                let (beta1, beta2, eps) = (betas[0] as f32, betas[1] as f32, hyper("eps") as f32);
                Optimizer::Adam { lr: hyper("lr"), beta1, beta2, eps, weight_decay, decoupled: kind == "adamw" }
            }
        };
        let mut graph = Graph::new();
        let weight = graph.parameter("w", &[7], Init::Constant(0.0)).unwrap();
        let given = graph.input("g", &[7], DType::F32).unwrap();
        let product = graph.mul(weight, given).unwrap();
        let loss = graph.sum(product, &[0], false).unwrap();
        let derived = differentiate(&graph, loss, &[weight]).unwrap();
        let mut program = Program::new(name, derived.graph, &[]);
        program.gradients = vec![(weight, derived.grads[0].unwrap())];
        let limit = |key: &str| case["hyper"][key].as_f64().map(|limit| limit as f32);
        let clip = limit("clip_norm").map(Clip::Norm).or(limit("clip_value").map(Clip::Value));
        program.update = Some(Update { clip, average: true, ..optimizer.into() });
        let mut runner = pollster::block_on(Runner::new(&gpu, &program)).unwrap();
        let bytes = |numbers: &[f64]| numbers.iter().flat_map(|&n| (n as f32).to_le_bytes()).collect::<Vec<u8>>();
        runner.feed(weight, &bytes(&numbers(&case["param0"]))).unwrap();
        let decay = case["hyper"]["ema"].as_f64().unwrap_or(0.0);
        let steps = case["grads"].as_array().unwrap().iter().zip(case["params"].as_array().unwrap());
        for (step, (grad, expected)) in (1_u64..).zip(steps) {
            runner.feed(given, &bytes(&numbers(grad))).unwrap();
            let rates = optimizer.step_numbers(optimizer.lr(), step);
            let average = if step == 1 { 1.0 } else { (1.0 - decay) as f32 };
            runner.set_step(StepNumbers { rates, average, ..StepNumbers::once() }).unwrap();
            runner.run().unwrap();
            // A few roundings a step, of numbers of about 1.
            let tolerated = 4.0 * f64::from(f32::EPSILON) * step as f64;
            let averages = &case["averages"][step as usize - 1];
            for (arena, expected) in [(Arena::Parameters, expected), (Arena::Average, averages)] {
                let region = runner.plan().parameters.find(weight).unwrap().regions(arena).remove(0);
                let found = pollster::block_on(runner.read_region(&region)).unwrap();
                let expected = if expected.is_null() { vec![] } else { numbers(expected) };
                for (word, expected) in found.chunks_exact(4).zip(expected) {
                    let found = f64::from(f32::from_le_bytes(word.try_into().unwrap()));
                    let error = (found - expected).abs();
                    assert!(
                        error <= tolerated * expected.abs().max(1.0),
                        "{name} step {step}, {arena:?}: {found} instead of {expected}"
                    );
                }
            }
        }
        averaged += usize::from(case["averages"].is_array());
    }
    assert_eq!(averaged, 3);
}

#[test]
fn schedules() {
    let cases: Json = serde_json::from_str(include_str!("goldens/schedules.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let number = |key: &str| case["hyper"][key].as_f64().unwrap();
        let count = |key: &str| case["hyper"][key].as_u64().unwrap();
        // The file's schedules advance once per step; those by epoch are asked as if each epoch had one step.
        let schedule = match case["kind"].as_str().unwrap() {
            "cosine" => Schedule::Cosine { min: number("eta_min"), warmup: 0 },
            "warmup-cosine" => Schedule::Cosine { min: number("eta_min"), warmup: count("warmup_steps") },
            "step" => Schedule::Step { epochs: count("step_size"), gamma: number("gamma") },
            "exponential" => Schedule::Exponential { gamma: number("gamma") },
            "multistep" => {
                let milestones = case["hyper"]["milestones"].as_array().unwrap();
                let milestones = milestones.iter().map(|epoch| epoch.as_u64().unwrap()).collect();
                Schedule::MultiStep { milestones, gamma: number("gamma") }
            }
            other => panic!("{other}"),
        };
        for (step, expected) in case["lr"].as_array().unwrap().iter().enumerate() {
            let expected = expected.as_f64().unwrap();
            let found = schedule.rate(case["base_lr"].as_f64().unwrap(), step as u64, 30, 1);
            assert!((found - expected).abs() <= 1e-11, "{schedule} step {step}: {found} instead of {expected}");
        }
    }
}
