//! Graphs that nobody would draw: chains among other operators, with gradients, against the same functions alone.

use std::collections::HashMap;
use wgrad::gpu::Runner;
use wgrad::graph::{Conv2d, DType, Unary, Value, differentiate_from};
use wgrad::plan::{Class, Plan, Program, Target};
use wgrad::prelude::*;
use wgrad::reference::{Array, feeds};

/// Numbers that depend on nothing but a seed (Steele and others 2014, splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const FUNCTIONS: [Unary; 9] = [
    Unary::Relu,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Scale(-0.7),
    Unary::LeakyRelu(0.1),
    Unary::Relu6,
    Unary::Gelu,
    Unary::Silu,
    Unary::HardSwish,
];

/// A graph with its gradients by all inputs.
fn program(seed: u64) -> Program {
    let mut random = Random(seed);
    let shape = random.of(&[[3, 4, 5, 7], [2, 4, 6, 8], [1, 4, 1, 3], [5, 4, 2, 2]]);
    let mut g = Graph::new();
    let mut leaves: Vec<Value> = ["x", "y"].iter().map(|name| g.input(name, &shape, DType::F32).unwrap()).collect();
    for (index, small) in [&[4, 1, 1][..], &[shape[3]], &[shape[0], 1, 1, 1]].into_iter().enumerate() {
        leaves.push(g.input(&format!("small{index}"), small, DType::F32).unwrap());
    }
    let weight = g.input("weight", &[4, 4, 1, 1], DType::F32).unwrap();
    let mut whole: Vec<Value> = leaves[..2].to_vec();
    let mut any = leaves.clone();
    for _ in 0..6 + random.below(20) {
        // Mostly the latest, so that graphs are deep.
        let recent = |random: &mut Random, values: &[Value]| {
            let most = if random.below(3) == 0 { values.len() } else { values.len().min(3) };
            values[values.len() - 1 - random.below(most)]
        };
        let a = recent(&mut random, &whole);
        let b = recent(&mut random, &any);
        let value = match random.below(12) {
            0..4 => g.unary(a, random.of(&FUNCTIONS)),
            4 | 5 => g.add(a, b),
            6 => g.sub(b, a),
            7 | 8 => g.mul(a, b),
            9 => g.conv2d(a, weight, None, Conv2d::default()),
            10 => {
                let mean = g.mean(a, &[2, 3], true).unwrap();
                any.push(mean);
                g.broadcast(mean, &shape)
            }
            _ => {
                let flat = g.flatten(a, 1).unwrap();
                let flat = g.tanh(flat).unwrap();
                g.reshape(flat, &shape)
            }
        };
        let value = value.unwrap();
        whole.push(value);
        any.push(value);
    }
    let last = whole[whole.len() - 1];
    let other = random.of(&whole[2..]);
    let seed = g.input("seed", &shape, DType::F32).unwrap();
    leaves.push(weight);
    let derived = differentiate_from(&g, &[(last, seed)], &leaves).unwrap();
    let mut outputs: Vec<Value> = derived.grads.iter().flatten().copied().chain([last, other]).collect();
    outputs.sort_unstable();
    outputs.dedup();
    Program { recompute: random.below(3) == 0, ..Program::new("random", derived.graph, &outputs) }
}

fn outputs(gpu: &Gpu, program: &Program, target: &Target, feeds: &HashMap<Value, Array>) -> (Plan, Vec<Vec<u8>>) {
    pollster::block_on(async {
        let mut runner = Runner::on(gpu, program, target).await.unwrap();
        for (_, value) in program.graph.inputs() {
            let numbers: Vec<f32> = feeds[&value].data.iter().map(|&number| number as f32).collect();
            runner.feed(value, bytemuck::cast_slice(&numbers)).unwrap();
        }
        runner.run_poisoned().await.unwrap();
        let mut left = vec![];
        for &value in &program.outputs {
            left.push(runner.read(value).await.unwrap());
        }
        (runner.plan().clone(), left)
    })
}

#[test]
fn chains_change_no_bit_of_random_graphs() {
    let gpu = Gpu::new().unwrap();
    if gpu.target().class != Class::Cpu {
        return;
    }
    let (mut chains, mut shared) = (0, 0);
    for seed in 0..100 {
        let program = program(seed);
        let feeds = feeds(&program.graph, seed);
        let wide = gpu.target().wide && seed % 2 == 0;
        let target = Target { wide, ..gpu.target().clone() };
        let (plan, left) = outputs(&gpu, &program, &target, &feeds);
        let (other, same) = outputs(&gpu, &program, &Target { chains: false, ..target }, &feeds);
        let differ = left.iter().zip(&same).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 0, "seed {seed}, of {}:\n{}\n{plan}", left.len(), program.graph);
        assert!(plan.dispatches.len() <= other.dispatches.len(), "seed {seed}");
        // Now and then a small tensor waits for a group's last member.
        assert!(plan.lower_bound * 20 <= other.lower_bound * 21, "seed {seed}: {}", plan.lower_bound);
        let launches = || plan.dispatches.iter().map(|dispatch| &dispatch.launch);
        chains += launches().filter(|launch| launch.kernel.name == "chain").count();
        shared += launches().filter(|launch| launch.in_place).count();
    }
    assert!(chains > 200 && shared > 30, "{chains} {shared}");
}
