//! The options of `wgrad train`, with the defaults of the library.

use std::fmt::Display;
use std::path::PathBuf;
use wgrad::graph::Optimizer;
use wgrad::train::Settings;

/// What [`wgrad::train::Schedule`] reads.
const FORMS: &str = "constant, cosine[:MIN[:WARMUP_STEPS]], step:EPOCHS:GAMMA, multistep:EPOCH,EPOCH,...:GAMMA or \
                     exponential:GAMMA";

#[derive(clap::Args)]
pub struct Options {
    /// The network: lenet5, lenet5-1998 or tutorial [default: lenet5]
    #[arg(long)]
    pub model: Option<String>,
    /// The data set: digits (embedded), or mnist:DIR (a folder with the four IDX files) [default: digits]
    #[arg(long)]
    pub data: Option<String>,
    #[arg(long, help = default("Passes over the training images", Settings::default().epochs))]
    pub epochs: Option<u64>,
    /// Stop after this many steps
    #[arg(long)]
    pub steps: Option<u64>,
    #[arg(long, value_name = "N", help = default("Images per step", Settings::default().batch_size))]
    pub batch_size: Option<usize>,
    #[arg(
        long,
        value_name = "NAME",
        value_parser = ["sgd", "adam", "adamw"],
        hide_possible_values = true,
        help = default("sgd, adam or adamw", usual_name())
    )]
    pub optimizer: Option<String>,
    #[arg(long, help = of_each("Learning rate", Optimizer::lr))]
    pub lr: Option<f64>,
    #[arg(long, help = default("Momentum of sgd", momentum().0))]
    pub momentum: Option<f32>,
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "true",
        require_equals = true,
        value_name = "BOOL",
        hide_possible_values = true,
        help = default("Nesterov's form of momentum, true or false", momentum().1)
    )]
    pub nesterov: Option<bool>,
    #[arg(long, value_name = "DECAY", help = of_each("Decay of the weights", weight_decay))]
    pub weight_decay: Option<f32>,
    #[arg(
        long,
        help = default("Course of the learning rate", &Settings::default().schedule),
        long_help = default(&format!("Course of the learning rate: {FORMS}"), &Settings::default().schedule)
    )]
    pub schedule: Option<String>,
    #[arg(
        long,
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64),
        help = default("Seed of the first weights and of the order of images", Settings::default().seed)
    )]
    pub seed: Option<u64>,
    /// Take the images in the order of the file
    #[arg(long)]
    pub no_shuffle: bool,
    /// Begin with these weights instead of random ones
    #[arg(long, value_name = "FILE.safetensors")]
    pub init: Option<PathBuf>,
    /// Continue the run in --out where it stopped
    #[arg(long)]
    pub resume: bool,
    /// The run's folder [default: runs/MODEL-DATA, the first that is free]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Drop the run that is in --out
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
}

/// The optimizer of this name, or the one that is used if none is named, with its defaults.
pub fn optimizer(name: Option<&str>) -> Optimizer {
    let usual = Settings::default().optimizer;
    match name.unwrap_or(usual_name()) {
        name if name == usual_name() => usual,
        "adam" => Optimizer::adam(1e-3),
        "adamw" => Optimizer::adamw(1e-3),
        _ => Optimizer::Sgd { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
    }
}

fn usual_name() -> &'static str {
    match Settings::default().optimizer {
        Optimizer::Sgd { .. } => "sgd",
        Optimizer::Adam { decoupled: false, .. } => "adam",
        Optimizer::Adam { decoupled: true, .. } => "adamw",
    }
}

fn default(text: &str, value: impl Display) -> String {
    format!("{text} [default: {value}]")
}

fn of_each<T: Display>(text: &str, value: impl Fn(&Optimizer) -> T) -> String {
    let [sgd, adam, adamw] = ["sgd", "adam", "adamw"].map(|name| value(&optimizer(Some(name))).to_string());
    format!("{text} [default: {sgd} with sgd, {adam} with adam, {adamw} with adamw]")
}

fn momentum() -> (f32, bool) {
    match optimizer(Some("sgd")) {
        Optimizer::Sgd { momentum, nesterov, .. } => (momentum, nesterov),
        Optimizer::Adam { .. } => (0.0, false),
    }
}

fn weight_decay(optimizer: &Optimizer) -> f32 {
    match *optimizer {
        Optimizer::Sgd { weight_decay, .. } | Optimizer::Adam { weight_decay, .. } => weight_decay,
    }
}
