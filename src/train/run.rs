//! The training loop.

use super::{Checkpoint, EvalMetrics, Observer, Session, Settings, Start, StepMetrics, epoch_order};
use crate::clock::Instant;
use crate::data::Dataset;
use crate::gpu::StepNumbers;
use crate::io::{Loaded, TensorFile};
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a submit should take: long enough that its own cost vanishes, short enough for watchdogs and for Ctrl-C.
const SUBMIT: Duration = Duration::from_millis(50);

/// Steps that were submitted together.
pub(super) struct Flight {
    first: u64,
    steps: Vec<Flown>,
}

/// The learning rate of a step, and the number of its batches.
struct Flown {
    rate: f64,
    batches: usize,
}

/// A run while it goes on.
pub(super) struct Run<'a> {
    pub session: Session,
    pub settings: Settings,
    pub observers: Vec<Box<dyn Observer + 'a>>,
    pub stop: Arc<AtomicBool>,
    pub loaded: Option<Loaded>,
    /// The metadata of checkpoints.
    pub template: TensorFile,
    pub samples: usize,
    pub classes: usize,
    /// Of the last evaluation.
    pub confusion: Vec<Vec<u64>>,
    pub per_epoch: u64,
    pub total: u64,
    pub flights: Vec<Flight>,
    /// When the epoch's steps began, and how many steps and samples have landed since.
    pub begun: Instant,
    pub landed_steps: u64,
    pub landed_rows: f64,
    pub step: u64,
    pub evaluated: u64,
    pub best: Option<f64>,
    pub steps: Vec<StepMetrics>,
    pub evaluations: Vec<EvalMetrics>,
    pub best_checkpoint: Option<Checkpoint>,
}

impl Run<'_> {
    pub fn restore(&mut self, mut checkpoint: Checkpoint) -> Result<()> {
        self.session.load_state(&mut checkpoint.tensors)?;
        (self.step, self.evaluated, self.best) = (checkpoint.step, checkpoint.evaluated, checkpoint.best);
        Ok(())
    }

    pub async fn drive(&mut self, dataset: &Dataset) -> Result<()> {
        let (done, total, steps_per_epoch) = (self.step, self.total, self.per_epoch);
        let (plan, buffers) = (self.session.plan(), self.session.buffers());
        let start = Start { plan, buffers, loaded: self.loaded.as_ref(), done, total, steps_per_epoch };
        self.observers.iter_mut().try_for_each(|observer| observer.start(&start))?;
        let mut per_submit = 1;
        if self.evaluated < self.step / self.per_epoch {
            self.end_epoch().await?;
        }
        while self.step < self.total && !self.stop.load(Ordering::Relaxed) {
            let epoch = self.step / self.per_epoch;
            let order = epoch_order(dataset.train.len(), self.settings.seed, epoch, self.settings.shuffle);
            self.session.set_order(&order)?;
            let end = ((epoch + 1) * self.per_epoch).min(self.total);
            per_submit = self.train_until(end, per_submit).await?;
            let whole = self.step == (epoch + 1) * self.per_epoch;
            if !self.stop.load(Ordering::Relaxed) && (whole || self.step == self.total) {
                self.end_epoch().await?;
            } else {
                self.keep().await?;
            }
        }
        Ok(())
    }

    /// Saves the run's state where it was stopped.
    async fn keep(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint().await?;
        self.observers.iter_mut().try_for_each(|observer| observer.checkpoint(&checkpoint, false))
    }

    /// Whether it was stopped between its last step and the evaluation that belongs to it.
    pub fn unevaluated(&self) -> bool {
        !self.steps.is_empty() && self.evaluations.last().is_none_or(|evaluation| evaluation.step != self.step)
    }

    /// Submits steps up to `end` and reads all their records; yields how many steps a submit should have.
    async fn train_until(&mut self, end: u64, mut per_submit: usize) -> Result<usize> {
        let mut next = self.step;
        (self.begun, self.landed_steps, self.landed_rows) = (Instant::now(), 0, 0.0);
        while next < end && !self.stop.load(Ordering::Relaxed) {
            let count = (end - next).min(per_submit as u64);
            let mut numbers = Vec::new();
            let mut steps = Vec::new();
            for step in next..next + count {
                let (rate, begun) = (self.rate(step), numbers.len());
                numbers.extend(self.batches(step, rate));
                steps.push(Flown { rate, batches: numbers.len() - begun });
            }
            self.flights.push(Flight { first: next, steps });
            if let Some(records) = self.session.train(&numbers).await? {
                per_submit = self.landed(&records, per_submit)?;
            }
            next += count;
        }
        while let Some(records) = self.session.finish_one().await? {
            per_submit = self.landed(&records, per_submit)?;
        }
        Ok(per_submit)
    }

    fn rate(&self, step: u64) -> f64 {
        self.settings.schedule.rate(self.settings.optimizer.lr(), step, self.total, self.per_epoch)
    }

    /// The batches of a step. Each counts for its share of the step's samples, so that all samples count the same.
    fn batches(&self, step: u64, rate: f64) -> Vec<StepNumbers> {
        let Settings { batch_size, accumulate, average, .. } = self.settings;
        let per_step = batch_size.saturating_mul(accumulate);
        let begin = (step % self.per_epoch) as usize * per_step;
        let end = self.samples.min(begin.saturating_add(per_step));
        // Batches are counted through, so that no two of a step draw the same random numbers.
        let number = |index: usize| (step as usize * accumulate + index) as u32;
        let batch = |(index, first): (usize, usize)| StepNumbers {
            index: number(index),
            slot: 0,
            first: first as u32,
            valid: batch_size.min(end - first) as u32,
            rates: self.settings.optimizer.step_numbers(rate, step + 1),
            fresh: index == 0,
            share: (batch_size.min(end - first) as f64 / (end - begin) as f64) as f32,
            average: average.filter(|_| step > 0).map_or(1.0, |decay| (1.0 - decay) as f32),
            partial: batch_size < end - first,
            lambda: self.settings.augment.lambda(self.settings.seed, number(index)),
        };
        (begin..end).step_by(batch_size).enumerate().map(batch).collect()
    }

    /// Takes in the records of the oldest flight.
    fn landed(&mut self, records: &[[f32; 3]], per_submit: usize) -> Result<usize> {
        let flight = self.flights.remove(0);
        self.landed_steps += flight.steps.len() as u64;
        self.landed_rows += records.iter().map(|record| f64::from(record[2])).sum::<f64>();
        let elapsed = self.begun.elapsed().as_secs_f64().max(1e-9);
        let speed = self.landed_rows / elapsed;
        let mut rest = records;
        let mut told = Vec::with_capacity(flight.steps.len());
        for (step, flown) in (flight.first..).zip(&flight.steps) {
            let (batches, behind) = rest.split_at(flown.batches);
            rest = behind;
            let sum = |number: fn(&[f32; 3]) -> f64| batches.iter().map(number).sum::<f64>();
            let rows = sum(|record| record[2].into());
            told.push(StepMetrics {
                step: step + 1,
                epoch: step / self.per_epoch + 1,
                loss: (sum(|record| f64::from(record[0]) * f64::from(record[2])) / rows) as f32,
                accuracy: sum(|record| record[1].into()) / rows,
                lr: flown.rate,
                images_per_second: speed,
            });
        }
        let finite = told.iter().position(|step| !step.loss.is_finite()).unwrap_or(told.len());
        let seen = &told[..(finite + 1).min(told.len())];
        self.observers.iter_mut().try_for_each(|observer| observer.steps(seen))?;
        self.steps.extend(seen);
        if let Some(diverged) = told.get(finite) {
            return Err(Error::NonFinite { step: diverged.step, loss: diverged.loss, kept: String::new() });
        }
        self.step = flight.first + told.len() as u64;
        let fitting = (SUBMIT.as_secs_f64() * self.landed_steps as f64 / elapsed) as usize;
        // Grow step by step: the first submits contain the driver's compilation.
        let most = self.session.most_batches() / self.settings.accumulate;
        Ok(fitting.clamp(1, most.max(1)).min(2 * per_submit))
    }

    /// Evaluates, and saves the run's state.
    async fn end_epoch(&mut self) -> Result<()> {
        let begin = Instant::now();
        let Some(evaluation) = self.session.evaluate(self.classes, &self.stop).await? else {
            return self.keep().await;
        };
        self.check_finite(evaluation.loss as f32)?;
        let whole = self.step.is_multiple_of(self.per_epoch);
        let best = whole && self.best.is_none_or(|best| evaluation.accuracy > best);
        if whole {
            self.evaluated = self.step / self.per_epoch;
        }
        if best {
            self.best = Some(evaluation.accuracy);
        }
        let metrics = EvalMetrics {
            step: self.step,
            epoch: self.step.saturating_sub(1) / self.per_epoch + 1,
            loss: evaluation.loss,
            accuracy: evaluation.accuracy,
            lr: self.rate(self.step.saturating_sub(1)),
            images_per_second: self.session.test_samples() as f64 / begin.elapsed().as_secs_f64().max(1e-9),
            best,
        };
        self.confusion = evaluation.confusion;
        self.evaluations.push(metrics);
        self.observers.iter_mut().try_for_each(|observer| observer.evaluated(&metrics))?;
        let checkpoint = self.checkpoint().await?;
        self.observers.iter_mut().try_for_each(|observer| observer.checkpoint(&checkpoint, best))?;
        if best {
            self.best_checkpoint = Some(checkpoint);
        }
        Ok(())
    }

    pub async fn checkpoint(&mut self) -> Result<Checkpoint> {
        let mut tensors = self.session.save_state().await?;
        // The last update comes after the last loss that was looked at.
        let broken = tensors.iter().flat_map(|(_, tensor)| &tensor.data).find(|number| !number.is_finite());
        self.check_finite(broken.copied().unwrap_or_default())?;
        tensors.metadata = self.template.metadata.clone();
        Ok(Checkpoint { tensors, step: self.step, evaluated: self.evaluated, best: self.best })
    }

    /// Refuses to go on with, or to save, what has diverged.
    fn check_finite(&self, loss: f32) -> Result<()> {
        match loss.is_finite() {
            true => Ok(()),
            false => Err(Error::NonFinite { step: self.step, loss, kept: String::new() }),
        }
    }

    /// Adds to the error of a diverged run where its last checkpoint is.
    pub fn explain(&self, error: Error) -> Error {
        match error {
            Error::NonFinite { step, loss, .. } => {
                let kept = self.observers.iter().find_map(|observer| observer.kept());
                let mut kept = kept.map_or(String::new(), |place| format!("; the last good checkpoint is {place}"));
                if self.settings.amp {
                    kept += "; activations above 65504 do not fit into the 16 bits of --amp";
                }
                Error::NonFinite { step, loss, kept }
            }
            other => other,
        }
    }
}
