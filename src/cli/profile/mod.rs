//! `wgrad profile`: where the time of a training step goes.

mod report;
mod trace;

use super::{Context, out, reading};
use report::Cost;
use std::path::PathBuf;
use wgrad::data::{Dataset, Need, Part};
use wgrad::gpu::{Ceilings, Gpu, Runner, StepNumbers, Timing};
use wgrad::nn::{Model, models};
use wgrad::plan::LossScale;
use wgrad::train::{Settings, initial_state, training_program};
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    /// The network
    pub model: String,
    /// Images at a time
    #[arg(long, default_value_t = 64)]
    pub batch: usize,
    /// The data set
    #[arg(long, default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: reading::Options,
    /// Store activations and their gradients as 16-bit floating point
    #[arg(long)]
    amp: bool,
    /// How often each step is timed; the median counts
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Write a trace for https://ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    if options.batch == 0 {
        return Err(Error::usage("--batch must be at least 1"));
    }
    let dataset = reading::open(&options.data, &options.reading, None, Some(&options.model), Need::All)?;
    let model = models::by_name(&options.model, dataset.classes.len())?;
    let input = model.input_for(dataset.train.shape);
    let mut dataset = dataset.fit(input)?;
    if dataset.is_streamed() {
        // Of one batch, again and again, the others need not be read.
        let first: Vec<usize> = (0..options.batch.min(dataset.train.len())).collect();
        let images = dataset.choose(Part::Train, &first)?;
        let Dataset { name, classes, mean, std, .. } = dataset;
        dataset = Dataset::new(name, classes, (mean, std), images.clone(), images)?;
    }
    let gpu = context.gpu()?;
    let (runner, timings) = measure(&gpu, &model, &dataset, options)?;
    let plan = runner.plan();
    let ceilings = pollster::block_on(Ceilings::measure(&gpu))?;
    let pairs = plan.dispatches.iter().zip(&timings);
    let costs: Vec<Cost> =
        pairs.map(|(dispatch, timing)| Cost::new(dispatch, timing.duration / 1e9, &ceilings)).collect();
    if let Some(path) = &options.trace {
        trace::write(path, &gpu.describe(), plan, &timings)?;
        out::note(format_args!("trace in {}; open it at https://ui.perfetto.dev", path.display()));
    }
    if options.json {
        out::json(&report::as_json(&gpu, plan, &costs, &ceilings))?;
        return Ok(0);
    }
    report::print(plan, &costs)?;
    let total: f64 = costs.iter().map(|cost| cost.seconds).sum();
    out::print(format_args!(
        "{} on {}: {} in {} dispatches for {} images ({:.1} GFLOP/s); medians of {} steps, each dispatch timed on its own",
        options.model,
        gpu.describe(),
        out::duration(total),
        costs.len(),
        options.batch,
        plan.flops() as f64 / total.max(1e-12) / 1e9,
        options.repeat,
    ))?;
    out::print(format_args!(
        "ceilings: {:.1} GFLOP/s of arithmetic, {:.1} GB/s of copying, measured before; the last column is the least time \
         they allow over the time taken, which only algorithms that save operations can bring above 100 %",
        ceilings.flops / 1e9,
        ceilings.bytes / 1e9,
    ))?;
    Ok(0)
}

/// The median time of each dispatch of a training step on the first images of `dataset`, one after the other.
fn measure(gpu: &Gpu, model: &Model, dataset: &Dataset, options: &Options) -> Result<(Runner, Vec<Timing>)> {
    let settings = Settings { batch_size: options.batch, amp: options.amp, ..Settings::default() };
    let program = training_program(model, dataset, &settings)?;
    let train = &dataset.train;
    let order: Vec<u32> = (0..train.len() as u32).collect();
    let bar = out::bar(options.repeat, "{bar:40} {pos}/{len} steps");
    pollster::block_on(async {
        let runner = Runner::new(gpu, &program).await?;
        for (name, value) in program.graph.inputs() {
            match name {
                "train.images" => runner.feed(value, &train.pixels)?,
                "train.labels" => runner.feed(value, bytemuck::cast_slice(&train.labels))?,
                "train.order" => runner.feed(value, bytemuck::cast_slice(&order))?,
                _ => {}
            }
        }
        if let Some(LossScale { scale, history }) = program.loss_scale {
            runner.feed(scale, bytemuck::bytes_of(&LossScale::FIRST))?;
            runner.feed(history, &[0; 8])?;
        }
        let parameters = program.graph.state().zip(initial_state(&program.graph, 0));
        for ((_, value, _), numbers) in parameters {
            runner.feed(value, bytemuck::cast_slice(&numbers))?;
        }
        // A rate of 0: the numbers stay those of first weights, whatever the count of repetitions.
        let valid = options.batch.min(train.len()) as u32;
        runner.set_step(StepNumbers {
            valid,
            rates: settings.optimizer.step_numbers(0.0, 1),
            ..StepNumbers::default()
        })?;
        // The first run compiles.
        runner.run()?;
        let mut durations = vec![Vec::new(); runner.plan().dispatches.len()];
        for _ in 0..options.repeat {
            let timings = runner.timings().await?;
            durations.iter_mut().zip(&timings).for_each(|(all, timing)| all.push(timing.duration));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut start = 0.0;
        let timing = |durations: &mut Vec<f64>| {
            durations.sort_by(f64::total_cmp);
            let timing = Timing { start, duration: durations[durations.len() / 2] };
            start += timing.duration;
            timing
        };
        let timings = durations.iter_mut().map(timing).collect();
        Ok((runner, timings))
    })
}
