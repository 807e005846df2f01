//! Functions of elements as a program writes them, forward and backward, in one kernel and in one for each.
//!
//! ```text
//! cargo bench --bench chains
//! ```
//!
//! A round is a submit of each form in turn and a wait for it, by the host's clock; operands are zeros, which cost what
//! other numbers cost.

use std::time::Instant;
use wgrad::gpu::{Gpu, Runner};
use wgrad::graph::{DType, Graph, Unary, Value, differentiate_from};
use wgrad::plan::{Program, Target};
use wgrad::{Error, Result};

const SHAPE: [usize; 4] = [16, 64, 32, 32];
const ROUNDS: usize = 31;

type Function = fn(&mut Graph, &[Value]) -> Result<Value>;

/// Name, number of operands, and what is computed from them.
const FUNCTIONS: [(&str, usize, Function); 4] =
    [("swish", 1, swish), ("gelu", 1, gelu), ("gate", 2, gate), ("affine", 3, affine)];

fn swish(g: &mut Graph, x: &[Value]) -> Result<Value> {
    let gate = g.sigmoid(x[0])?;
    g.mul(x[0], gate)
}

fn gelu(g: &mut Graph, x: &[Value]) -> Result<Value> {
    let square = g.mul(x[0], x[0])?;
    let cube = g.mul(square, x[0])?;
    let cube = g.unary(cube, Unary::Scale(0.044715))?;
    let sum = g.add(x[0], cube)?;
    let sum = g.unary(sum, Unary::Scale(0.797_884_6))?;
    let tanh = g.tanh(sum)?;
    let one = g.constant(1.0, &[])?;
    let gate = g.add(tanh, one)?;
    let half = g.unary(x[0], Unary::Scale(0.5))?;
    g.mul(half, gate)
}

fn gate(g: &mut Graph, x: &[Value]) -> Result<Value> {
    let gate = g.sigmoid(x[1])?;
    g.mul(x[0], gate)
}

fn affine(g: &mut Graph, x: &[Value]) -> Result<Value> {
    let product = g.mul(x[0], x[1])?;
    g.add(product, x[2])
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let gpu = Gpu::new()?;
    println!("{}\n{SHAPE:?}, median (range) of {ROUNDS} rounds", gpu.describe());
    for (name, operands, function) in FUNCTIONS {
        if words.iter().all(|word| name.contains(word.as_str())) {
            measure(&gpu, name, operands, function)?;
        }
    }
    Ok(())
}

fn measure(gpu: &Gpu, name: &str, operands: usize, function: Function) -> Result<()> {
    let mut graph = Graph::new();
    let inputs = (0..operands).map(|index| graph.input(&format!("x{index}"), &SHAPE, DType::F32));
    let inputs = inputs.collect::<Result<Vec<Value>>>()?;
    let forward = function(&mut graph, &inputs)?;
    let seed = graph.input("seed", &SHAPE, DType::F32)?;
    // Between a forward and a backward pass lies the rest of a network: each is a program of its own.
    let derived = differentiate_from(&graph, &[(forward, seed)], &inputs)?;
    let grads: Vec<Value> = derived.grads.into_iter().flatten().collect();
    let programs = [Program::new("forward", graph, &[forward]), Program::new("backward", derived.graph, &grads)];
    for program in programs {
        let forms = [true, false].map(|chains| {
            let target = Target { chains, ..gpu.target().clone() };
            pollster::block_on(Runner::on(gpu, &program, &target))
        });
        let mut times = [vec![], vec![]];
        for round in 0..=ROUNDS {
            for (form, times) in forms.iter().zip(&mut times) {
                let runner = form.as_ref().map_err(|error| Error::usage(error.to_string()))?;
                let begin = Instant::now();
                runner.run()?;
                // The first one compiles.
                times.extend((round > 0).then(|| begin.elapsed().as_secs_f64() * 1e3));
            }
        }
        for ((form, times), name_of_form) in forms.iter().zip(&mut times).zip(["one kernel", "each its own"]) {
            let Ok(runner) = form else { continue };
            times.sort_by(f64::total_cmp);
            let bytes: u64 = runner.plan().dispatches.iter().map(|dispatch| dispatch.bytes).sum();
            println!(
                "{name:<8} {:<8} {name_of_form:<12} {:>3} dispatches {:>6.1} MB {:>8.2} ms ({:.2} to {:.2})",
                program.name,
                runner.plan().dispatches.len(),
                bytes as f64 / 1e6,
                times[ROUNDS / 2],
                times[0],
                times[ROUNDS - 1],
            );
        }
    }
    Ok(())
}
