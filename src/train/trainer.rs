//! What a run is asked for, before its loop begins.

use super::checkpoint::describe;
use super::run::Run;
use super::run_plan::check_classes;
use super::{Checkpoint, Observer, Report, Schedule, Session, Settings};
use crate::Result;
use crate::clock::Instant;
use crate::data::Dataset;
use crate::gpu::Gpu;
use crate::graph::{Clip, Optimizer};
use crate::io::TensorFile;
use crate::nn::Model;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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

    /// Stores activations and their gradients as 16-bit floating point, see [`Settings::amp`].
    pub fn amp(mut self) -> Self {
        self.settings.amp = true;
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
    /// rest: to train a network made for other classes further. [`Start::loaded`](super::Start::loaded) tells which.
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
        if let (None, Some(weights)) = (&self.resume, &self.init) {
            weights.check_finite()?;
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
