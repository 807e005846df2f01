//! `wgrad tune`: which kernels are the fastest on this adapter.

use super::{Context, out, reading};
use serde_json::json;
use std::path::PathBuf;
use wgrad::data::Need;
use wgrad::gpu::{save_tuning, tuning_file};
use wgrad::nn::models;
use wgrad::plan::Choices;
use wgrad::train::{Settings, Sgd, training_program};
use wgrad::tune::{Tuned, answers, tune};
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    /// The networks whose layers are measured
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<String>,
    /// Images at a time
    #[arg(long, default_value_t = 64)]
    pub batch: usize,
    /// The data set, for the extents of images and the number of classes
    #[arg(long, default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: reading::Options,
    /// Store activations and their gradients as 16-bit floating point, and multiply 16 bits where the adapter has matrices
    #[arg(long)]
    amp: bool,
    /// How often each step is timed; the median counts
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// The table [default: the one that is read when this adapter is opened]
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    if options.batch == 0 {
        return Err(Error::usage("--batch must be at least 1"));
    }
    // All names before the first measurement.
    options.models.iter().try_for_each(|name| models::by_name(name, 10).map(drop))?;
    let gpu = context.gpu()?;
    let path = options.out.clone().or_else(|| tuning_file(gpu.info()));
    let path = path
        .ok_or_else(|| Error::usage("there is no folder for tables here (WGRAD_TUNING=0?); name a file with --out"))?;
    let mut choices: Choices = (*gpu.target().choices).clone();
    let mut all: Vec<Tuned> = vec![];
    for name in &options.models {
        let dataset = reading::open(&options.data, &options.reading, None, Some(name), Need::All)?;
        let model = models::by_name(name, dataset.classes.len())?;
        let input = model.input_for(dataset.train.shape);
        let dataset = dataset.fit(input)?;
        let optimizer = Sgd::new(1e-3).momentum(0.9).into();
        let settings = Settings { batch_size: options.batch, optimizer, amp: options.amp, ..Settings::default() };
        let program = training_program(&model, &dataset, &settings)?;
        let bar = out::bar(0, "{spinner} {msg} {pos}/{len} plans");
        bar.set_message(name.clone());
        let progress = |done: usize, of: usize| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        };
        let tuned = pollster::block_on(tune(&gpu, &program, options.repeat as usize, progress))?;
        bar.finish_and_clear();
        choices = answers(&choices, &tuned);
        all.extend(tuned);
    }
    save_tuning(&path, gpu.info(), &choices)?;
    if options.json {
        let entry = |tuned: &Tuned| {
            let Tuned { question, seconds, best } = tuned;
            json!({"question": question.name, "candidates": question.candidates, "seconds": seconds, "best": question.candidates[*best]})
        };
        let entries: Vec<_> = all.iter().map(entry).collect();
        out::json(&json!({"adapter": gpu.describe(), "file": path, "measured": entries}))?;
        return Ok(0);
    }
    let mut table = out::table(&["question", "rule's choice", "others", "taken"]);
    for Tuned { question, seconds, best } in &all {
        let timed = |index: usize| format!("{} {}", question.candidates[index], out::duration(seconds[index]));
        let others: Vec<String> = (1..seconds.len()).map(timed).collect();
        let taken = if *best == 0 { "the rule's" } else { &question.candidates[*best] };
        table.add_row([question.name.clone(), timed(0), others.join(", "), taken.into()]);
    }
    out::print_table(&table)?;
    let changed = all.iter().filter(|tuned| tuned.best > 0).count();
    out::print(format_args!(
        "{changed} of {} choices differ from the rules' on {}; the table is {}",
        all.len(),
        gpu.describe(),
        path.display(),
    ))?;
    Ok(0)
}
