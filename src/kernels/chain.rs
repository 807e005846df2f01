//! Functions of elements in one kernel, on `chain`: its text is put together from those of the functions.

use super::activation;
use super::elementwise::formula;
use super::wide::{WIDTH, widened};
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Chain, Node, Op, Repeat, Term, Unary};
use crate::plan::{Lowering, Operand};

/// The most operands and results together: as many storage buffers as WebGPU promises a kernel.
pub const MOST_BOUND: usize = 8;

/// How an operand is read.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// Element by element.
    Whole,
    /// One number for all elements.
    One,
    /// One number for all elements of a vector.
    Splat(Repeat),
    /// A number for each element of a vector.
    Gathered(Repeat),
}

impl Reading {
    fn new(from: &[usize], to: &[usize]) -> Option<Self> {
        let repeat = Repeat::new(from, to)?;
        Some(match repeat {
            Repeat { extent: 1, inner } if inner > 1 => Self::One,
            Repeat { extent, .. } if extent == to.iter().product::<usize>() => Self::Whole,
            Repeat { inner, extent } if inner.is_multiple_of(4) => Self::Splat(Repeat { inner: inner / 4, extent }),
            repeat => Self::Gathered(repeat),
        })
    }

    fn repeat(self) -> Repeat {
        match self {
            Self::Splat(repeat) | Self::Gathered(repeat) => repeat,
            Self::Whole | Self::One => Repeat { inner: 1, extent: 1 },
        }
    }

    /// Vector `i` of operand `k`, as an expression.
    fn vector(self, k: usize, i: &str) -> String {
        let component = format!("{}.{}", if k < 4 { "lo" } else { "hi" }, ["x", "y", "z", "w"][k % 4]);
        let at = |element: &str| format!("b{k}[{element} / dims.inner_{component} % dims.extent_{component}]");
        match self {
            Self::Whole => format!("b{k}[{i}]"),
            Self::One => format!("vec4<f32>(b{k}[0u])"),
            Self::Splat(_) => format!("vec4<f32>({})", at(i)),
            Self::Gathered(_) => {
                let each: Vec<String> = (0..4).map(|j| at(&format!("(4u * {i} + {j}u)"))).collect();
                format!("vec4<f32>({})", each.join(", "))
            }
        }
    }
}

pub fn lower(ctx: &mut Lowering, node: &Node, chain: &Chain) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let count: usize = shape.iter().product();
    // Operands were chosen by that.
    let reading = |value| Reading::new(&ctx.shape(value), &shape).unwrap_or(Reading::Whole);
    let readings: Vec<Reading> = node.inputs.iter().map(|&value| reading(value)).collect();
    let shared = |k: usize| chain.in_place.iter().find(|(r, other)| *other == k && ctx.is_shared(node.outputs[*r]));
    let alone: Vec<usize> = (0..readings.len()).filter(|&k| shared(k).is_none()).collect();
    let slot = |k: usize| match shared(k) {
        Some((r, _)) => alone.len() + r,
        None => alone.iter().take_while(|&&other| other < k).count(),
    };
    let operands: Vec<(usize, Reading)> = readings.iter().enumerate().map(|(k, &reading)| (slot(k), reading)).collect();
    let bound = alone.iter().map(|&k| node.inputs[k]).chain(node.outputs.iter().copied());
    let bound: Vec<Operand> = bound.map(Operand::Value).collect();
    let wide = ctx.target.wide && count.is_multiple_of(WIDTH);
    let halves = if wide { 2 } else { 1 };
    let mut kernel = Kernel::new("chain").define("chain", text(chain, &operands, alone.len(), halves));
    let mut repeats = [Repeat { inner: 1, extent: 1 }; MOST_BOUND];
    const ALIASES: [&str; MOST_BOUND] = ["T0", "T1", "T2", "T3", "T4", "T5", "T6", "T7"];
    for &(slot, reading) in operands.iter().filter(|(_, reading)| *reading != Reading::Whole) {
        kernel = kernel.define(ALIASES[slot], "f32");
        repeats[slot] = reading.repeat();
    }
    if wide {
        kernel = widened(kernel);
    }
    let packed = count.div_ceil(4 * halves);
    let mut dims: Vec<Dim> = repeats.iter().map(|repeat| Dim::U(repeat.inner as u32)).collect();
    dims.extend(repeats.iter().map(|repeat| Dim::U(repeat.extent as u32)));
    dims.extend([Dim::U(packed as u32), Dim::U(0)]);
    let in_place = (0..operands.len()).filter_map(shared).map(|(r, _)| ctx.graph.info(node.outputs[*r]).dtype.size());
    let reread = in_place.sum::<usize>() * count;
    let launch = ctx.launch(kernel, &dims, &bound, packed as u64)?;
    (launch.in_place, launch.reread) = (reread > 0, reread as u64);
    launch.cost((chain.steps.len() * count) as u64, format!("{} {shape:?}", chain.title()));
    Ok(())
}

/// The body of `chain`: loads, the steps for each half, stores. `operands` are bindings, and how they are read; results are
/// bound from `first` on.
fn text(chain: &Chain, operands: &[(usize, Reading)], first: usize, halves: usize) -> String {
    let mut text = String::new();
    for (k, (slot, reading)) in operands.iter().enumerate().filter(|(_, (_, reading))| *reading == Reading::Whole) {
        text += &format!("let x{k} = {}; ", reading.vector(*slot, "i"));
    }
    for h in 0..halves {
        let at = if halves == 1 { "i".into() } else { format!("({halves}u * i + {h}u)") };
        for (k, &(slot, reading)) in operands.iter().enumerate() {
            let whole = reading == Reading::Whole;
            let vector = if whole { format!("part(x{k}, {h}u)") } else { reading.vector(slot, &at) };
            text += &format!("let x{k}_{h} = {vector}; ");
        }
        for (n, step) in chain.steps.iter().enumerate() {
            let (statements, value) = function(&step.function);
            text += &format!("var t{n}_{h}: vec4<f32>; {{ ");
            let scale =
                if let Op::Unary(Unary::Scale(scale)) = step.function { Some(Term::Number(scale)) } else { None };
            let taken = ["a", "b"].into_iter().zip(step.operands.iter().copied());
            for (name, term) in taken.chain(scale.map(|scale| ("scale", scale))) {
                text += &format!("let {name} = sealed({}, {n}u); ", term_name(term, h));
            }
            text += &format!("{statements}t{n}_{h} = {value}; }} ");
        }
    }
    for (r, &term) in chain.results.iter().enumerate() {
        let [low, high] = [0, halves - 1].map(|h| term_name(term, h));
        text += &format!("b{}[i] = join({low}, {high}); ", first + r);
    }
    text
}

fn term_name(term: Term, h: usize) -> String {
    match term {
        Term::Operand(k) => format!("x{k}_{h}"),
        Term::Step(n) => format!("t{n}_{h}"),
        Term::Number(number) => format!("vec4<f32>({number:?}f)"),
    }
}

/// A function of `a`, `b` and `scale`: statements, and the value after them.
fn function(op: &Op) -> (String, String) {
    let body = match op {
        Op::Unary(function) => activation::body(*function, true),
        Op::UnaryBackward(function) => activation::masked_body(*function),
        Op::Binary(function) => format!("return {};", formula(*function)),
        _ => "return a;".into(),
    };
    let (statements, value) = body.rsplit_once("return ").unwrap_or_default();
    (statements.into(), value.trim_end_matches(';').into())
}
