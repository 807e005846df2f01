//! What a run is asked to do.

use super::{ClassWeights, Schedule};
use crate::graph::{Augment, Clip, Optimizer};
use crate::plan::{Groups, SLOTS, Update};
use crate::{Error, Result};

/// Everything that decides about the numbers of a run, but for model and data.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Samples that pass through the network together.
    pub batch_size: usize,
    /// Batches per step, 1 to 64. Their gradients are joined so that each sample counts the same, as in one large batch;
    /// the last step of an epoch has as many batches as are left. Batch normalisation sees each batch by itself, and with
    /// class weights each has a mean of its own.
    pub accumulate: usize,
    /// Passes over the training samples.
    pub epochs: u64,
    /// Ends the run after this many steps, if that is before the end of the epochs.
    pub steps: Option<u64>,
    /// The optimizer with its learning rate.
    pub optimizer: Optimizer,
    /// The course of the learning rate.
    pub schedule: Schedule,
    /// The share of each target that is spread evenly over all classes, in training alone.
    pub label_smoothing: f32,
    /// What each class counts for, in training alone.
    pub class_weights: ClassWeights,
    /// The limit on gradients.
    pub clip: Option<Clip>,
    /// Which parameters are frozen, and which decay. Frozen layers are as in inference: they get no gradient, their batch
    /// normalisation uses its running statistics and keeps them, their dropout does nothing.
    pub groups: Groups,
    /// The decay of moving averages of the weights (PyTorch's `AveragedModel` with `get_ema_multi_avg_fn`): after the first
    /// step they are the weights, after each later one `average = decay average + (1 - decay) weight`. Evaluations and the
    /// best weights are then those of the averages; buffers such as running statistics are not averaged.
    pub average: Option<f64>,
    /// Compute activations again for the backward pass where that takes less memory than to keep them. Numbers do not
    /// change.
    pub recompute: bool,
    /// Store activations and their gradients as 16-bit floating point (automatic mixed precision): half the memory, and half
    /// of what kernels read and write. Sums, weights, their gradients and the optimizer's state stay in f32; the loss is
    /// scaled, and a step whose gradients overflow is skipped, see [`LossScale`](crate::plan::LossScale). Evaluations are in
    /// f32: they need no more memory, and running statistics of the first steps make activations that 16 bits cannot hold.
    /// Needs an adapter with `SHADER_F16`. Rates and corrections of the optimizer follow the count of all steps, skipped ones
    /// included.
    pub amp: bool,
    /// The rate of every dropout, in place of the layers' own.
    pub dropout: Option<f32>,
    /// Of the first weights, of the order of samples and of what is dropped.
    pub seed: u64,
    /// Whether each epoch has an order of its own; otherwise it is that of the file.
    pub shuffle: bool,
    /// Random changes of the training images.
    pub augment: Augment,
}

impl Default for Settings {
    /// The recipe for a small data set, see [`Settings::recipe`].
    fn default() -> Self {
        Self::recipe(0)
    }
}

/// Training samples from which on a data set counts as large.
const LARGE: usize = 10_000;

impl Settings {
    /// What trains the LeNets well on so many samples: AdamW at 0.003 with decay 0.01 along a cosine; thirty epochs in
    /// batches of 32, or on 10,000 samples and more ten epochs in batches of 64.
    pub fn recipe(samples: usize) -> Self {
        let (epochs, batch_size) = if samples < LARGE { (30, 32) } else { (10, 64) };
        Self {
            batch_size,
            epochs,
            steps: None,
            optimizer: Optimizer::adamw(3e-3),
            schedule: Schedule::Cosine { min: 0.0, warmup: 0 },
            accumulate: 1,
            label_smoothing: 0.0,
            class_weights: ClassWeights::Equal,
            clip: None,
            groups: Groups::default(),
            average: None,
            recompute: false,
            amp: false,
            dropout: None,
            seed: 0,
            shuffle: true,
            augment: Augment::default(),
        }
    }

    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, good: bool| {
            if good { Ok(()) } else { Err(Error::usage(format!("--{name} must be at least 1"))) }
        };
        positive("batch-size", self.batch_size > 0)?;
        positive("epochs", self.epochs > 0)?;
        positive("steps", self.steps != Some(0))?;
        let within = |name: &str, number: f64, good: bool, range: &str| {
            if good { Ok(()) } else { Err(Error::usage(format!("--{name} must be {range}, got {number}"))) }
        };
        let lr = self.optimizer.lr();
        within("lr", lr, lr.is_finite() && lr >= 0.0, "finite and not negative")?;
        let factor = |name: &str, number: f32| {
            within(name, number.into(), (0.0..1.0).contains(&number), "in 0..1 (1 itself excluded)")
        };
        let (decay, momentum) = match self.optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                if nesterov && momentum == 0.0 {
                    return Err(Error::usage("--nesterov needs a --momentum above 0"));
                }
                (weight_decay, momentum)
            }
            Optimizer::Adam { beta1, beta2, eps, weight_decay, .. } => {
                factor("beta1", beta1)?;
                factor("beta2", beta2)?;
                within("eps", eps.into(), eps.is_finite() && eps > 0.0, "finite and above 0")?;
                (weight_decay, 0.0)
            }
            Optimizer::RmsProp { alpha, eps, momentum, weight_decay, .. } => {
                factor("alpha", alpha)?;
                within("eps", eps.into(), eps.is_finite() && eps > 0.0, "finite and above 0")?;
                (weight_decay, momentum)
            }
        };
        factor("momentum", momentum)?;
        within(
            "accumulate",
            self.accumulate as f64,
            (1..=SLOTS).contains(&self.accumulate),
            &format!("1 to {SLOTS} batches"),
        )?;
        let smoothing = self.label_smoothing;
        within("label-smoothing", smoothing.into(), (0.0..1.0).contains(&smoothing), "in 0..1 (1 itself excluded)")?;
        self.class_weights.check()?;
        if let Some(clip) = self.clip {
            let (name, limit) = match clip {
                Clip::Norm(limit) => ("clip-norm", limit),
                Clip::Value(limit) => ("clip-value", limit),
            };
            within(name, limit.into(), limit.is_finite() && limit > 0.0, "finite and above 0")?;
        }
        if let Some(decay) = self.average {
            within("ema", decay, (0.0..1.0).contains(&decay), "in 0..1 (1 itself excluded)")?;
        }
        factor("dropout", self.dropout.unwrap_or(0.0))?;
        within("weight-decay", decay.into(), decay.is_finite() && decay >= 0.0, "finite and not negative")
    }

    /// The steps of one epoch over `samples`; the last may have fewer batches, and its last batch be short.
    pub fn steps_per_epoch(&self, samples: usize) -> u64 {
        samples.div_ceil(self.batch_size.saturating_mul(self.accumulate).max(1)).max(1) as u64
    }

    /// What ends a step.
    pub fn update(&self) -> Update {
        let Self { optimizer, clip, .. } = *self;
        Update { optimizer, clip, accumulate: self.accumulate > 1, average: self.average.is_some() }
    }

    /// The steps of the whole run.
    pub fn total_steps(&self, samples: usize) -> u64 {
        let all = self.epochs.saturating_mul(self.steps_per_epoch(samples));
        self.steps.map_or(all, |steps| steps.min(all))
    }
}
