//! Operators one by one at the layer shapes of networks, forward and by each operand, against the adapter's ceilings.
//!
//! ```text
//! cargo bench                                    products and convolutions of the size of targets, and the small networks
//! cargo bench -- resnet50:8 vgg16:2              the layers of these networks at these batches
//! cargo bench -- lenet5:64 conv                  of these only operators whose line contains `conv`
//! ```
//!
//! Times are those of the adapter's clock, summed over the dispatches of a plan, the median of several runs; operands are
//! zeros, which cost what other numbers cost. `WGRAD_ADAPTER` chooses the adapter. Whole networks are measured by `wgrad
//! bench` and `wgrad profile`, beside PyTorch by `benches/compare`.

use std::collections::BTreeSet;
use wgrad::gpu::{Ceilings, Gpu, Runner};
use wgrad::graph::{Conv2d, DType, Graph, Op, Shape, Value, differentiate_from};
use wgrad::plan::Program;
use wgrad::prelude::models;
use wgrad::{Error, Result};

/// Networks and batches that are measured where none is named.
const USUAL: [&str; 4] = ["lenet5:64", "alexnet-cifar:32", "vgg11-cifar:32", "resnet18-cifar:16"];
const REPEAT: usize = 9;

/// One operator on operands of these shapes.
struct Layer {
    label: String,
    op: Op,
    shapes: Vec<Shape>,
}

fn main() -> Result<()> {
    // `cargo bench` itself adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let (networks, filters): (Vec<_>, Vec<_>) = words.iter().map(String::as_str).partition(|word| word.contains(':'));
    let mut layers = vec![];
    if networks.is_empty() {
        layers.extend(products()?);
        layers.extend(convolutions()?);
    }
    for network in if networks.is_empty() { &USUAL[..] } else { &networks[..] } {
        layers.extend(layers_of(network)?);
    }
    let gpu = Gpu::new()?;
    let ceilings = pollster::block_on(Ceilings::measure(&gpu))?;
    println!("{}", gpu.describe());
    let Ceilings { flops, bytes } = ceilings;
    println!("ceilings: {:.1} GFLOP/s of arithmetic, {:.1} GB/s of copying", flops / 1e9, bytes / 1e9);
    println!("{:<78} {:>10} {:>9} {:>7} {:>8}", "operator", "µs", "GFLOP/s", "GB/s", "ceiling");
    let mut seen = BTreeSet::new();
    for layer in &layers {
        for way in layer.ways()? {
            let line = format!("{} {}", layer.label, way.name);
            if filters.iter().all(|filter| line.contains(filter)) && seen.insert(line.clone()) {
                measure(&gpu, &ceilings, &line, &way)?;
            }
        }
    }
    Ok(())
}

/// A computation of a layer: `forward`, or the gradient by one of its operands.
type Way = Program;

fn measure(gpu: &Gpu, ceilings: &Ceilings, line: &str, way: &Way) -> Result<()> {
    let runner = pollster::block_on(Runner::new(gpu, way))?;
    runner.run()?;
    let mut times = Vec::with_capacity(REPEAT);
    for _ in 0..REPEAT {
        let timings = pollster::block_on(runner.timings())?;
        times.push(timings.iter().map(|timing| timing.duration / 1e9).sum::<f64>());
    }
    times.sort_by(f64::total_cmp);
    let seconds = times[REPEAT / 2];
    // What the operator reads and writes, not what its kernels do on the way.
    let (flops, bytes) = (runner.plan().flops(), tensors(way));
    let of_ceiling = 100.0 * ceilings.least(flops, bytes) / seconds;
    println!(
        "{line:<78} {:>10.1} {:>9.2} {:>7.2} {of_ceiling:>6.0} %",
        1e6 * seconds,
        flops as f64 / seconds / 1e9,
        bytes as f64 / seconds / 1e9,
    );
    Ok(())
}

/// Bytes of the inputs that a program reads, and of its outputs.
fn tensors(program: &Program) -> u64 {
    let read: BTreeSet<Value> = program.graph.nodes().iter().flat_map(|node| node.inputs.iter().copied()).collect();
    let inputs = program.graph.inputs().map(|(_, value)| value).filter(|value| read.contains(value));
    inputs.chain(program.outputs.iter().copied()).map(|value| program.graph.info(value).bytes()).sum()
}

impl Layer {
    fn ways(&self) -> Result<Vec<Way>> {
        let mut graph = Graph::new();
        let inputs = self.shapes.iter().enumerate();
        let inputs: Vec<Value> =
            inputs.map(|(index, shape)| graph.input(&format!("x{index}"), shape, DType::F32)).collect::<Result<_>>()?;
        let output = graph.add_node(self.op.clone(), &inputs)?[0];
        let mut ways = vec![Program::new("forward", graph.clone(), &[output])];
        let shape = graph.shape(output).to_vec();
        let seed = graph.input("seed", &shape, DType::F32)?;
        // A gradient by a bias rides along with that by the weight.
        let weighted = matches!(self.op, Op::Conv2d(_) | Op::MatMul(_));
        let names = if weighted { ["data", "weight"] } else { ["backward", ""] };
        for (&input, name) in inputs.iter().zip(names) {
            let derived = differentiate_from(&graph, &[(output, seed)], &[input])?;
            let outputs: Vec<Value> = derived.grads.into_iter().flatten().collect();
            ways.push(Program::new(name, derived.graph, &outputs));
        }
        Ok(ways)
    }
}

fn products() -> Result<Vec<Layer>> {
    let square = |side: usize| Layer {
        label: format!("matmul {side}x{side}x{side}"),
        op: Op::MatMul(Default::default()),
        shapes: vec![vec![side; 2]; 2],
    };
    let batch = Layer {
        label: "matmul 16 of 256x256x256".into(),
        op: Op::MatMul(Default::default()),
        shapes: vec![vec![16, 256, 256]; 2],
    };
    Ok([256, 512, 1024, 2048].map(square).into_iter().chain([batch]).collect())
}

fn convolutions() -> Result<Vec<Layer>> {
    let layer = |(n, c, side, groups): (usize, usize, usize, usize)| {
        let op = Op::Conv2d(Conv2d { padding: [1; 2], groups, ..Conv2d::default() });
        let shapes = vec![vec![n, c, side, side], vec![c, c / groups, 3, 3]];
        Layer { label: label(&op, &shapes), op, shapes }
    };
    // The last two are depthwise.
    let extents = [(8, 64, 32, 1), (8, 128, 32, 1), (8, 256, 16, 1), (16, 64, 32, 64), (16, 256, 14, 256)];
    Ok(extents.map(layer).into())
}

/// The layers of `MODEL:BATCH` that cost something, without their biases.
fn layers_of(network: &str) -> Result<Vec<Layer>> {
    let usage = || Error::usage(format!("{network} is not of the form MODEL:BATCH, such as resnet18-cifar:16"));
    let (name, batch) = network.split_once(':').ok_or_else(usage)?;
    let model = models::by_name(name, 10)?;
    let traced = model.trace(batch.parse().map_err(|_| usage())?, model.input_for([3, 32, 32]))?;
    let graph = &traced.graph;
    let wanted = |op: &Op| matches!(op, Op::Conv2d(_) | Op::MatMul(_) | Op::Pool2d(_) | Op::AdaptivePool2d(_));
    let nodes = graph.nodes().iter().filter(|node| wanted(&node.op));
    Ok(nodes
        .map(|node| {
            let operands = node.inputs.iter().take(2);
            let shapes: Vec<Shape> = operands.map(|&value| graph.shape(value).into()).collect();
            Layer { label: label(&node.op, &shapes), op: node.op.clone(), shapes }
        })
        .collect())
}

fn label(op: &Op, shapes: &[Shape]) -> String {
    let extents = |shape: &Shape| shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let operands: Vec<String> = shapes.iter().map(extents).collect();
    let attributes = match op {
        Op::Conv2d(conv) => {
            let mut text = format!(" s{} p{}", conv.stride[0], conv.padding[0]);
            if conv.groups > 1 {
                text += &format!(" g{}", conv.groups);
            }
            text
        }
        _ => String::new(),
    };
    format!("{} {}{attributes}", op.name(), operands.join(" * "))
}
