//! A run's state as safetensors: weights under PyTorch's names, optimizer state as `optimizer.STATE.NAME`, the rest as
//! metadata. Nothing in it depends on time or place, so equal runs leave equal bytes.

use crate::data::Dataset;
use crate::io::{HostTensor, TensorFile};
use crate::nn::Model;
use crate::{Error, Result};
use std::path::Path;

/// The prefix of optimizer state.
pub(super) const STATE: &str = "optimizer.";

/// The state that holds averages of the weights.
pub(super) const AVERAGE: &str = "average";

/// The state of a scaled loss: its factor, steps since that was changed, and steps skipped in all.
pub(super) const SCALE: &str = "loss_scale";

/// The state of a run after a step.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Weights and optimizer state.
    pub tensors: TensorFile,
    /// Steps done.
    pub step: u64,
    /// Epochs at whose end the test samples were evaluated.
    pub evaluated: u64,
    /// The highest accuracy at the end of an epoch, if any has ended.
    pub best: Option<f64>,
}

impl Checkpoint {
    /// Reads a checkpoint written by [`Checkpoint::write`].
    pub fn read(path: &Path) -> Result<Self> {
        let tensors = TensorFile::read(path)?;
        let best = match tensors.metadata.get("best_accuracy") {
            Some(_) => Some(tensors.parse("best_accuracy")?),
            None => None,
        };
        Ok(Self { step: tensors.parse("step")?, evaluated: tensors.parse("evaluated_epochs")?, best, tensors })
    }

    /// The bytes of its file.
    pub fn to_file(&self) -> TensorFile {
        let mut file = self.tensors.clone();
        file.metadata.insert("step".into(), self.step.to_string());
        file.metadata.insert("evaluated_epochs".into(), self.evaluated.to_string());
        if let Some(best) = self.best {
            file.metadata.insert("best_accuracy".into(), best.to_string());
        }
        file
    }

    /// Writes it, all or nothing.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.to_file().write(path)
    }

    /// The factor on the loss and the steps that were skipped, where the run scales it, see
    /// [`LossScale`](crate::plan::LossScale).
    pub fn loss_scale(&self) -> Option<(f32, u64)> {
        let tensor = self.tensors.get(&format!("{STATE}{SCALE}")).ok()?;
        Some((*tensor.data.first()?, *tensor.data.get(2)? as u64))
    }

    /// The weights alone: their averages, where the run keeps averages.
    pub fn weights(&self) -> Result<TensorFile> {
        let mut state = self.tensors.clone();
        state.promote(&format!("{STATE}{AVERAGE}."));
        let mut weights = TensorFile::new();
        weights.metadata = state.metadata.clone();
        for (name, tensor) in state.iter().filter(|(name, _)| !name.starts_with(STATE)) {
            weights.insert(name, tensor.clone())?;
        }
        Ok(weights)
    }
}

/// What a weight file says of the network that it belongs to.
#[derive(Clone, Debug)]
pub struct Weights {
    /// The model's name.
    pub model: String,
    /// `[C,H,W]` of its input.
    pub input: [usize; 3],
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Means of the channels, of pixels scaled to 0..1.
    pub mean: Vec<f32>,
    /// Their standard deviations.
    pub std: Vec<f32>,
    /// The weights, averaged ones where the run kept averages.
    pub tensors: TensorFile,
}

/// The metadata by which [`read_weights`] finds the network again.
pub(super) fn describe(file: &mut TensorFile, model: &Model, input: [usize; 3], dataset: &Dataset) {
    let list = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let entries = [
        ("format", "pt".into()),
        ("model", model.name().into()),
        ("input", input.map(|extent| extent.to_string()).join("x")),
        ("classes", serde_json::to_string(&dataset.classes).unwrap_or_default()),
        ("data", dataset.name.clone()),
        ("mean", list(&dataset.mean)),
        ("std", list(&dataset.std)),
    ];
    file.metadata.extend(entries.map(|(key, value): (&str, String)| (key.to_string(), value)));
}

/// Reads weights that a run saved (`best.safetensors`, `checkpoint.safetensors`).
pub fn read_weights(path: &Path) -> Result<Weights> {
    Weights::new(path, TensorFile::read(path)?)
}

impl Weights {
    /// Takes what the metadata of `tensors`, the content of `path`, say.
    pub(crate) fn new(path: &Path, mut tensors: TensorFile) -> Result<Self> {
        tensors.promote(&format!("{STATE}{AVERAGE}."));
        let entry = |key: &str| -> Result<&str> {
            let missing = || {
                Error::format(
                    path,
                    format!(
                        "the metadata has no {key:?}: these weights were not saved by wgrad; say --model and --data"
                    ),
                )
            };
            tensors.metadata.get(key).map(String::as_str).ok_or_else(missing)
        };
        let wrong = |key: &str, value: &str| {
            Error::format(path, format!("the metadata's {key} is {value:?}, which cannot be read"))
        };
        let numbers = |key: &str| -> Result<Vec<f32>> {
            let value = entry(key)?;
            value.split(',').map(|number| number.parse().map_err(|_| wrong(key, value))).collect()
        };
        let extents: Vec<usize> = entry("input")?.split('x').filter_map(|extent| extent.parse().ok()).collect();
        let input = extents.try_into().map_err(|_| wrong("input", entry("input").unwrap_or_default()))?;
        let classes = entry("classes")?;
        let classes = serde_json::from_str(classes).map_err(|_| wrong("classes", classes))?;
        let (mean, std) = (numbers("mean")?, numbers("std")?);
        let model = entry("model")?.into();
        Ok(Self { model, input, classes, mean, std, tensors })
    }
}

/// Puts named numbers into `file`.
pub(super) fn insert(file: &mut TensorFile, name: &str, shape: &[usize], data: Vec<f32>) -> Result<()> {
    file.insert(name, HostTensor { shape: shape.into(), data })
}
