//! Steps, over and over.

use std::time::{Duration, Instant};
use wgrad::Result;
use wgrad::gpu::StepNumbers;
use wgrad::plan::SLOTS;
use wgrad::train::Session;

/// How long a submit should take; that of training.
const SUBMIT: Duration = Duration::from_millis(50);
/// How long to measure, where no number of steps is asked for.
const LONG: Duration = Duration::from_secs(2);

/// A step that is done again and again.
pub struct Replay {
    pub session: Session,
    pub step: StepNumbers,
    pub forward: bool,
}

impl Replay {
    /// Does steps and waits for them.
    pub async fn steps(&mut self, count: usize) -> Result<()> {
        if self.forward {
            return self.session.replay_evaluation(&vec![self.step; count]).await;
        }
        self.session.train(&vec![self.step; count]).await?;
        while self.session.finish_one().await?.is_some() {}
        Ok(())
    }

    /// The number of steps that were measured, and the median time of one over submits of several.
    pub async fn median(&mut self, wanted: Option<u64>) -> Result<(u64, Duration)> {
        // Drivers compile at the first use, and some get faster over the next ones.
        let mut per_submit = 1;
        let begin = Instant::now();
        while begin.elapsed() < SUBMIT * 4 && per_submit < SLOTS {
            let one = Instant::now();
            self.steps(per_submit).await?;
            if one.elapsed() > SUBMIT {
                break;
            }
            per_submit *= 2;
        }
        let begin = Instant::now();
        let enough = |done: u64| wanted.map_or(begin.elapsed() > LONG && done > 0, |wanted| done >= wanted);
        let (mut times, mut done, mut last) = (Vec::new(), 0, Instant::now());
        let mut landed = |steps: usize| {
            times.push(last.elapsed() / steps.max(1) as u32);
            last = Instant::now();
        };
        while !enough(done) {
            let count = wanted.map_or(u64::MAX, |wanted| wanted - done).min(per_submit as u64) as usize;
            if self.forward {
                self.steps(count).await?;
                landed(count);
            } else {
                // As in training: the next submits are on their way while the records of one are read.
                if let Some(records) = self.session.train(&vec![self.step; count]).await? {
                    landed(records.len());
                }
            }
            done += count as u64;
        }
        while let Some(records) = self.session.finish_one().await? {
            landed(records.len());
        }
        times.sort();
        Ok((done, times[times.len() / 2]))
    }
}
