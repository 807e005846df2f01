//! The options of `wgrad train`.

use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Options {
    /// The network, such as lenet5, resnet18-cifar or vgg16; a wrong name lists all [default: lenet5]
    #[arg(long)]
    pub model: Option<String>,
    /// The data set: digits (embedded), or mnist:DIR (a folder with the four IDX files) [default: digits]
    #[arg(long)]
    pub data: Option<String>,
    /// Passes over the training images [default: 30, or 10 where there are 10,000 images and more]
    #[arg(long)]
    pub epochs: Option<u64>,
    /// Stop after this many steps
    #[arg(long)]
    pub steps: Option<u64>,
    /// Images per step [default: 32, or 64 where there are 10,000 images and more]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// sgd, adam or adamw, with PyTorch's defaults and a constant rate [default: adamw at 0.003 along a cosine]
    #[arg(long, value_name = "NAME", value_parser = ["sgd", "adam", "adamw"], hide_possible_values = true)]
    pub optimizer: Option<String>,
    /// Learning rate [default: 0.001 where an optimizer is named]
    #[arg(long)]
    pub lr: Option<f64>,
    /// Momentum of sgd [default: 0]
    #[arg(long)]
    pub momentum: Option<f32>,
    /// Nesterov's form of momentum
    #[arg(long)]
    pub nesterov: bool,
    /// Decay of the weights [default: 0.01 with adamw, else 0]
    #[arg(long, value_name = "DECAY")]
    pub weight_decay: Option<f32>,
    /// Course of the learning rate: constant, cosine[:MIN[:WARMUP_STEPS]], step:EPOCHS:GAMMA,
    /// multistep:EPOCH,EPOCH,...:GAMMA or exponential:GAMMA
    #[arg(long)]
    pub schedule: Option<String>,
    /// Rate of every dropout layer; 0 turns dropout off [default: each layer's own]
    #[arg(long, value_name = "RATE")]
    pub dropout: Option<f32>,
    /// Seed of the first weights, of the order of images and of what is dropped [default: 0]
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
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
