//! What to change where a run does not fit into memory.

use super::{RunPlan, Settings};
use crate::data::Dataset;
use crate::nn::Model;
use crate::plan::{SLOTS, Target};

/// Batch sizes that are planned in search of one that fits, at most.
const TRIALS: usize = 12;

/// Options with which the same step would fit into `have` bytes, each with what it needs; found by planning them. Where
/// nobody knows what there is: what the next smaller runs need.
pub(super) fn suggestions(
    model: &Model,
    dataset: &Dataset,
    settings: &Settings,
    target: &Target,
    have: Option<u64>,
) -> String {
    let mut least = u64::MAX;
    let mut found = vec![];
    let mut fits = |settings: &Settings| {
        let plan = RunPlan::new(model, dataset, settings, target).ok()?;
        least = least.min(plan.bytes());
        have.is_none_or(|have| plan.bytes() <= have).then_some(plan)
    };
    if !settings.recompute
        && let Some(plan) = fits(&Settings { recompute: true, ..settings.clone() })
    {
        found.push(format!("--recompute needs {}", plan.bytes()));
    }
    if !settings.amp
        && target.half
        && let Some(plan) = fits(&Settings { amp: true, ..settings.clone() })
    {
        found.push(format!("--amp needs {}", plan.bytes()));
    }
    // Smaller batches alone, and if that does not do together with the other.
    let both = !settings.recompute && found.is_empty();
    'search: for recompute in [Some(settings.recompute), both.then_some(true)].into_iter().flatten() {
        let divides =
            |parts: &usize| settings.batch_size.is_multiple_of(*parts) && parts * settings.accumulate <= SLOTS;
        for parts in (2..=settings.batch_size.min(SLOTS)).filter(divides).take(TRIALS) {
            let (batch_size, accumulate) = (settings.batch_size / parts, settings.accumulate * parts);
            let Some(plan) = fits(&Settings { batch_size, accumulate, recompute, ..settings.clone() }) else {
                continue;
            };
            let again = if recompute && both { "--recompute " } else { "" };
            let norm = plan.train.kernels().any(|kernel| kernel.name == "batch_norm_moments");
            let same = if norm { "the same step but for batch normalisation" } else { "the same step" };
            let options = format!("{again}--batch-size {batch_size} --accumulate {accumulate}");
            found.push(format!("{options} is {same} and needs {}", plan.bytes()));
            break 'search;
        }
    }
    match found.is_empty() {
        false => found.join("; "),
        true if least < u64::MAX => {
            format!(
                "the least that --recompute, --amp or a smaller --batch-size with --accumulate bring it to is {least}"
            )
        }
        true => "use a smaller network".into(),
    }
}
