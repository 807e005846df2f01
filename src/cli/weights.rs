//! A trained network, as `eval` and `predict` are given it.

use super::out;
use std::path::PathBuf;
use wgrad::data::Dataset;
use wgrad::io::{Loaded, TensorFile};
use wgrad::nn::{Model, models};
use wgrad::plan::Half;
use wgrad::train::{Weights, read_weights};
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    /// Weights that a run saved, best.safetensors or checkpoint.safetensors; or PyTorch's .pth or .pt, with --model
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// The network, for weights that another program saved
    #[arg(long)]
    pub model: Option<String>,
    /// Store activations as 16-bit floating point; sums and weights stay in 32 bits
    #[arg(long)]
    pub amp: bool,
}

/// A network with its weights, and how it wants its images.
pub struct Trained {
    pub model: Model,
    pub tensors: TensorFile,
    pub input: [usize; 3],
    pub classes: Vec<String>,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    /// What of its tensors is stored as 16-bit floating point.
    pub half: Half,
}

impl Options {
    /// Reads the weights. What the file does not say of itself comes from `--model` and the data set.
    pub fn load(&self, dataset: Option<&Dataset>) -> Result<Trained> {
        let tensors = TensorFile::read(&self.weights)?;
        let half = if self.amp { Half::Activations } else { Half::Never };
        match (tensors.metadata.contains_key("model"), &self.model, dataset) {
            (false, Some(name), Some(dataset)) => {
                let model = models::by_name(name, dataset.classes.len())?;
                let input = model.input_for(dataset.train.shape);
                let fitting = |numbers: &[f32]| numbers.iter().cycle().take(input[0]).copied().collect();
                let (mean, std) = (fitting(&dataset.mean), fitting(&dataset.std));
                Ok(Trained { model, tensors, input, classes: dataset.classes.clone(), mean, std, half })
            }
            _ => {
                let Weights { model, input, classes, mean, std, tensors } = read_weights(&self.weights)?;
                if let Some(other) = self.model.as_ref().filter(|other| **other != model) {
                    let message = format!("these are weights of {model}, not of {other}; leave --model out");
                    return Err(Error::format(&self.weights, message));
                }
                let model = models::by_name(&model, classes.len())?;
                // Before pictures are made as large as the file says.
                model.trace(1, input)?;
                Ok(Trained { model, tensors, input, classes, mean, std, half })
            }
        }
    }
}

/// How many names a list has at most.
const LISTED: usize = 12;

/// Says what came out of a file of weights, and what did not.
pub fn report(loaded: &Loaded) {
    let Loaded { path, tensors, numbers, unused, misshapen, missing } = loaded;
    let tensors = out::counted(*tensors as u64, "tensor");
    out::note(format_args!("weights of {}: {tensors}, {}", path.display(), out::counted(*numbers, "number")));
    let counter = |name: &&String| name.ends_with("num_batches_tracked");
    let counters = unused.iter().filter(counter).count();
    let mut unused: Vec<String> = unused.iter().filter(|name| !counter(name)).cloned().collect();
    if counters > 0 {
        unused.push(format!("{counters} num_batches_tracked"));
    }
    let kinds = [
        ("in the file, not used", &unused),
        ("of another shape, left at random values", misshapen),
        ("not in the file, left at random values", missing),
    ];
    for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
        let more = names.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        out::note(format_args!("  {kind}: {}{more}", names[..names.len().min(LISTED)].join("; ")));
    }
}
