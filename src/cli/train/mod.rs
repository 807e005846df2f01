//! `wgrad train`: from data to a folder with a trained network.

mod gallery;
mod options;
mod place;
mod progress;
pub mod recipe;
mod results;
mod settings;

use super::{Context, out, reading};
pub use options::Options;
use progress::Progress;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad::data::{Dataset, Need};
use wgrad::io::TensorFile;
use wgrad::nn::models;
use wgrad::train::{Checkpoint, Config, RunFolder, Schedule, Settings, Trainer};
use wgrad::{Error, Result};

/// The exit status of a program that a signal stopped, as shells have it for Ctrl-C.
const INTERRUPTED: u8 = 130;

/// A run that is about to begin.
struct Prepared {
    settings: Settings,
    dataset: Dataset,
    folder: RunFolder,
    checkpoint: Option<Checkpoint>,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    let prepared = if options.resume { resumed(options)? } else { fresh(options)? };
    let Prepared { settings, dataset, mut folder, checkpoint } = prepared;
    settings.check()?;
    let total = settings.total_steps(dataset.train.len());
    let dir = folder.dir().to_path_buf();
    if let Some(checkpoint) = &checkpoint
        && already_there(&dir, checkpoint, total, settings.steps_per_epoch(dataset.train.len()))?
    {
        return Ok(0);
    }
    let config = &mut folder.config;
    let model = models::by_name(&config.model, dataset.classes.len())?;
    let partial = config.init_partial.is_some();
    let init = config.init.as_ref().or(config.init_partial.as_ref()).filter(|_| checkpoint.is_none());
    let init = init.map(TensorFile::read).transpose()?;
    let gpu = context.gpu()?;
    if let Some(before) = config.adapter.replace(gpu.describe()).filter(|before| *before != gpu.describe()) {
        out::note(format_args!("warning: the run was on {before}; {} rounds differently", gpu.describe()));
    }
    let mut progress = Progress::new(context.started, &gpu, &model, &dataset, &settings, &dir);
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(stop.clone());

    let mut trainer = Trainer::new(&gpu, model.clone()).settings(settings).stop_flag(stop);
    trainer = trainer.observe(&mut folder).observe(&mut progress);
    trainer = match (checkpoint, init) {
        (Some(checkpoint), _) => trainer.resume(checkpoint),
        (None, Some(weights)) if partial => trainer.init_partial(weights),
        (None, Some(weights)) => trainer.init(weights),
        (None, None) => trainer,
    };
    let report = trainer.fit(&dataset)?;
    progress.end();
    folder.finish(&report)?;
    match options.json {
        true => out::json(&results::as_json(&gpu, &report, &progress, &folder))?,
        false => results::print(&gpu, &model, &dataset, &report, &progress, &folder)?,
    }
    if report.interrupted {
        let step = report.last.step;
        out::note(format_args!(
            "stopped after step {step} of {total}; to go on: {} train --resume --out {}",
            place::program(),
            place::quoted(&dir)
        ));
        return Ok(INTERRUPTED);
    }
    Ok(0)
}

fn fresh(options: &Options) -> Result<Prepared> {
    let model = options.model.as_deref().unwrap_or("lenet5");
    let data = options.data.as_deref().unwrap_or("digits");
    models::by_name(model, 10)?;
    // What is wrong with the options is said before a large data set is read.
    settings::fresh(options, 0)?.check()?;
    let dataset = reading::open(data, &options.reading, options.seed, Some(model), Need::All)?;
    let mut settings = settings::fresh(options, dataset.train.len())?;
    settings::reach_steps(options, &mut settings, dataset.train.len());
    let mut config = Config::new(model, data, &settings);
    (config.init, config.init_partial) = (options.init.clone(), options.init_partial.clone());
    options.reading.keep(&mut config);
    let dir = match &options.out {
        Some(dir) => dir.clone(),
        None => place::free(model, &dataset.name),
    };
    let folder = match options.overwrite {
        true => RunFolder::overwrite(dir, config),
        false => RunFolder::create(dir, config)?,
    };
    Ok(Prepared { settings, dataset, folder, checkpoint: None })
}

fn resumed(options: &Options) -> Result<Prepared> {
    let dir = match &options.out {
        Some(dir) => dir.clone(),
        None => {
            place::latest(options.model.as_deref().unwrap_or("lenet5"), options.data.as_deref().unwrap_or("digits"))?
        }
    };
    let mut config = Config::read(&dir)?;
    settings::same(options, &config, &dir)?;
    let kept = reading::Options::of(&config)?.or_stream(&options.reading);
    let dataset = reading::open(&config.data, &kept, Some(config.seed), Some(&config.model), Need::All)?;
    let before = config.settings()?;
    let mut settings = before.clone();
    settings.epochs = options.epochs.unwrap_or(settings.epochs);
    if options.epochs.is_some() || options.steps.is_some() {
        settings.steps = options.steps;
    }
    settings.check()?;
    settings::reach_steps(options, &mut settings, dataset.train.len());
    (config.epochs, config.steps) = (settings.epochs, settings.steps);
    let (old, new) = (before.total_steps(dataset.train.len()), settings.total_steps(dataset.train.len()));
    let (folder, checkpoint) = RunFolder::resume(dir, config)?;
    if old != new && checkpoint.is_some() && matches!(settings.schedule, Schedule::Cosine { .. }) {
        out::note(format_args!(
            "warning: the cosine schedule depends on the number of steps: from here on the learning rate is that of a run \
             of {new} steps, before it was that of {old}"
        ));
    }
    Ok(Prepared { settings, dataset, folder, checkpoint })
}

/// Whether the run is at its end and there is nothing to do; an error if it is past it.
fn already_there(dir: &Path, checkpoint: &Checkpoint, total: u64, per_epoch: u64) -> Result<bool> {
    let Checkpoint { step, evaluated, .. } = *checkpoint;
    if step > total {
        return Err(Error::usage(format!(
            "the run in {} has done {step} steps, and the end that is asked for is step {total}; \
             ask for more --epochs or --steps",
            dir.display()
        )));
    }
    let done = step == total && evaluated == total / per_epoch;
    if done {
        out::note(format_args!(
            "the run in {} is at its end, step {total}; ask for more --epochs to go on",
            dir.display()
        ));
    }
    Ok(done)
}

/// The first signal ends the run after the steps in flight, the second at once.
fn stop_on_signals(stop: Arc<AtomicBool>) {
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        out::note(format_args!("warning: Ctrl-C will not save the run: {error}"));
    }
}
