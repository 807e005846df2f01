//! The options that say how a data set is read, shared by the commands that read one.

use super::out;
use super::weights::Trained;
use std::sync::OnceLock;
use wgrad::data::{self, Dataset, Need, Reading};
use wgrad::nn::models;
use wgrad::train::Config;
use wgrad::{Error, Result};

#[derive(clap::Args, Clone, Default)]
pub struct Options {
    /// The shape to bring images to [default: what the network takes]
    #[arg(long, value_name = "CxHxW", value_parser = shape)]
    pub input: Option<[usize; 3]>,
    /// The share of each class to test on, where a folder has no test/ [default: 0.1]
    #[arg(long, value_name = "SHARE")]
    holdout: Option<f64>,
    /// Stop at pictures that cannot be read instead of leaving them out
    #[arg(long)]
    strict: bool,
    /// Decode pictures whenever they are needed instead of keeping their pixels in memory [default: where they take more
    /// than 8 GiB or a third of the free memory]
    #[arg(long)]
    stream: bool,
    /// Mean of the channels, of pixels in 0..1 [default: the data set's, ImageNet's for folders]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    mean: Option<Vec<f32>>,
    /// Their standard deviation
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    std: Option<Vec<f32>>,
}

fn shape(text: &str) -> Result<[usize; 3]> {
    let extents: Vec<usize> = text.split('x').filter_map(|extent| extent.parse().ok()).collect();
    match <[usize; 3]>::try_from(extents) {
        Ok([c, h, w]) if c.min(h).min(w) > 0 && text.split('x').count() == 3 => Ok([c, h, w]),
        _ => Err(Error::usage("expected channels x height x width, as in 3x32x32")),
    }
}

fn list(numbers: &[f32]) -> String {
    numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",")
}

impl Options {
    /// Those of a run.
    pub fn of(config: &Config) -> Result<Self> {
        let Config { input, holdout, strict, stream, mean, std, .. } = config.clone();
        let input = input.as_deref().map(shape).transpose()?;
        let [strict, stream] = [strict, stream].map(|flag| flag.unwrap_or(false));
        Ok(Self { input, holdout, strict, stream, mean, std })
    }

    /// Writes them down for the run to be continued.
    pub fn keep(&self, config: &mut Config) {
        config.input = self.input();
        config.holdout = self.holdout;
        config.strict = self.strict.then_some(true);
        config.stream = self.stream.then_some(true);
        (config.mean, config.std) = (self.mean.clone(), self.std.clone());
    }

    fn input(&self) -> Option<String> {
        self.input.map(|shape| shape.map(|extent| extent.to_string()).join("x"))
    }

    /// Name, what is given here, what the run has; of everything that decides about numbers.
    pub fn pairs(&self, kept: &Self) -> [(&'static str, Option<String>, String); 5] {
        let words = |options: &Self| {
            [
                options.input(),
                options.holdout.map(|share| share.to_string()),
                options.strict.then(|| "on".into()),
                options.mean.as_deref().map(list),
                options.std.as_deref().map(list),
            ]
        };
        let mut kept = words(kept).map(|word| word.unwrap_or("none".into())).into_iter();
        let mut given = words(self).into_iter();
        ["input", "holdout", "strict", "mean", "std"]
            .map(|name| (name, given.next().flatten(), kept.next().unwrap_or_default()))
    }
}

impl Options {
    /// The same, with images in `shape` if nothing else is said.
    pub fn or_input(&self, shape: Option<[usize; 3]>) -> Self {
        Self { input: self.input.or(shape), ..self.clone() }
    }

    /// The same, streamed if either says so: the numbers do not depend on it.
    pub fn or_stream(self, other: &Self) -> Self {
        Self { stream: self.stream || other.stream, ..self }
    }

    /// Puts the shape and the normalisation that are given in place of those that a network was trained with.
    pub fn adapt(&self, network: &mut Trained) -> Result<()> {
        if let Some(input) = self.input {
            network.model.trace(1, input)?;
            network.input = input;
        }
        let channels = network.input[0];
        for (name, given, numbers) in [("mean", &self.mean, &mut network.mean), ("std", &self.std, &mut network.std)] {
            match given.as_deref() {
                Some([number]) => *numbers = vec![*number; channels],
                Some(given) => *numbers = given.to_vec(),
                None if numbers.len() == 1 => *numbers = vec![numbers[0]; channels],
                None => {}
            }
            let usable = numbers.iter().all(|number| number.is_finite() && (name == "mean" || *number > 0.0));
            if numbers.len() != channels || !usable {
                return Err(Error::usage(format!(
                    "--{name}: the network takes {channels} channels, and {numbers:?} must be finite, std above 0, one \
                     number for each channel or for all"
                )));
            }
        }
        Ok(())
    }
}

/// Opens a data set and says what is to be said of it; pictures are brought to what `model` takes.
pub fn open(spec: &str, options: &Options, seed: Option<u64>, model: Option<&str>, need: Need) -> Result<Dataset> {
    let Options { input, holdout, strict, stream, mean, std } = options.clone();
    let model = model.map(|name| models::by_name(name, 10)).transpose()?;
    let taken = |native: Option<[usize; 3]>| match (&model, native) {
        (Some(model), Some(native)) => model.input_for(native),
        (Some(model), None) => model.default_input(),
        (None, native) => native.unwrap_or([3, 32, 32]),
    };
    let bar = OnceLock::new();
    let progress = |done: usize, total: usize| {
        bar.get_or_init(|| out::bar(total as u64, "reading {bar:40} {pos}/{len} pictures")).set_position(done as u64);
    };
    let choose: Option<&dyn Fn(Option<[usize; 3]>) -> [usize; 3]> = if model.is_some() { Some(&taken) } else { None };
    let seed = seed.unwrap_or_default();
    let reading = Reading { input, choose, holdout, seed, strict, stream, need, mean, std, progress: Some(&progress) };
    let dataset = data::open_with(spec, &reading);
    if let Some(bar) = bar.get() {
        bar.finish_and_clear();
    }
    let dataset = dataset?;
    for text in &dataset.notes {
        out::note(format_args!("note: {text}"));
    }
    Ok(dataset)
}
