//! What a run is asked to do.

use super::Schedule;
use crate::graph::Optimizer;
use crate::{Error, Result};

/// Everything that decides about the numbers of a run, but for model and data.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Samples per step.
    pub batch_size: usize,
    /// Passes over the training samples.
    pub epochs: u64,
    /// Ends the run after this many steps, if that is before the end of the epochs.
    pub steps: Option<u64>,
    /// The optimizer with its learning rate.
    pub optimizer: Optimizer,
    /// The course of the learning rate.
    pub schedule: Schedule,
    /// The rate of every dropout, in place of the layers' own.
    pub dropout: Option<f32>,
    /// Of the first weights, of the order of samples and of what is dropped.
    pub seed: u64,
    /// Whether each epoch has an order of its own; otherwise it is that of the file.
    pub shuffle: bool,
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
            dropout: None,
            seed: 0,
            shuffle: true,
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
        };
        factor("momentum", momentum)?;
        factor("dropout", self.dropout.unwrap_or(0.0))?;
        within("weight-decay", decay.into(), decay.is_finite() && decay >= 0.0, "finite and not negative")
    }

    /// The steps of one epoch over `samples`; the last may have a short batch.
    pub fn steps_per_epoch(&self, samples: usize) -> u64 {
        samples.div_ceil(self.batch_size).max(1) as u64
    }

    /// The steps of the whole run.
    pub fn total_steps(&self, samples: usize) -> u64 {
        let all = self.epochs.saturating_mul(self.steps_per_epoch(samples));
        self.steps.map_or(all, |steps| steps.min(all))
    }
}
