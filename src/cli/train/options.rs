//! The options of `wgrad train`.

use crate::cli::reading;
use std::path::PathBuf;
use wgrad::graph::Augment;

#[derive(clap::Args)]
pub struct Options {
    /// Options from a TOML file, see recipes/; what the command line says comes first
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// The network, such as lenet5, resnet18-cifar or vgg16; a wrong name lists all [default: lenet5]
    #[arg(long)]
    pub model: Option<String>,
    /// The data set: digits (embedded), mnist:DIR (a folder with the four IDX files), cifar10:DIR or cifar100:DIR (the
    /// binary version), folder:DIR (pictures as CLASS/NAME.jpg, or in train/ and test/) [default: digits]
    #[arg(long)]
    pub data: Option<String>,
    #[command(flatten)]
    pub reading: reading::Options,
    /// Random changes of the training images, such as crop:4,flip,color:0.2:0.2,cutout:8,mixup:0.2
    #[arg(long, value_name = "CHANGES")]
    pub augment: Option<Augment>,
    /// Passes over the training images [default: 30, or 10 where there are 10,000 images and more]
    #[arg(long)]
    pub epochs: Option<u64>,
    /// Stop after this many steps
    #[arg(long)]
    pub steps: Option<u64>,
    /// Images per step [default: 32, or 64 where there are 10,000 images and more]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// sgd, adam, adamw or rmsprop, with PyTorch's defaults and a constant rate [default: adamw at 0.003 along a cosine]
    #[arg(long, value_name = "NAME", value_parser = ["sgd", "adam", "adamw", "rmsprop"], hide_possible_values = true)]
    pub optimizer: Option<String>,
    /// Learning rate [default: 0.001 where an optimizer is named, 0.01 for rmsprop]
    #[arg(long)]
    pub lr: Option<f64>,
    /// Momentum of sgd and rmsprop [default: 0]
    #[arg(long)]
    pub momentum: Option<f32>,
    /// Nesterov's form of momentum
    #[arg(long)]
    pub nesterov: bool,
    /// Decay of rmsprop's mean of squares [default: 0.99]
    #[arg(long)]
    pub alpha: Option<f32>,
    /// rmsprop divides by the deviation of the gradients
    #[arg(long)]
    pub centered: bool,
    /// Decay of the weights [default: 0.01 with adamw, else 0]
    #[arg(long, value_name = "DECAY")]
    pub weight_decay: Option<f32>,
    /// Decay all parameters, or weights alone: no biases, no scales of normalisations [default: all]
    #[arg(long, value_name = "WHICH", value_parser = ["all", "weights"], hide_possible_values = true)]
    pub decay: Option<String>,
    /// Multiply all gradients so that their norm is at most this
    #[arg(long, value_name = "NORM")]
    pub clip_norm: Option<f32>,
    /// Bring each gradient into -LIMIT..LIMIT
    #[arg(long, value_name = "LIMIT", conflicts_with = "clip_norm")]
    pub clip_value: Option<f32>,
    /// Batches per step: their gradients make one update [default: 1]
    #[arg(long, value_name = "BATCHES")]
    pub accumulate: Option<usize>,
    /// Keep moving averages of the weights, and evaluate and save these; 0.999 is usual
    #[arg(long, value_name = "DECAY")]
    pub ema: Option<f64>,
    /// Compute activations again for the backward pass instead of keeping them: less memory, the same numbers
    #[arg(long)]
    pub recompute: bool,
    /// Store activations and their gradients as 16-bit floating point, and scale the loss: half the memory. Sums, weights and
    /// optimizer stay in 32 bits
    #[arg(long)]
    pub amp: bool,
    /// Do not train the layers at and below these paths
    #[arg(long, value_name = "PATH,...", value_delimiter = ',')]
    pub freeze: Vec<String>,
    /// Share of each target that is spread over all classes [default: 0]
    #[arg(long, value_name = "SHARE")]
    pub label_smoothing: Option<f32>,
    /// What classes count for in the loss: equal, balanced, or a number for each [default: equal]
    #[arg(long, value_name = "WEIGHTS")]
    pub class_weights: Option<String>,
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
    /// Begin with these weights instead of random ones: safetensors, or PyTorch's .pth or .pt
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// The same with those weights that fit, and random ones for the rest: for a network made for other classes
    #[arg(long, value_name = "FILE", conflicts_with = "init")]
    pub init_partial: Option<PathBuf>,
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
