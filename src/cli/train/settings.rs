//! From options to settings, and whether they are those of the run to resume.

use super::options::{self, Options};
use std::path::Path;
use wgrad::graph::Optimizer;
use wgrad::train::{Config, Settings};
use wgrad::{Error, Result};

/// The settings of a new run.
pub fn fresh(options: &Options) -> Result<Settings> {
    let defaults = Settings::default();
    Ok(Settings {
        batch_size: options.batch_size.unwrap_or(defaults.batch_size),
        epochs: options.epochs.unwrap_or(defaults.epochs),
        steps: options.steps,
        optimizer: optimizer(options)?,
        schedule: options.schedule.as_deref().map_or(Ok(defaults.schedule), str::parse)?,
        seed: options.seed.unwrap_or(defaults.seed),
        shuffle: !options.no_shuffle,
    })
}

fn optimizer(options: &Options) -> Result<Optimizer> {
    Ok(match options::optimizer(options.optimizer.as_deref()) {
        Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
            let momentum = options.momentum.unwrap_or(momentum);
            Optimizer::Sgd {
                lr: options.lr.unwrap_or(lr),
                momentum,
                // Without momentum there is nothing to look ahead along, unless one asks for it and is told so.
                nesterov: options.nesterov.unwrap_or(nesterov && momentum != 0.0),
                weight_decay: options.weight_decay.unwrap_or(weight_decay),
            }
        }
        Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled } => {
            for (name, given) in [("momentum", options.momentum.is_some()), ("nesterov", options.nesterov.is_some())] {
                if given {
                    return Err(Error::usage(format!("--{name} belongs to --optimizer sgd; leave it out")));
                }
            }
            let lr = options.lr.unwrap_or(lr);
            let weight_decay = options.weight_decay.unwrap_or(weight_decay);
            Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled }
        }
    })
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
    let schedule = options.schedule.as_deref().map(|text| text.parse::<wgrad::train::Schedule>()).transpose()?;
    let path = |path: &Path| path.display().to_string();
    let pairs = [
        ("model", options.model.clone(), config.model.clone()),
        ("data", options.data.clone(), config.data.clone()),
        ("batch-size", options.batch_size.map(|size| size.to_string()), config.batch_size.to_string()),
        ("optimizer", options.optimizer.clone(), config.optimizer.clone()),
        ("lr", options.lr.map(|lr| lr.to_string()), config.lr.to_string()),
        ("momentum", options.momentum.map(|momentum| momentum.to_string()), text(config.momentum)),
        ("nesterov", options.nesterov.map(|on| on.to_string()), config.nesterov.unwrap_or(false).to_string()),
        ("weight-decay", options.weight_decay.map(|decay| decay.to_string()), config.weight_decay.to_string()),
        ("schedule", schedule.map(|schedule| schedule.to_string()), config.schedule.clone()),
        ("seed", options.seed.map(|seed| seed.to_string()), config.seed.to_string()),
        ("no-shuffle", options.no_shuffle.then(|| "on".into()), if config.shuffle { "off" } else { "on" }.into()),
        ("init", options.init.as_deref().map(path), config.init.as_deref().map_or("none".into(), path)),
    ];
    match pairs
        .into_iter()
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
