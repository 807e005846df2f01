//! Every operator and gradient on an adapter against the f64 reference.
//!
//! The cases are graphs of one operator or a few, in awkward sizes, on random numbers. Each is differentiated, fused and
//! planned as in training; the results of the adapter must lie within the rounding of f32 arithmetic of what
//! [`reference`](crate::reference) computes from the unfused graph in f64. Every range is filled with NaN before it is
//! written, so that an element that no kernel writes is found out.
//!
//! Where the adapter stores 16-bit floating point, cases run once more with tensors stored so, as far as they bring kernels
//! that have not run in this form yet.

use crate::Result;
use crate::gpu::{Gpu, Runner, decode, encode};
use crate::graph::{Binary, DType, Graph, Op, Value};
use crate::kernels::Kernel;
use crate::plan::{Half, Plan, Program, Target};
use crate::reference::cases::{Case, cases};
use crate::reference::{Array, evaluate_stored, reduction_length};
use half::f16;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The outcome of one case.
#[derive(Clone, Debug)]
pub struct Check {
    /// The case.
    pub name: String,
    /// The kernels that it ran.
    pub kernels: BTreeSet<&'static str>,
    /// The largest error over all results and gradients, as a multiple of what is tolerated: up to 1 is a pass.
    pub worst: f64,
    /// The error that this belongs to, relative to the largest number of its tensor.
    pub error: f64,
    /// Which tensor that was.
    pub tensor: String,
    /// Whether the case could not run at all.
    pub failure: Option<String>,
}

impl Check {
    /// Whether all results are within tolerance.
    pub fn passed(&self) -> bool {
        self.failure.is_none() && self.worst <= 1.0
    }
}

/// Runs all cases whose name contains `filter`; `progress` hears of each as it is done.
pub async fn run(gpu: &Gpu, filter: &str, mut progress: impl FnMut(&Check, usize)) -> Result<Vec<Check>> {
    let cases: Vec<Case> = cases()?.into_iter().filter(|case| case.name.contains(filter)).collect();
    let forms = forms(gpu.target(), &cases);
    let mut checks = Vec::with_capacity(forms.len());
    for &(case, half) in &forms {
        let check = match check(gpu, case, half).await {
            Ok(check) => check,
            Err(error) => Check {
                name: name(case, half),
                kernels: BTreeSet::new(),
                worst: f64::INFINITY,
                error: f64::INFINITY,
                tensor: String::new(),
                failure: Some(error.to_string()),
            },
        };
        progress(&check, forms.len());
        checks.push(check);
        gpu.check()?;
    }
    Ok(checks)
}

/// All cases, and those again in 16 bits that bring kernels not yet run in that form.
fn forms<'a>(target: &Target, cases: &'a [Case]) -> Vec<(&'a Case, Half)> {
    let mut seen: HashSet<Kernel> = HashSet::new();
    let mut forms = vec![];
    for case in cases {
        forms.push((case, Half::Never));
        let is_new = |planned: Planned| {
            let plan = Plan::new(&planned.program, &planned.target)?;
            let known = seen.len();
            seen.extend(plan.kernels().filter(|kernel| kernel.half != 0).cloned());
            Ok(seen.len() > known)
        };
        // What cannot be planned fails, and is heard of, as it runs.
        if target.half && planned(case, target, Half::Everything).and_then(is_new).unwrap_or(true) {
            forms.push((case, Half::Everything));
        }
    }
    forms
}

fn name(case: &Case, half: Half) -> String {
    format!("{}{}", case.name, if half == Half::Never { "" } else { ", f16" })
}

/// A case with all its gradients, what to plan it for, and what its results are called.
struct Planned {
    program: Program,
    target: Target,
    wanted: Vec<(Value, String)>,
}

fn planned(case: &Case, target: &Target, half: Half) -> Result<Planned> {
    let derived = case.differentiated()?;
    let mut wanted = vec![(case.output, "result".to_string())];
    for (&value, grad) in case.wrt.iter().zip(&derived.grads) {
        if let Some(grad) = grad {
            wanted.push((*grad, format!("gradient by {}", derived.graph.producer(value).layer)));
        }
    }
    let program = Program { half, ..Program::new(&name(case, half), derived.graph, &values(&wanted)) };
    Ok(Planned { program, target: Target { algorithm: case.algorithm, ..target.clone() }, wanted })
}

fn values(wanted: &[(Value, String)]) -> Vec<Value> {
    wanted.iter().map(|(value, _)| *value).collect()
}

/// Runs one case, its tensors stored as `half` says.
pub async fn check(gpu: &Gpu, case: &Case, half: Half) -> Result<Check> {
    check_on(gpu, gpu.target(), case, half).await
}

/// [`check`] with kernels chosen for `target`.
pub async fn check_on(gpu: &Gpu, target: &Target, case: &Case, half: Half) -> Result<Check> {
    let Planned { program, target, wanted } = planned(case, target, half)?;
    compare_program(gpu, &target, &program, &case.feeds(0), &wanted).await
}

/// Computes `wanted` values of `graph` on the adapter and by the reference, and states the largest difference.
pub async fn compare(
    gpu: &Gpu,
    name: &str,
    graph: &Graph,
    feeds: &HashMap<Value, Array>,
    wanted: &[(Value, String)],
) -> Result<Check> {
    compare_on(gpu, gpu.target(), name, graph, feeds, wanted).await
}

/// [`compare`] with kernels chosen for `target`.
pub async fn compare_on(
    gpu: &Gpu,
    target: &Target,
    name: &str,
    graph: &Graph,
    feeds: &HashMap<Value, Array>,
    wanted: &[(Value, String)],
) -> Result<Check> {
    compare_program(gpu, target, &Program::new(name, graph.clone(), &values(wanted)), feeds, wanted).await
}

async fn compare_program(
    gpu: &Gpu,
    target: &Target,
    program: &Program,
    feeds: &HashMap<Value, Array>,
    wanted: &[(Value, String)],
) -> Result<Check> {
    let graph = &program.graph;
    let mut runner = Runner::on(gpu, program, target).await?;
    let halves = runner.plan().halves.clone();
    let stored = |value: Value| if halves.contains(&value) { DType::F16 } else { graph.info(value).dtype };
    for (_, value) in graph.inputs().chain(graph.state().map(|(name, value, _)| (name, value))) {
        if let Some(array) = feeds.get(&value) {
            runner.feed(value, &encode(stored(value), &array.data))?;
        }
    }
    let rounded = runner.plan().rounded();
    let evaluated = evaluate_stored(graph, feeds, &rounded)?;
    runner.run_poisoned().await?;
    // The reference rounds to the nearest, adapters may as well round to the other neighbour: a unit in the last place.
    // What is fed is rounded already.
    let rounded = rounded.len() - graph.inputs().filter(|(_, value)| halves.contains(value)).count();
    let tolerance = slack(graph) * f64::from(f32::EPSILON) + rounded as f64 * f16::EPSILON.to_f64();
    let mut check = Check {
        name: program.name.clone(),
        kernels: kernels(runner.plan()),
        worst: 0.0,
        error: 0.0,
        tensor: wanted[0].1.clone(),
        failure: None,
    };
    for (value, label) in wanted {
        let Some(expected) = evaluated[value.index()].as_ref() else { continue };
        let found = decode(stored(*value), &runner.read(*value).await?);
        let largest = scale(graph, *value, &evaluated);
        let difference = expected.data.iter().zip(&found).fold(0.0_f64, |worst, (a, b)| {
            let difference = if a == b { 0.0 } else { (a - b).abs() };
            if difference.is_nan() { f64::INFINITY } else { worst.max(difference) }
        });
        let tolerated = tolerance * largest.max(f64::from(f32::MIN_POSITIVE));
        if difference / tolerated > check.worst {
            check.worst = difference / tolerated;
            check.error = difference / largest.max(f64::MIN_POSITIVE);
            check.tensor = label.clone();
        }
    }
    Ok(check)
}

/// The size of number that a tensor's roundings are a part of: its largest element, or where what is added up may cancel
/// out, that of the terms.
fn scale(graph: &Graph, value: Value, evaluated: &[Option<Array>]) -> f64 {
    let largest = |value: Value| {
        let numbers = evaluated[value.index()].iter().flat_map(|array| &array.data);
        // Infinite is what does not fit into 16 bits.
        numbers.filter(|number| number.is_finite()).fold(0.0_f64, |largest, number| largest.max(number.abs()))
    };
    let node = graph.producer(value);
    let inputs = || node.inputs.iter();
    let operands = match node.op {
        // What dx is a difference of, the deviations being about 1.
        Op::NormBackward(_) => {
            inputs().enumerate().filter(|(i, _)| [0, 3, 4].contains(i)).map(|(_, &input)| largest(input)).product()
        }
        // A gradient by a bias is a sum whose terms may cancel each other.
        Op::Conv2dBackwardWeight(_) if node.outputs.get(1) == Some(&value) => largest(node.inputs[1]),
        Op::MatMul(_) if node.outputs.get(1) == Some(&value) => largest(node.inputs[0]),
        Op::SoftmaxBackward(_) => inputs().map(|&input| largest(input)).product(),
        Op::Binary(Binary::Add | Binary::Sub) => inputs().map(|&input| largest(input)).fold(0.0, f64::max),
        Op::Binary(Binary::Mul) => inputs().map(|&input| scale(graph, input, evaluated)).product(),
        _ => 0.0,
    };
    largest(value).max(operands)
}

/// How many units in the last place of a tensor's largest number its elements may be off.
///
/// A sum of L products of random signs gathers about sqrt(L) roundings. The constant covers what drivers may be off in
/// exp, log, tanh and division (Vulkan allows 3 + 2|x| units for exp). Winograd's algorithms need no more: with the points
/// that `winograd_tiles` takes they are off by at most about twice what sums of products are (`tests/winograd.rs`), which
/// gather far fewer units than there is room for.
fn slack(graph: &Graph) -> f64 {
    let roots = graph.nodes().iter().map(|node| (reduction_length(graph, node) as f64).sqrt());
    8.0 + roots.sum::<f64>()
}

fn kernels(plan: &Plan) -> BTreeSet<&'static str> {
    plan.kernels().map(|kernel| kernel.name).collect()
}
