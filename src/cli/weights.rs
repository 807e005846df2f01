//! A trained network, as `eval` and `predict` are given it.

use std::path::PathBuf;
use wgrad::data::Dataset;
use wgrad::io::TensorFile;
use wgrad::nn::{Model, models};
use wgrad::train::{Weights, read_weights};
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    /// Weights that a run saved: best.safetensors or checkpoint.safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// The network, for weights that another program saved
    #[arg(long)]
    pub model: Option<String>,
}

/// A network with its weights, and how it wants its images.
pub struct Trained {
    pub model: Model,
    pub tensors: TensorFile,
    pub input: [usize; 3],
    pub classes: Vec<String>,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

impl Options {
    /// Reads the weights. What the file does not say of itself comes from `--model` and the data set.
    pub fn load(&self, dataset: Option<&Dataset>) -> Result<Trained> {
        let tensors = TensorFile::read(&self.weights)?;
        match (tensors.metadata.contains_key("model"), &self.model, dataset) {
            (false, Some(name), Some(dataset)) => {
                let model = models::by_name(name, dataset.classes.len())?;
                let input = model.input_for(dataset.train.shape);
                let fitting = |numbers: &[f32]| numbers.iter().cycle().take(input[0]).copied().collect();
                let (mean, std) = (fitting(&dataset.mean), fitting(&dataset.std));
                Ok(Trained { model, tensors, input, classes: dataset.classes.clone(), mean, std })
            }
            _ => {
                let Weights { model, input, classes, mean, std, tensors } = read_weights(&self.weights)?;
                if let Some(other) = self.model.as_ref().filter(|other| **other != model) {
                    let message = format!("these are weights of {model}, not of {other}; leave --model out");
                    return Err(Error::format(&self.weights, message));
                }
                let model = models::by_name(&model, classes.len())?;
                Ok(Trained { model, tensors, input, classes, mean, std })
            }
        }
    }
}
