//! Training steps of small networks, and all that they leave.

use std::collections::HashMap;
use wgrad::gpu::{Gpu, Runner, StepNumbers};
use wgrad::graph::{DType, Graph, Mode, Optimizer, Value, differentiate};
use wgrad::nn::Module;
use wgrad::plan::{Arena, Plan, Program, Target, Update};
use wgrad::prelude::*;
use wgrad::train::initial_state;

/// A training step of `net` on random images.
pub fn program(net: impl Module, input: &[usize], classes: usize) -> Program {
    let mut graph = Graph::with_mode(Mode { training: true, dropout: None, seed: 7 });
    let x = graph.input("x", input, DType::F32).unwrap();
    let labels = graph.input("labels", &input[..1], DType::U32).unwrap();
    let logits = net.forward(&mut graph, x).unwrap();
    assert_eq!(graph.shape(logits), [input[0], classes]);
    let (loss, _) = graph.cross_entropy(logits, labels).unwrap();
    let parameters: Vec<Value> = graph.parameters().map(|(_, value)| value).collect();
    let derived = differentiate(&graph, loss, &parameters).unwrap();
    let mut program = Program::new("step", derived.graph, &[loss, logits]);
    program.gradients = parameters.into_iter().zip(derived.grads.into_iter().flatten()).collect();
    program.update = Some(Update { average: true, ..Optimizer::from(Adam::new(1e-2)).into() });
    program
}

/// All that two steps leave: loss, logits, parameters, running statistics, gradients, moments.
#[allow(dead_code)]
pub fn trained(gpu: &Gpu, program: &Program) -> (Plan, Vec<Vec<u8>>) {
    trained_on(gpu, program, gpu.target())
}

/// [`trained`] with a plan for `target`.
pub fn trained_on(gpu: &Gpu, program: &Program, target: &Target) -> (Plan, Vec<Vec<u8>>) {
    pollster::block_on(async {
        let mut runner = Runner::on(gpu, program, target).await.unwrap();
        for ((_, value, _), numbers) in program.graph.state().zip(initial_state(&program.graph, 1)) {
            runner.feed(value, bytemuck::cast_slice(&numbers)).unwrap();
        }
        let feeds: HashMap<Value, _> = wgrad::reference::feeds(&program.graph, 3);
        for (_, value) in program.graph.inputs() {
            let numbers = &feeds[&value].data;
            let floats: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
            let labels: Vec<u32> = numbers.iter().map(|&number| number as u32).collect();
            match program.graph.info(value).dtype {
                DType::F32 => runner.feed(value, bytemuck::cast_slice(&floats)).unwrap(),
                _ => runner.feed(value, bytemuck::cast_slice(&labels)).unwrap(),
            }
        }
        for step in 0..2 {
            let rates = program.update.unwrap().optimizer.step_numbers(1e-2, step + 1);
            runner.set_step(StepNumbers { index: step as u32, rates, ..StepNumbers::once() }).unwrap();
            runner.run().unwrap();
        }
        let mut left = vec![];
        for value in &program.outputs {
            left.push(runner.read(*value).await.unwrap());
        }
        let places: Vec<_> = runner.plan().parameters.iter().cloned().collect();
        let states = [Arena::State(0), Arena::State(1), Arena::Average];
        let states = if program.update.unwrap().average { &states[..] } else { &[] };
        for &arena in [Arena::Parameters, Arena::Gradients].iter().chain(states) {
            for place in &places {
                if arena != Arena::Parameters && place.group == wgrad::plan::Group::Kept {
                    continue;
                }
                let mut bytes = vec![];
                for region in place.regions(arena) {
                    bytes.extend(runner.read_region(&region).await.unwrap());
                }
                left.push(bytes);
            }
        }
        (runner.plan().clone(), left)
    })
}
