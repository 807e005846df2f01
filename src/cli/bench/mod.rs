//! `wgrad bench`: what a training step or a forward pass costs the adapter and the host.

mod replay;

use super::workers::Workers;
use super::{Context, out, reading};
use replay::Replay;
use serde_json::json;
use std::time::{Duration, Instant};
use wgrad::data::Need;
use wgrad::gpu::{Gpu, StepNumbers};
use wgrad::nn::models;
use wgrad::train::{Session, Settings, Sgd};
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    /// The networks
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<String>,
    /// Images at a time
    #[arg(long, default_value_t = 64)]
    pub batch: usize,
    /// The data set
    #[arg(long, default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: reading::Options,
    /// Measure forward passes with loss instead of training steps
    #[arg(long)]
    forward: bool,
    /// Store activations and their gradients as 16-bit floating point
    #[arg(long)]
    amp: bool,
    /// Steps to measure [default: as many as two seconds take]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one model takes.
struct Measured {
    model: String,
    /// Until the first step was done: from the start of the program for the first model, else from its own.
    first: Duration,
    /// The median of a step.
    step: Duration,
    steps: u64,
    images: usize,
    /// Time of the host per step, in submits of [`HOST_STEPS`].
    host: Duration,
    flops: u64,
    memory: u64,
}

/// The steps of a submit by which the host's time is measured.
const HOST_STEPS: usize = 16;

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    if options.batch == 0 {
        return Err(Error::usage("--batch must be at least 1"));
    }
    // All names before the first measurement.
    options.models.iter().try_for_each(|name| models::by_name(name, 10).map(drop))?;
    let gpu = context.gpu()?;
    let mut all = Vec::new();
    for (index, name) in options.models.iter().enumerate() {
        let begin = if index == 0 { context.started } else { Instant::now() };
        let bar = out::bar(0, "{spinner} {msg}");
        bar.set_message(name.clone());
        all.push(pollster::block_on(measure(&gpu, name, begin, options))?);
        bar.finish_and_clear();
    }
    let workers = Some(&context.workers).filter(|_| Workers::concern(gpu.info()));
    let what = match (options.forward, options.amp) {
        (true, false) => "forward passes",
        (true, true) => "forward passes with --amp",
        (false, false) => "training steps",
        (false, true) => "training steps with --amp",
    };
    if options.json {
        let results: Vec<_> = all.iter().map(as_json).collect();
        out::json(&json!({
            "adapter": gpu.describe(),
            "workers": workers.map(ToString::to_string),
            "measured": what,
            "batch": options.batch,
            "results": results,
        }))?;
        return Ok(0);
    }
    out::print(format_args!("{what} of {} images on {}, medians", options.batch, gpu.describe()))?;
    if let Some(workers) = workers {
        out::print(format_args!("workers: {workers}"))?;
    }
    let mut table = out::table(&[
        "model",
        ">ms per step",
        ">images/s",
        ">GFLOP/s",
        ">host µs",
        ">first step",
        ">memory, bytes",
        ">steps",
    ]);
    for measured in &all {
        let seconds = measured.step.as_secs_f64();
        table.add_row([
            measured.model.clone(),
            format!("{:.3}", 1e3 * seconds),
            out::count((measured.images as f64 / seconds) as u64),
            format!("{:.1}", measured.flops as f64 / seconds / 1e9),
            format!("{:.0}", 1e6 * measured.host.as_secs_f64()),
            out::duration(measured.first.as_secs_f64()),
            out::count(measured.memory),
            out::count(measured.steps),
        ]);
    }
    out::print_table(&table)?;
    Ok(0)
}

async fn measure(gpu: &Gpu, name: &str, begin: Instant, options: &Options) -> Result<Measured> {
    let dataset = reading::open(&options.data, &options.reading, None, Some(name), Need::All)?;
    let model = models::by_name(name, dataset.classes.len())?;
    let input = model.input_for(dataset.train.shape);
    let dataset = dataset.fit(input)?;
    // The optimizer of the measurements that it is compared with.
    let optimizer = Sgd::new(1e-3).momentum(0.9).into();
    let settings = Settings { batch_size: options.batch, optimizer, amp: options.amp, ..Settings::default() };
    let mut session = Session::new(gpu, &model, &dataset, &settings).await?;
    let network = model.trace(options.batch, input)?;
    session.initialize(&network.graph, settings.seed)?;
    let order: Vec<u32> = (0..dataset.train.len() as u32).collect();
    session.set_order(&order)?;
    let part = if options.forward { &dataset.test } else { &dataset.train };
    let images = options.batch.min(part.len());
    // What forward passes need, where these are all that is done.
    let memory = if options.forward { session.eval_plan().bytes() } else { session.buffers().values().sum() };
    // Whole batches, one after the other, at a rate at which nothing diverges.
    let rates = settings.optimizer.step_numbers(1e-4, 1);
    let step = StepNumbers { valid: images as u32, rates, ..StepNumbers::default() };
    let batches = dataset.train.len() / options.batch;
    let mut replay = Replay { session, step, batches, forward: options.forward };
    replay.steps(1).await?;
    let first = begin.elapsed();
    let (steps, median) = replay.median(options.steps).await?;
    let host = replay.host(HOST_STEPS).await?;
    let plan = if options.forward { replay.session.eval_plan() } else { replay.session.plan() };
    let flops = plan.flops();
    Ok(Measured { model: name.into(), first, step: median, steps, images, host, flops, memory })
}

fn as_json(measured: &Measured) -> serde_json::Value {
    let seconds = measured.step.as_secs_f64();
    json!({
        "model": measured.model,
        "milliseconds_per_step": 1e3 * seconds,
        "images_per_second": measured.images as f64 / seconds,
        "gflops_per_second": measured.flops as f64 / seconds / 1e9,
        "host_seconds_per_step": measured.host.as_secs_f64(),
        "seconds_to_first_step": measured.first.as_secs_f64(),
        "memory_bytes": measured.memory,
        "steps": measured.steps,
    })
}
