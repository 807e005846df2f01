//! The training loop.

use super::checkpoint::describe;
use super::session::check_classes;
use super::{Checkpoint, EvalMetrics, Observer, Report, Schedule, Session, Settings, Start, StepMetrics, epoch_order};
use crate::clock::Instant;
use crate::data::Dataset;
use crate::gpu::{Gpu, StepNumbers};
use crate::graph::{Clip, Optimizer};
use crate::io::{Loaded, TensorFile};
use crate::nn::Model;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a submit should take: long enough that its own cost vanishes, short enough for watchdogs and for Ctrl-C.
const SUBMIT: Duration = Duration::from_millis(50);

/// Trains a model.
pub struct Trainer<'a> {
    gpu: Gpu,
    model: Model,
    settings: Settings,
    init: Option<TensorFile>,
    /// Whether `init` may have other tensors than the model.
    partial: bool,
    resume: Option<Checkpoint>,
    observers: Vec<Box<dyn Observer + 'a>>,
    stop: Arc<AtomicBool>,
}

impl<'a> Trainer<'a> {
    /// Trains `model` on `gpu` with the default settings.
    pub fn new(gpu: &Gpu, model: Model) -> Self {
        let settings = Settings::default();
        let (gpu, observers) = (gpu.clone(), vec![]);
        Self { gpu, model, settings, init: None, partial: false, resume: None, observers, stop: Arc::default() }
    }

    /// All settings at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The optimizer: [`Sgd`](super::Sgd), [`Adam`](super::Adam) or [`AdamW`](super::AdamW).
    pub fn optimizer(mut self, optimizer: impl Into<Optimizer>) -> Self {
        self.settings.optimizer = optimizer.into();
        self
    }

    /// The course of the learning rate.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.settings.schedule = schedule;
        self
    }

    /// Passes over the training samples.
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.settings.epochs = epochs;
        self
    }

    /// Samples per step.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.settings.batch_size = batch_size;
        self
    }

    /// Of the first weights and of the order of samples.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Batches per step, see [`Settings::accumulate`].
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.settings.accumulate = batches;
        self
    }

    /// A limit on gradients.
    pub fn clip(mut self, clip: Clip) -> Self {
        self.settings.clip = Some(clip);
        self
    }

    /// Spreads this share of each target evenly over all classes.
    pub fn label_smoothing(mut self, share: f32) -> Self {
        self.settings.label_smoothing = share;
        self
    }

    /// Keeps moving averages of the weights that decay by this factor, and evaluates these; see [`Settings::average`].
    pub fn average(mut self, decay: f64) -> Self {
        self.settings.average = Some(decay);
        self
    }

    /// Does not train the layers at and below these paths, see [`Settings::groups`].
    pub fn freeze(mut self, paths: &[&str]) -> Self {
        self.settings.groups.frozen.extend(paths.iter().map(ToString::to_string));
        self
    }

    /// Begins with these weights instead of random ones.
    pub fn init(mut self, weights: TensorFile) -> Self {
        (self.init, self.partial) = (Some(weights), false);
        self
    }

    /// Begins with those of these weights that have name and shape of one of the model's, and with random ones for the
    /// rest: to train a network made for other classes further. [`Start::loaded`] tells which.
    pub fn init_partial(mut self, weights: TensorFile) -> Self {
        (self.init, self.partial) = (Some(weights), true);
        self
    }

    /// Goes on where a run with the same settings stopped.
    pub fn resume(mut self, checkpoint: Checkpoint) -> Self {
        self.resume = Some(checkpoint);
        self
    }

    /// Tells `observer` of everything that happens.
    pub fn observe(mut self, observer: impl Observer + 'a) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// A flag that ends the run after the steps in flight once it is set.
    pub fn stop_flag(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// Trains on `dataset`, evaluating its test part after each epoch.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit(self, dataset: &Dataset) -> Result<Report> {
        crate::gpu::block_on(self.fit_async(dataset))
    }

    /// [`Trainer::fit`] for programs that may not block.
    pub async fn fit_async(mut self, dataset: &Dataset) -> Result<Report> {
        self.settings.check()?;
        check_classes(&self.model, dataset)?;
        let input = self.model.input_for(dataset.train.shape);
        dataset.check()?;
        let fitted = if dataset.train.shape == input { None } else { Some(dataset.clone().fit(input)?) };
        let dataset = fitted.as_ref().unwrap_or(dataset);
        let samples = dataset.train.len();
        let session = Session::new(&self.gpu, &self.model, dataset, &self.settings).await?;
        let mut run = Run {
            per_epoch: self.settings.steps_per_epoch(samples),
            total: self.settings.total_steps(samples),
            samples,
            classes: dataset.classes.len(),
            confusion: vec![],
            session,
            settings: self.settings,
            observers: std::mem::take(&mut self.observers),
            stop: self.stop,
            loaded: None,
            template: TensorFile::new(),
            flights: Vec::new(),
            begun: Instant::now(),
            landed_steps: 0,
            landed_rows: 0.0,
            step: 0,
            evaluated: 0,
            best: None,
            steps: vec![],
            evaluations: vec![],
            best_checkpoint: None,
        };
        describe(&mut run.template, &self.model, input, dataset);
        if let Some(decay) = run.settings.average {
            run.template.metadata.insert("average".into(), decay.to_string());
        }
        match (self.resume, self.init) {
            (Some(checkpoint), _) => run.restore(checkpoint)?,
            (None, Some(mut weights)) if !self.partial => {
                run.loaded = Some(run.session.load_weights(&mut weights)?);
            }
            (None, init) => {
                let network = self.model.trace(1, input)?;
                run.session.initialize(&network.graph, run.settings.seed)?;
                run.loaded = init.map(|mut weights| run.session.load_partial(&mut weights)).transpose()?;
            }
        }
        run.drive(dataset).await.map_err(|error| run.explain(error))?;
        Ok(Report {
            confusion: std::mem::take(&mut run.confusion),
            classes: dataset.classes.clone(),
            last: run.checkpoint().await?,
            interrupted: run.step < run.total || run.unevaluated(),
            peak_memory: self.gpu.memory().1,
            steps: run.steps,
            evaluations: run.evaluations,
            best: run.best_checkpoint,
        })
    }
}

/// Steps that were submitted together.
struct Flight {
    first: u64,
    steps: Vec<Flown>,
}

/// The learning rate of a step, and the number of its batches.
struct Flown {
    rate: f64,
    batches: usize,
}

struct Run<'a> {
    session: Session,
    settings: Settings,
    observers: Vec<Box<dyn Observer + 'a>>,
    stop: Arc<AtomicBool>,
    loaded: Option<Loaded>,
    /// The metadata of checkpoints.
    template: TensorFile,
    samples: usize,
    classes: usize,
    /// Of the last evaluation.
    confusion: Vec<Vec<u64>>,
    per_epoch: u64,
    total: u64,
    flights: Vec<Flight>,
    /// When the epoch's steps began, and how many steps and samples have landed since.
    begun: Instant,
    landed_steps: u64,
    landed_rows: f64,
    step: u64,
    evaluated: u64,
    best: Option<f64>,
    steps: Vec<StepMetrics>,
    evaluations: Vec<EvalMetrics>,
    best_checkpoint: Option<Checkpoint>,
}

impl Run<'_> {
    fn restore(&mut self, mut checkpoint: Checkpoint) -> Result<()> {
        self.session.load_state(&mut checkpoint.tensors)?;
        (self.step, self.evaluated, self.best) = (checkpoint.step, checkpoint.evaluated, checkpoint.best);
        Ok(())
    }

    async fn drive(&mut self, dataset: &Dataset) -> Result<()> {
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
    fn unevaluated(&self) -> bool {
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

    async fn checkpoint(&mut self) -> Result<Checkpoint> {
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
    fn explain(&self, error: Error) -> Error {
        match error {
            Error::NonFinite { step, loss, .. } => {
                let kept = self.observers.iter().find_map(|observer| observer.kept());
                let kept = kept.map_or(String::new(), |place| format!("; the last good checkpoint is {place}"));
                Error::NonFinite { step, loss, kept }
            }
            other => other,
        }
    }
}
