//! `config.toml`: what a run was asked to do, enough to do it again.

use crate::graph::{Augment, Clip, Optimizer};
use crate::io::write_atomic;
use crate::plan::Groups;
use crate::train::{ClassWeights, Settings};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A run as `config.toml` has it: model, data and [`Settings`] in the words of the command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The model's name.
    pub model: String,
    /// The data set, as in `--data`.
    pub data: String,
    /// Samples per step.
    pub batch_size: usize,
    /// Passes over the training samples.
    pub epochs: u64,
    /// Ends the run after this many steps, if that is earlier.
    pub steps: Option<u64>,
    /// `sgd`, `adam`, `adamw` or `rmsprop`.
    pub optimizer: String,
    /// The learning rate before the schedule.
    pub lr: f64,
    /// Of `sgd` and `rmsprop`.
    pub momentum: Option<f32>,
    /// Of `sgd`.
    pub nesterov: Option<bool>,
    /// Decays of the moments of `adam` and `adamw`.
    pub betas: Option<[f32; 2]>,
    /// Decay of the mean of squares of `rmsprop`.
    pub alpha: Option<f32>,
    /// Of `rmsprop`.
    pub centered: Option<bool>,
    /// Of `adam`, `adamw` and `rmsprop`.
    pub eps: Option<f32>,
    /// Decay of the weights.
    pub weight_decay: f32,
    /// The course of the learning rate.
    pub schedule: String,
    /// Batches per step, if more than one.
    pub accumulate: Option<usize>,
    /// The share of each target that is spread over all classes, if any.
    pub label_smoothing: Option<f32>,
    /// `balanced` or a number for each class, if not all classes count the same.
    pub class_weights: Option<String>,
    /// The limit on the norm of all gradients.
    pub clip_norm: Option<f32>,
    /// The limit on each gradient.
    pub clip_value: Option<f32>,
    /// `weights` if tensors of a single axis are spared from decay.
    pub decay: Option<String>,
    /// Paths that are frozen.
    pub freeze: Option<Vec<String>>,
    /// The decay of moving averages of the weights.
    pub ema: Option<f64>,
    /// Whether activations are computed again for the backward pass instead of kept.
    pub recompute: Option<bool>,
    /// Whether activations and their gradients are stored as 16-bit floating point.
    pub amp: Option<bool>,
    /// The rate of every dropout, if not each layer's own.
    pub dropout: Option<f32>,
    /// Of the first weights, of the order of samples and of what is dropped.
    pub seed: u64,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// Random changes of the training images.
    pub augment: Option<String>,
    /// `CxHxW` that the images are brought to, if not what the network takes.
    pub input: Option<String>,
    /// The share of the images that is held out to test on.
    pub holdout: Option<f64>,
    /// Whether a picture that cannot be read is an error.
    pub strict: Option<bool>,
    /// Whether pictures stay in their files however few they are.
    pub stream: Option<bool>,
    /// Mean of the channels, in place of the data set's.
    pub mean: Option<Vec<f32>>,
    /// Their standard deviation, likewise.
    pub std: Option<Vec<f32>>,
    /// The file that the first weights came from.
    pub init: Option<PathBuf>,
    /// The file that a part of the first weights came from.
    pub init_partial: Option<PathBuf>,
    /// The adapter that the run was last on; another one rounds differently.
    pub adapter: Option<String>,
}

impl Config {
    /// Of a run of `model` on `data`.
    pub fn new(model: &str, data: &str, settings: &Settings) -> Self {
        let mut config = Self {
            model: model.into(),
            data: data.into(),
            batch_size: settings.batch_size,
            epochs: settings.epochs,
            steps: settings.steps,
            optimizer: String::new(),
            lr: settings.optimizer.lr(),
            momentum: None,
            nesterov: None,
            betas: None,
            alpha: None,
            centered: None,
            eps: None,
            weight_decay: 0.0,
            schedule: settings.schedule.to_string(),
            accumulate: (settings.accumulate > 1).then_some(settings.accumulate),
            label_smoothing: (settings.label_smoothing != 0.0).then_some(settings.label_smoothing),
            class_weights: match &settings.class_weights {
                ClassWeights::Equal => None,
                weights => Some(weights.to_string()),
            },
            clip_norm: settings.clip.and_then(|clip| if let Clip::Norm(limit) = clip { Some(limit) } else { None }),
            clip_value: settings.clip.and_then(|clip| if let Clip::Value(limit) = clip { Some(limit) } else { None }),
            decay: settings.groups.spare_vectors.then(|| "weights".into()),
            freeze: (!settings.groups.frozen.is_empty()).then(|| settings.groups.frozen.clone()),
            ema: settings.average,
            recompute: settings.recompute.then_some(true),
            amp: settings.amp.then_some(true),
            dropout: settings.dropout,
            seed: settings.seed,
            shuffle: settings.shuffle,
            augment: (!settings.augment.is_none()).then(|| settings.augment.to_string()),
            input: None,
            holdout: None,
            strict: None,
            stream: None,
            mean: None,
            std: None,
            init: None,
            init_partial: None,
            adapter: None,
        };
        match settings.optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                config.optimizer = "sgd".into();
                (config.momentum, config.nesterov, config.weight_decay) =
                    (Some(momentum), Some(nesterov), weight_decay);
            }
            Optimizer::Adam { beta1, beta2, eps, weight_decay, decoupled, .. } => {
                config.optimizer = if decoupled { "adamw" } else { "adam" }.into();
                (config.betas, config.eps, config.weight_decay) = (Some([beta1, beta2]), Some(eps), weight_decay);
            }
            Optimizer::RmsProp { alpha, eps, momentum, centered, weight_decay, .. } => {
                config.optimizer = "rmsprop".into();
                (config.alpha, config.centered, config.eps) = (Some(alpha), Some(centered), Some(eps));
                (config.momentum, config.weight_decay) = (Some(momentum), weight_decay);
            }
        }
        config
    }

    /// The settings that these words stand for.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for words that stand for nothing.
    pub fn settings(&self) -> Result<Settings> {
        let (lr, weight_decay) = (self.lr, self.weight_decay);
        let [beta1, beta2] = self.betas.unwrap_or([0.9, 0.999]);
        let eps = self.eps.unwrap_or(1e-8);
        let optimizer = match self.optimizer.as_str() {
            "sgd" => {
                let (momentum, nesterov) = (self.momentum.unwrap_or(0.0), self.nesterov.unwrap_or(false));
                Optimizer::Sgd { lr, momentum, nesterov, weight_decay }
            }
            "adam" => Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: false },
            "adamw" => Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: true },
            "rmsprop" => {
                let (alpha, centered) = (self.alpha.unwrap_or(0.99), self.centered.unwrap_or(false));
                let momentum = self.momentum.unwrap_or(0.0);
                Optimizer::RmsProp { lr, alpha, eps, momentum, centered, weight_decay }
            }
            other => {
                let message = format!("there is no optimizer {other:?}; there are sgd, adam, adamw, rmsprop");
                return Err(Error::usage(message));
            }
        };
        let spare_vectors = match self.decay.as_deref() {
            None | Some("all") => false,
            Some("weights") => true,
            Some(other) => return Err(Error::usage(format!("decay is {other:?}; it can be all or weights"))),
        };
        Ok(Settings {
            batch_size: self.batch_size,
            epochs: self.epochs,
            steps: self.steps,
            optimizer,
            schedule: self.schedule.parse()?,
            accumulate: self.accumulate.unwrap_or(1),
            label_smoothing: self.label_smoothing.unwrap_or(0.0),
            class_weights: self.class_weights.as_deref().unwrap_or("equal").parse()?,
            clip: self.clip_norm.map(Clip::Norm).or(self.clip_value.map(Clip::Value)),
            groups: Groups { frozen: self.freeze.clone().unwrap_or_default(), spare_vectors },
            average: self.ema,
            recompute: self.recompute.unwrap_or(false),
            amp: self.amp.unwrap_or(false),
            dropout: self.dropout,
            seed: self.seed,
            shuffle: self.shuffle,
            augment: self.augment.as_deref().map_or(Ok(Augment::default()), str::parse)?,
        })
    }

    /// Reads the `config.toml` in `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Format`] with line and key for what is no configuration.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self> {
        let path = path(dir.as_ref());
        let text = std::fs::read_to_string(&path).map_err(|error| Error::io(&path, "read", error))?;
        Self::parse(&path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::format(path, error.to_string().trim_end()))
    }

    /// Writes `config.toml` into `dir`.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let text =
            toml::to_string(self).map_err(|error| Error::usage(format!("config.toml cannot hold this: {error}")))?;
        write_atomic(
            path(dir),
            format!("# A run of wgrad; `wgrad train --resume --out DIR` continues it.\n{text}").as_bytes(),
        )
    }
}

/// The file in the folder of a run.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("config.toml")
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
