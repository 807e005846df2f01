//! Measuring which kernels are the fastest on the adapter at hand.
//!
//! Wherever the lowering of a program asks which of several kernels to take ([`Lowering::choose`]), each candidate is
//! timed within the whole step, by the adapter's clock, on zeros. The answers are a table that later plans are made by:
//! results then differ in rounding from those of the built-in rules, and are as reproducible as before, as long as the
//! table stays the same.
//!
//! [`Lowering::choose`]: crate::plan::Lowering::choose

use crate::Result;
use crate::gpu::{Gpu, Runner};
use crate::plan::{Choices, Plan, Program, Question, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What was measured about one question.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// What was asked.
    pub question: Question,
    /// Seconds of each candidate, for all layers of the step that ask the same; the first is the rule's choice.
    pub seconds: Vec<f64>,
    /// The index of the candidate that is to be taken.
    pub best: usize,
}

/// A candidate must take less than this part of the time of the rule's choice to replace it: below, it is noise.
const WORTH: f64 = 0.95;

/// Measures each candidate of each question in a step of `program`, `repeat` times; `progress` hears how many of how many
/// plans have been measured. An error where the adapter has no timestamps.
pub async fn tune(
    gpu: &Gpu,
    program: &Program,
    repeat: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<Tuned>> {
    let rules = Target { choices: Arc::default(), ..gpu.target().clone() };
    let mut answered = Choices::default();
    let mut all: Vec<Tuned> = vec![];
    // What depends on other answers is asked when these are known.
    for follows in [false, true] {
        let target = Target { choices: Arc::new(answered.clone()), ..rules.clone() };
        let questions = Plan::new(program, &target)?.questions;
        let names: BTreeSet<String> =
            questions.iter().filter(|question| question.follows).map(|question| question.name.clone()).collect();
        let is_next = |question: &Question| {
            names.contains(&question.name) == follows && !all.iter().any(|tuned| tuned.question.name == question.name)
        };
        let mut next: Vec<Question> = questions.into_iter().filter(|question| question.candidates.len() > 1).collect();
        next.retain(is_next);
        next.dedup_by(|a, b| a.name == b.name);
        let tuned = measure(gpu, program, next, &answered, repeat, &mut progress).await?;
        answered = answers(&answered, &tuned);
        all.extend(tuned);
    }
    Ok(all)
}

/// Measures each candidate of each of `questions`, with the answers to others that there are.
async fn measure(
    gpu: &Gpu,
    program: &Program,
    questions: Vec<Question>,
    answered: &Choices,
    repeat: usize,
    progress: &mut impl FnMut(usize, usize),
) -> Result<Vec<Tuned>> {
    let rounds = questions.iter().map(|question| question.candidates.len()).max().unwrap_or(0);
    let tuned = |question| Tuned { question, seconds: vec![], best: 0 };
    let mut all: Vec<Tuned> = questions.into_iter().map(tuned).collect();
    for round in 0..rounds {
        let mut choices = answered.clone();
        for Tuned { question, .. } in &all {
            if let Some(candidate) = question.candidates.get(round) {
                choices.insert(&question.name, candidate);
            }
        }
        let target = Target { choices: Arc::new(choices), ..gpu.target().clone() };
        let seconds = times(gpu, Plan::new(program, &target)?, repeat).await?;
        for tuned in all.iter_mut().filter(|tuned| round < tuned.question.candidates.len()) {
            tuned.seconds.push(seconds.get(&tuned.question.name).copied().unwrap_or(f64::INFINITY));
        }
        progress(round + 1, rounds);
    }
    all.iter_mut().for_each(|tuned| tuned.best = best(&tuned.seconds));
    Ok(all)
}

/// The seconds of the launches that belong to each question: for each dispatch the median of `repeat` runs.
async fn times(gpu: &Gpu, plan: Plan, repeat: usize) -> Result<HashMap<String, f64>> {
    let runner = Runner::of(gpu, plan).await?;
    // The first run compiles.
    runner.run()?;
    let dispatches = &runner.plan().dispatches;
    let mut durations = vec![vec![]; dispatches.len()];
    for _ in 0..repeat.max(1) {
        let timings = runner.timings().await?;
        durations.iter_mut().zip(&timings).for_each(|(all, timing)| all.push(timing.duration / 1e9));
    }
    let mut sums: HashMap<String, f64> = HashMap::new();
    for (dispatch, all) in dispatches.iter().zip(&mut durations) {
        all.sort_by(f64::total_cmp);
        for question in &dispatch.launch.questions {
            *sums.entry(question.clone()).or_default() += all[all.len() / 2];
        }
    }
    Ok(sums)
}

/// The fastest, or the first if none is faster by enough.
fn best(seconds: &[f64]) -> usize {
    let fastest = (0..seconds.len()).min_by(|&a, &b| seconds[a].total_cmp(&seconds[b])).unwrap_or(0);
    if seconds[fastest] < WORTH * seconds[0] { fastest } else { 0 }
}

/// `choices` with the answers that differ from the rules'; questions on which the rules were right lose theirs.
pub fn answers(choices: &Choices, tuned: &[Tuned]) -> Choices {
    let mut answers: BTreeMap<&str, &str> = choices.iter().collect();
    for Tuned { question, best, .. } in tuned {
        match best {
            0 => answers.remove(question.name.as_str()),
            _ => answers.insert(&question.name, &question.candidates[*best]),
        };
    }
    let mut found = Choices::default();
    answers.into_iter().for_each(|(question, answer)| found.insert(question, answer));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_yield_only_to_what_is_clearly_faster() {
        assert_eq!(best(&[1.0, 0.96, 1.2]), 0);
        assert_eq!(best(&[1.0, 0.9, 0.8]), 2);
        assert_eq!(best(&[1.0, f64::INFINITY]), 0);
    }

    #[test]
    fn answers_replace_older_ones_and_vanish_where_the_rule_is_right() {
        let mut old = Choices::default();
        old.insert("matmul a", "lanes");
        old.insert("matmul b", "lanes");
        let candidates = || vec!["panels".into(), "registers".into()];
        let question = |name: &str| Question { name: name.into(), candidates: candidates(), follows: false };
        let tuned = [("matmul b", 0), ("matmul c", 1)].map(|(name, best)| Tuned {
            question: question(name),
            seconds: vec![1.0, 1.0],
            best,
        });
        let found = answers(&old, &tuned);
        assert_eq!(found.iter().collect::<Vec<_>>(), [("matmul a", "lanes"), ("matmul c", "registers")]);
    }
}
