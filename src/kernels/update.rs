//! What ends a step, over the arenas of all parameters: gradients joined from several batches on `accumulate`, the norm
//! by which they are clipped on `gradient_squares` and `clip_norm` (which unscale them, too, where the
//! loss was scaled), and the optimizer's update on `sgd`, `adam` or `rmsprop`.

use super::wide::{WIDTH, widened};
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Clip, Optimizer};
use crate::plan::{Arena, Group, LossScale, Lowering, Operand, ParameterLayout, Role, Stretch, Update};

/// What an optimizer's numbers are called in the plan's table.
const LAYER: &str = "optimizer";

/// The most partial sums of one range of the gradients: enough to keep any adapter busy.
const MOST_SUMS: u32 = 16_384;

/// Adds the gradients of a batch to those of its step. This runs with every batch; what [`lower`] appends only with a
/// step's last.
pub fn accumulate(ctx: &mut Lowering, stretches: &[Stretch]) -> Result<()> {
    for &stretch in stretches {
        let vectors = stretch.size / 16;
        let operands = [Arena::Gradients, Arena::Accumulated].map(|arena| Operand::Arena(arena, stretch));
        let launch = ctx.launch(Kernel::new("accumulate"), &[Dim::U(vectors as u32)], &operands, vectors)?;
        launch.layer = LAYER.into();
        launch.cost(8 * vectors, format!("{} numbers", vectors * 4));
    }
    Ok(())
}

/// Clips, and updates all parameters; stretch by stretch, each a multiple of 16 bytes.
pub fn lower(
    ctx: &mut Lowering,
    update: &Update,
    loss_scale: Option<LossScale>,
    layout: &ParameterLayout,
) -> Result<()> {
    let stretches = layout.stretches(ctx.target.max_binding);
    let limit = if let Some(Clip::Norm(limit)) = update.clip { Some(limit) } else { None };
    let coefficient = match limit.is_some() || loss_scale.is_some() {
        true => coefficient(ctx, update, limit, loss_scale, layout, &stretches)?,
        false => Operand::Null,
    };
    for stretch in stretches {
        step(ctx, update, stretch, coefficient, loss_scale.is_some())?;
    }
    Ok(())
}

fn step(ctx: &mut Lowering, update: &Update, stretch: Stretch, coefficient: Operand, scaled: bool) -> Result<()> {
    let optimizer = match stretch.group {
        Group::Decayed => update.optimizer,
        _ => update.optimizer.without_decay(),
    };
    // Stretches are whole multiples of ALIGNMENT, so that they hold whole vectors of any width.
    let numbers = stretch.size / 4;
    let width = if ctx.target.wide { WIDTH as u64 } else { 4 };
    let packed = numbers / width;
    let arena = |arena| Operand::Arena(arena, stretch);
    let average = if update.average { arena(Arena::Average) } else { Operand::Null };
    let mut operands = vec![arena(Arena::Parameters), arena(update.gradients()), coefficient, average];
    let state = |index| arena(Arena::State(index));
    let limit = if let Some(Clip::Value(limit)) = update.clip { limit } else { 0.0 };
    let mut dims = vec![Dim::U(packed as u32), Dim::F(limit)];
    let one_minus = |beta: f32| Dim::F((1.0 - f64::from(beta)) as f32);
    let (kernel, flops) = match optimizer {
        Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
            operands.push(if momentum == 0.0 { Operand::Null } else { state(0) });
            dims.extend([Dim::F(momentum), Dim::F(weight_decay), Dim::U(nesterov.into())]);
            ("sgd", 6)
        }
        Optimizer::Adam { beta1, beta2, eps, weight_decay, decoupled, .. } => {
            operands.extend([state(0), state(1)]);
            dims.extend([one_minus(beta1), Dim::F(beta2), one_minus(beta2)]);
            dims.extend([Dim::F(eps), Dim::F(weight_decay), Dim::U(decoupled.into())]);
            ("adam", 14)
        }
        Optimizer::RmsProp { alpha, eps, momentum, centered, weight_decay, .. } => {
            let with_momentum = usize::from(momentum != 0.0);
            operands.push(state(0));
            operands.push(if momentum == 0.0 { Operand::Null } else { state(1) });
            operands.push(if centered { state(1 + with_momentum) } else { Operand::Null });
            dims.extend([Dim::F(alpha), one_minus(alpha), Dim::F(eps), Dim::F(weight_decay)]);
            dims.extend([Dim::F(momentum), Dim::U(centered.into())]);
            ("rmsprop", 12)
        }
    };
    let kernel = configured(Kernel::new(kernel), update, scaled);
    let kernel = if ctx.target.wide { widened(kernel) } else { kernel };
    let launch = ctx.launch(kernel, &dims, &operands, packed)?;
    launch.layer = LAYER.into();
    launch.cost(flops * numbers, format!("{numbers} numbers"));
    Ok(())
}

/// An optimizer's kernel with clipping, unscaling and averaging put in, where they are asked for.
fn configured(kernel: Kernel, update: &Update, scaled: bool) -> Kernel {
    // What is not finite stays so, that a diverged run is noticed.
    const CLAMP: &str = "let odd = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u); \
                         return select(clamp(v, vec4<f32>(-dims.limit), vec4<f32>(dims.limit)), v, odd);";
    // With a weight of 1, at the first step, the average becomes the weights to the last bit.
    const AVERAGE: &str = "return select(old + step.average * (w - old), w, step.average == 1.0);";
    let kernel = match update.clip {
        Some(Clip::Value(_)) if scaled => kernel.define("clipped", format!("let v = g * clip[0]; {CLAMP}")),
        Some(Clip::Value(_)) => kernel.define("clipped", format!("let v = g; {CLAMP}")),
        Some(Clip::Norm(_)) => kernel.define("clipped", "return g * clip[0];"),
        None if scaled => kernel.define("clipped", "return g * clip[0];"),
        None => kernel,
    };
    let kernel = if scaled { kernel.define("skipped", "return clip[0] < 0.0;") } else { kernel };
    if !update.average {
        return kernel;
    }
    let kernel = kernel.define("averaged", AVERAGE).define("old_average", "return average[i];");
    kernel.define("keep_average", "average[i] = v;")
}

/// A range of a stretch: first vector, vectors, and how many numbers of the last one count.
type Range = (u64, u64, u64);

/// The gradients of a stretch without what pads tensors to whole vectors.
fn ranges(layout: &ParameterLayout, stretch: &Stretch) -> Vec<Range> {
    let regions = layout.trained().flat_map(|place| place.regions(Arena::Gradients));
    let ends = regions.map(|region| (region.role, region.offset + region.size));
    let here = Role::Arena(Arena::Gradients, stretch.piece);
    let mut odd: Vec<u64> = ends
        .filter(|(role, end)| *role == here && end % 16 != 0)
        .filter_map(|(_, end)| end.checked_sub(stretch.offset).filter(|end| *end <= stretch.size))
        .collect();
    odd.sort_unstable();
    let mut result = vec![];
    let mut first = 0;
    for end in odd.into_iter().chain([stretch.size]) {
        if end > first {
            result.push((first / 16, (end - first).div_ceil(16), if end % 16 == 0 { 4 } else { end % 16 / 4 }));
        }
        first = end.next_multiple_of(16);
    }
    result
}

/// Yields where the factor will be that all gradients are to be multiplied by.
fn coefficient(
    ctx: &mut Lowering,
    update: &Update,
    limit: Option<f32>,
    loss_scale: Option<LossScale>,
    layout: &ParameterLayout,
    stretches: &[Stretch],
) -> Result<Operand> {
    let all: Vec<(Stretch, Range)> = stretches
        .iter()
        .flat_map(|stretch| ranges(layout, stretch).into_iter().map(|range| (*stretch, range)))
        .collect();
    let sums = |vectors: u64| (vectors.div_ceil(16).min(u64::from(MOST_SUMS)) as u32).next_multiple_of(64);
    let count: u32 = all.iter().map(|(_, (_, vectors, _))| sums(*vectors)).sum();
    let partial = ctx.temporary(4 * u64::from(count));
    let coefficient = ctx.temporary(4);
    let mut out = 0;
    for (stretch, (first, vectors, tail)) in all {
        let invocations = sums(vectors);
        let dims = [first as u32, vectors as u32, tail as u32, invocations, out].map(Dim::U);
        let operands = [Operand::Arena(update.gradients(), stretch), partial];
        let launch = ctx.launch(Kernel::new("gradient_squares"), &dims, &operands, invocations.into())?;
        launch.layer = LAYER.into();
        launch.cost(8 * vectors, format!("{} numbers", 4 * (vectors - 1) + tail));
        out += invocations;
    }
    let dims = [Dim::U(count), Dim::F(limit.unwrap_or(f32::MAX))];
    let scaled = |LossScale { scale, history }| [scale, history].map(Operand::Value);
    let [scale, history] = loss_scale.map_or([Operand::Null; 2], scaled);
    let kernel = Kernel::new("clip_norm").define("SCALED", loss_scale.is_some());
    let launch = ctx.launch(kernel, &dims, &[partial, coefficient, scale, history], 64)?;
    launch.single_workgroup();
    launch.layer = LAYER.into();
    launch.cost(count.into(), format!("{count} sums"));
    Ok(coefficient)
}
