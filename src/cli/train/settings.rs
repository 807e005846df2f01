//! From options to settings, and whether they are those of the run to resume.

use super::options::Options;
use crate::cli::reading;
use std::path::Path;
use wgrad::graph::{Clip, Optimizer};
use wgrad::plan::Groups;
use wgrad::train::{ClassWeights, Config, Schedule, Settings};
use wgrad::{Error, Result};

/// The settings of a new run on so many training images.
///
/// Without a word about the optimizer they are the library's recipe. Whoever names an optimizer gets that one as PyTorch
/// defines it, with PyTorch's defaults and a constant rate, so that a run there can be made again here.
pub fn fresh(options: &Options, samples: usize) -> Result<Settings> {
    let recipe = Settings::recipe(samples);
    let sgd_implied = options.momentum.is_some() || options.nesterov;
    let named = options.optimizer.as_deref().or(sgd_implied.then_some("sgd"));
    let (optimizer, schedule) = match named {
        Some(name) => (torch(name), Schedule::Constant),
        None => (recipe.optimizer, recipe.schedule),
    };
    Ok(Settings {
        batch_size: options.batch_size.unwrap_or(recipe.batch_size),
        epochs: options.epochs.unwrap_or(recipe.epochs),
        steps: options.steps,
        optimizer: changed(optimizer, options)?,
        schedule: options.schedule.as_deref().map_or(Ok(schedule), str::parse)?,
        accumulate: options.accumulate.unwrap_or(recipe.accumulate),
        label_smoothing: options.label_smoothing.unwrap_or(recipe.label_smoothing),
        class_weights: options.class_weights.as_deref().unwrap_or("equal").parse()?,
        clip: options.clip_norm.map(Clip::Norm).or(options.clip_value.map(Clip::Value)),
        groups: Groups { frozen: options.freeze.clone(), spare_vectors: options.decay.as_deref() == Some("weights") },
        average: options.ema,
        recompute: options.recompute,
        amp: options.amp,
        dropout: options.dropout,
        seed: options.seed.unwrap_or(recipe.seed),
        shuffle: !options.no_shuffle,
        augment: options.augment.unwrap_or_default(),
    })
}

/// The optimizer of this name with PyTorch's defaults.
fn torch(name: &str) -> Optimizer {
    match name {
        "adam" => Optimizer::adam(1e-3),
        "adamw" => Optimizer::adamw(1e-3),
        "rmsprop" => Optimizer::rmsprop(1e-2),
        _ => Optimizer::sgd(1e-3),
    }
}

/// `optimizer` with what the options say.
fn changed(mut optimizer: Optimizer, options: &Options) -> Result<Optimizer> {
    let belongs = |name: &str, given: bool, to: &str| match given {
        true => Err(Error::usage(format!("--{name} belongs to --optimizer {to}; leave it out"))),
        false => Ok(()),
    };
    let keep = |place: &mut f32, given: Option<f32>| *place = given.unwrap_or(*place);
    if !matches!(optimizer, Optimizer::Sgd { .. }) {
        belongs("nesterov", options.nesterov, "sgd")?;
    }
    if !matches!(optimizer, Optimizer::RmsProp { .. }) {
        belongs("alpha", options.alpha.is_some(), "rmsprop")?;
        belongs("centered", options.centered, "rmsprop")?;
    }
    match &mut optimizer {
        Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
            keep(momentum, options.momentum);
            keep(weight_decay, options.weight_decay);
            *nesterov = options.nesterov;
        }
        Optimizer::Adam { weight_decay, .. } => {
            belongs("momentum", options.momentum.is_some(), "sgd or rmsprop")?;
            keep(weight_decay, options.weight_decay);
        }
        Optimizer::RmsProp { alpha, momentum, centered, weight_decay, .. } => {
            keep(alpha, options.alpha);
            keep(momentum, options.momentum);
            keep(weight_decay, options.weight_decay);
            *centered = options.centered;
        }
    }
    let (Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::RmsProp { lr, .. }) = &mut optimizer;
    *lr = options.lr.unwrap_or(*lr);
    Ok(optimizer)
}

/// `--steps` alone means just that many, however many epochs they make.
pub fn reach_steps(options: &Options, settings: &mut Settings, samples: usize) {
    if let (Some(steps), None) = (options.steps, options.epochs) {
        settings.epochs = steps.div_ceil(settings.steps_per_epoch(samples)).max(1);
    }
}

/// Refuses options that are not those of the run in `dir`; its end alone may change.
pub fn same(options: &Options, config: &Config, dir: &Path) -> Result<()> {
    let text = |number: Option<f32>| number.map_or("none".into(), |number| number.to_string());
    let schedule = options.schedule.as_deref().map(|text| text.parse::<Schedule>()).transpose()?;
    let path = |path: &Path| path.display().to_string();
    let weights = options.class_weights.as_deref().map(|text| text.parse::<ClassWeights>()).transpose()?;
    let freeze = (!options.freeze.is_empty()).then(|| options.freeze.join(","));
    let or = |text: &Option<String>, default: &str| text.clone().unwrap_or(default.into());
    let augment = options.augment.map(|augment| augment.to_string());
    let kept = reading::Options::of(config)?;
    let pairs = [
        ("augment", augment, config.augment.clone().unwrap_or("none".into())),
        ("model", options.model.clone(), config.model.clone()),
        ("data", options.data.clone(), config.data.clone()),
        ("batch-size", options.batch_size.map(|size| size.to_string()), config.batch_size.to_string()),
        ("optimizer", options.optimizer.clone(), config.optimizer.clone()),
        ("lr", options.lr.map(|lr| lr.to_string()), config.lr.to_string()),
        ("momentum", options.momentum.map(|momentum| momentum.to_string()), text(config.momentum)),
        ("nesterov", options.nesterov.then(|| "true".into()), config.nesterov.unwrap_or(false).to_string()),
        ("alpha", options.alpha.map(|alpha| alpha.to_string()), text(config.alpha)),
        ("centered", options.centered.then(|| "true".into()), config.centered.unwrap_or(false).to_string()),
        ("weight-decay", options.weight_decay.map(|decay| decay.to_string()), config.weight_decay.to_string()),
        ("schedule", schedule.map(|schedule| schedule.to_string()), config.schedule.clone()),
        ("accumulate", options.accumulate.map(|count| count.to_string()), config.accumulate.unwrap_or(1).to_string()),
        (
            "label-smoothing",
            options.label_smoothing.map(|share| share.to_string()),
            config.label_smoothing.unwrap_or(0.0).to_string(),
        ),
        ("class-weights", weights.map(|weights| weights.to_string()), or(&config.class_weights, "equal")),
        ("clip-norm", options.clip_norm.map(|limit| limit.to_string()), text(config.clip_norm)),
        ("clip-value", options.clip_value.map(|limit| limit.to_string()), text(config.clip_value)),
        ("decay", options.decay.clone(), or(&config.decay, "all")),
        ("freeze", freeze, config.freeze.as_ref().map_or("none".into(), |paths| paths.join(","))),
        (
            "ema",
            options.ema.map(|decay| decay.to_string()),
            config.ema.map_or("none".into(), |decay| decay.to_string()),
        ),
        ("recompute", options.recompute.then(|| "true".into()), config.recompute.unwrap_or(false).to_string()),
        ("amp", options.amp.then(|| "true".into()), config.amp.unwrap_or(false).to_string()),
        ("dropout", options.dropout.map(|rate| rate.to_string()), text(config.dropout)),
        ("seed", options.seed.map(|seed| seed.to_string()), config.seed.to_string()),
        ("no-shuffle", options.no_shuffle.then(|| "on".into()), if config.shuffle { "off" } else { "on" }.into()),
        ("init", options.init.as_deref().map(path), config.init.as_deref().map_or("none".into(), path)),
        (
            "init-partial",
            options.init_partial.as_deref().map(path),
            config.init_partial.as_deref().map_or("none".into(), path),
        ),
    ];
    match pairs
        .into_iter()
        .chain(options.reading.pairs(&kept))
        .find_map(|(name, given, kept)| given.filter(|given| *given != kept).map(|given| (name, given, kept)))
    {
        None => Ok(()),
        Some((name, given, kept)) => Err(Error::usage(format!(
            "--{name} is {given}, but the run in {} has {kept}; leave it out to continue that run, or start another with \
             another --out",
            dir.display()
        ))),
    }
}
