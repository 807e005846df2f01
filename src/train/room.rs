//! What to change where a run does not fit into memory.

use super::{RunPlan, Settings};
use crate::data::Dataset;
use crate::nn::Model;
use crate::plan::{SLOTS, Target};

/// Plans that are made in search of one that fits, at most.
const TRIALS: usize = 12;

/// Options with which the same step would fit into `have` bytes, each with what it needs; found by planning it. Without a
/// limit: what the next smaller runs need.
pub(super) fn suggestions(
    model: &Model,
    dataset: &Dataset,
    settings: &Settings,
    target: &Target,
    have: Option<u64>,
) -> String {
    let plan = |settings: &Settings| RunPlan::new(model, dataset, settings, target).ok();
    let fits = |need: u64| have.is_none_or(|have| need <= have);
    let mut found = vec![];
    let mut least = u64::MAX;
    if !settings.recompute {
        let need = plan(&Settings { recompute: true, ..settings.clone() }).map_or(u64::MAX, |plan| plan.bytes());
        least = least.min(need);
        if fits(need) && need < u64::MAX {
            found.push(format!("--recompute needs {need}"));
        }
    }
    let parts = (2..=settings.batch_size).filter(|parts| settings.batch_size.is_multiple_of(*parts));
    let parts: Vec<usize> = parts.take_while(|parts| parts * settings.accumulate <= SLOTS).take(TRIALS).collect();
    let smaller = |parts: usize, recompute: bool| Settings {
        batch_size: settings.batch_size / parts,
        accumulate: settings.accumulate * parts,
        recompute,
        ..settings.clone()
    };
    let mut ways = vec![settings.recompute];
    if found.is_empty() && !settings.recompute {
        ways.push(true);
    }
    'search: for recompute in ways {
        for &parts in &parts {
            let settings = smaller(parts, recompute);
            let Some(plan) = plan(&settings) else { continue };
            least = least.min(plan.bytes());
            if fits(plan.bytes()) {
                let [size, batches] = [settings.batch_size, settings.accumulate];
                let norm = plan.train.kernels().any(|kernel| kernel.name == "batch_norm_moments");
                let same = if norm { "the same step but for batch normalisation" } else { "the same step" };
                let recompute = if recompute { "--recompute " } else { "" };
                found.push(format!(
                    "{recompute}--batch-size {size} --accumulate {batches} is {same} and needs {}",
                    plan.bytes()
                ));
                break 'search;
            }
        }
    }
    match found.is_empty() {
        false => found.join("; "),
        true if least < u64::MAX => {
            format!("the least that --recompute and a smaller --batch-size with --accumulate bring it to is {least}")
        }
        true => "use a smaller network".into(),
    }
}
