//! `config.toml`: what a run was asked to do, enough to do it again.

use crate::graph::Optimizer;
use crate::io::write_atomic;
use crate::train::Settings;
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
    /// `sgd`, `adam` or `adamw`.
    pub optimizer: String,
    /// The learning rate before the schedule.
    pub lr: f64,
    /// Of `sgd`.
    pub momentum: Option<f32>,
    /// Of `sgd`.
    pub nesterov: Option<bool>,
    /// Decays of the moments of `adam` and `adamw`.
    pub betas: Option<[f32; 2]>,
    /// Of `adam` and `adamw`.
    pub eps: Option<f32>,
    /// Decay of the weights.
    pub weight_decay: f32,
    /// The course of the learning rate.
    pub schedule: String,
    /// The rate of every dropout, if not each layer's own.
    pub dropout: Option<f32>,
    /// Of the first weights, of the order of samples and of what is dropped.
    pub seed: u64,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// The file that the first weights came from.
    pub init: Option<PathBuf>,
    /// The adapter that the run was last on; another one rounds differently.
    pub adapter: Option<String>,
}

impl Config {
    /// Of a run of `model` on `data`.
    pub fn new(model: &str, data: &str, settings: &Settings) -> Self {
        let (optimizer, momentum, nesterov, betas, eps, weight_decay) = match settings.optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                ("sgd", Some(momentum), Some(nesterov), None, None, weight_decay)
            }
            Optimizer::Adam { beta1, beta2, eps, weight_decay, decoupled, .. } => {
                let name = if decoupled { "adamw" } else { "adam" };
                (name, None, None, Some([beta1, beta2]), Some(eps), weight_decay)
            }
        };
        Self {
            model: model.into(),
            data: data.into(),
            batch_size: settings.batch_size,
            epochs: settings.epochs,
            steps: settings.steps,
            optimizer: optimizer.into(),
            lr: settings.optimizer.lr(),
            momentum,
            nesterov,
            betas,
            eps,
            weight_decay,
            schedule: settings.schedule.to_string(),
            dropout: settings.dropout,
            seed: settings.seed,
            shuffle: settings.shuffle,
            init: None,
            adapter: None,
        }
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
            other => return Err(Error::usage(format!("there is no optimizer {other:?}; there are sgd, adam, adamw"))),
        };
        Ok(Settings {
            batch_size: self.batch_size,
            epochs: self.epochs,
            steps: self.steps,
            optimizer,
            schedule: self.schedule.parse()?,
            dropout: self.dropout,
            seed: self.seed,
            shuffle: self.shuffle,
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
        toml::from_str(&text).map_err(|error| Error::format(&path, error.to_string().trim_end()))
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
