//! Steps, over and over.

use std::time::{Duration, Instant};
use wgrad::Result;
use wgrad::gpu::StepNumbers;
use wgrad::train::Session;

/// How long a submit should take; that of training.
const SUBMIT: Duration = Duration::from_millis(50);
/// How long to measure, where no number of steps is asked for.
const LONG: Duration = Duration::from_secs(2);

/// A step that is done again and again.
pub struct Replay {
    pub session: Session,
    /// The next step.
    pub step: StepNumbers,
    /// Whole batches of the training images.
    pub batches: usize,
    pub forward: bool,
}

impl Replay {
    /// The next steps: images that are streamed are read ahead in this order.
    fn next(&mut self, count: usize) -> Vec<StepNumbers> {
        let valid = self.step.valid;
        let end = valid * self.batches.max(1) as u32;
        let next = |_| {
            let step = self.step;
            self.step.first = (step.first + valid) % end.max(1);
            step
        };
        (0..count).map(next).collect()
    }

    /// Does steps and waits for them.
    pub async fn steps(&mut self, count: usize) -> Result<()> {
        if self.forward {
            return self.session.replay_evaluation(&vec![self.step; count]).await;
        }
        let steps = self.next(count);
        self.session.train(&steps).await?;
        while self.session.finish_one().await?.is_some() {}
        Ok(())
    }

    /// The median time that the host is busy with a step: recording and submitting `count` of them, the adapter idle
    /// before. Few submits, where steps are long.
    pub async fn host(&mut self, count: usize) -> Result<Duration> {
        let count = count.min(self.session.most_batches());
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || (times.len() < 9 && begin.elapsed() < LONG) {
            let steps = self.next(count);
            let one = Instant::now();
            self.session.train(&steps).await?;
            times.push(one.elapsed() / count as u32);
            while self.session.finish_one().await?.is_some() {}
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    /// The number of steps that were measured, and the median time of one over submits of several.
    pub async fn median(&mut self, wanted: Option<u64>) -> Result<(u64, Duration)> {
        // Drivers compile at the first use, and some get faster over the next ones.
        let (mut per_submit, most) = (1, self.session.most_batches());
        let begin = Instant::now();
        while begin.elapsed() < SUBMIT * 4 && per_submit < most {
            let one = Instant::now();
            self.steps(per_submit).await?;
            if one.elapsed() > SUBMIT {
                break;
            }
            per_submit = most.min(2 * per_submit);
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
                let steps = self.next(count);
                if let Some(records) = self.session.train(&steps).await? {
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
