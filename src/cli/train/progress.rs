//! What one sees while a run goes on: a bar on a terminal, else a line per epoch.

use crate::cli::{out, weights};
use indicatif::ProgressBar;
use std::path::Path;
use std::time::{Duration, Instant};
use wgrad::Result;
use wgrad::data::Dataset;
use wgrad::gpu::Gpu;
use wgrad::nn::Model;
use wgrad::train::{Checkpoint, EvalMetrics, Observer, Settings, Start, StepMetrics};

/// An epoch, or what was done of it.
#[derive(Clone, Copy)]
pub struct Epoch {
    /// Mean of the losses of its steps.
    pub loss: f64,
    pub images_per_second: f64,
    pub test: EvalMetrics,
}

/// Watches a run for whoever sits before it.
pub struct Progress {
    started: Instant,
    begun: Instant,
    last: Instant,
    heading: String,
    epochs: u64,
    batch: usize,
    bar: ProgressBar,
    sums: Sums,
    /// From the start of the program until the first step was known to be done.
    pub first_step: Option<Duration>,
    /// What the plan says that the run takes.
    pub planned: u64,
    /// The epochs so far.
    pub done: Vec<Epoch>,
}

/// Of the steps since the last evaluation.
#[derive(Default)]
struct Sums {
    steps: u64,
    loss: f64,
    /// Of the last step: since the epoch began.
    images_per_second: f64,
}

impl Progress {
    pub fn new(started: Instant, gpu: &Gpu, model: &Model, dataset: &Dataset, settings: &Settings, dir: &Path) -> Self {
        let [train, test] = [&dataset.train, &dataset.test].map(|images| out::count(images.len() as u64));
        let heading = format!(
            "{} on {}: {train} images to train, {test} to test\non {}\ninto {}",
            model.name(),
            dataset.name,
            gpu.describe(),
            dir.display()
        );
        Self {
            started,
            begun: Instant::now(),
            last: Instant::now(),
            heading,
            epochs: settings.epochs,
            batch: settings.batch_size,
            bar: ProgressBar::hidden(),
            sums: Sums::default(),
            first_step: None,
            planned: 0,
            done: vec![],
        }
    }

    /// The time from the run's first submit to its last checkpoint.
    pub fn elapsed(&self) -> Duration {
        self.last - self.begun
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn message(&self) -> String {
        let loss = self.sums.loss / self.sums.steps.max(1) as f64;
        let test =
            self.done.last().map_or(String::new(), |epoch| format!("  test {:.2} %", 100.0 * epoch.test.accuracy));
        format!("loss {loss:.4}{test}")
    }
}

impl Observer for Progress {
    fn start(&mut self, start: &Start) -> Result<()> {
        (self.begun, self.last) = (Instant::now(), Instant::now());
        let plan = start.plan;
        self.planned = start.buffers.values().sum();
        let parameters: usize = plan.parameters.iter().map(|place| place.shape.iter().product::<usize>()).sum();
        out::note(format_args!("{}", self.heading));
        out::note(format_args!(
            "{} parameters; {} of {} images, {} dispatches and {:.3} GFLOP each",
            out::count(parameters as u64),
            out::counted(start.total, "step"),
            self.batch,
            plan.dispatches.len(),
            plan.flops() as f64 / 1e9,
        ));
        out::note(format_args!("device memory: {} bytes", out::count(self.planned)));
        if let Some(loaded) = start.loaded {
            weights::report(loaded);
        }
        if start.done > 0 {
            out::note(format_args!("resuming after step {}", out::count(start.done)));
        }
        self.bar = out::bar(start.total, "{bar:32} {pos}/{len} steps  {msg}  {eta} left");
        self.bar.set_position(start.done);
        // What was done before says nothing about speed.
        self.bar.reset_eta();
        Ok(())
    }

    fn steps(&mut self, steps: &[StepMetrics]) -> Result<()> {
        self.first_step.get_or_insert_with(|| self.started.elapsed());
        for step in steps {
            self.sums.steps += 1;
            self.sums.loss += f64::from(step.loss);
            self.sums.images_per_second = step.images_per_second;
        }
        if let Some(last) = steps.last() {
            self.bar.set_position(last.step);
            self.bar.set_message(self.message());
        }
        Ok(())
    }

    fn evaluated(&mut self, test: &EvalMetrics) -> Result<()> {
        let Sums { steps, loss, images_per_second } = std::mem::take(&mut self.sums);
        let loss = loss / steps as f64;
        let epoch = Epoch { loss, images_per_second, test: *test };
        self.done.push(epoch);
        self.bar.set_message(self.message());
        if self.bar.is_hidden() {
            out::note(format_args!(
                "epoch {}/{}  loss {loss:.4}  test loss {:.4}  test accuracy {:.2} %  {} images/s",
                test.epoch,
                self.epochs,
                test.loss,
                100.0 * test.accuracy,
                out::count(epoch.images_per_second as u64),
            ));
        }
        Ok(())
    }

    fn checkpoint(&mut self, _: &Checkpoint, _: bool) -> Result<()> {
        self.last = Instant::now();
        Ok(())
    }
}

/// A run that fails must not leave half a bar above its error.
impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
