//! `wgrad eval`: how good a trained network is, class by class.

use super::{Context, classify, out, reading, weights};
use serde_json::json;
use std::ops::Range;
use wgrad::data::{Need, Part};
use wgrad::train::read_weights;
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    weights: weights::Options,
    /// The data set whose test images are used, as in training
    #[arg(long)]
    data: String,
    #[command(flatten)]
    reading: reading::Options,
    /// The seed of the run, which decides about --holdout [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Images at a time
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was true and what was found, per class.
#[derive(Clone, Default)]
struct Tally {
    images: u64,
    right: u64,
    predicted: u64,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    if options.batch_size == 0 {
        return Err(Error::usage("--batch-size must be at least 1"));
    }
    // Of weights that another program saved nothing is known yet.
    let input = read_weights(&options.weights.weights).ok().map(|weights| weights.input);
    let dataset = reading::open(
        &options.data,
        &options.reading.or_input(input),
        options.seed,
        options.weights.model.as_deref().filter(|_| input.is_none()),
        Need::Test,
    )?;
    let mut network = options.weights.load(Some(&dataset))?;
    options.reading.adapt(&mut network)?;
    if network.classes.len() != dataset.classes.len() {
        let (have, want) = (network.classes.len(), dataset.classes.len());
        let message =
            format!("this network tells {have} classes apart, but {} has {want}; use its own --data", dataset.name);
        return Err(Error::format(&options.weights.weights, message));
    }
    let dataset = dataset.fit(network.input)?;
    let test = &dataset.test;
    let read = |places: Range<usize>| Ok(dataset.choose(Part::Test, &places.collect::<Vec<_>>())?.pixels);
    let gpu = context.gpu()?;
    let bar = out::bar(test.len() as u64, "{bar:40} {pos}/{len} images");
    let progress = |done| bar.set_position(done as u64);
    let logits = classify::logits(&gpu, &mut network, test.len(), read, options.batch_size, progress)?;
    bar.finish_and_clear();

    let (loss, tallies) = measure(&test.labels, &logits, network.classes.len());
    let right: u64 = tallies.iter().map(|tally| tally.right).sum();
    let accuracy = right as f64 / test.len() as f64;
    if options.json {
        let class = |(name, tally): (&String, &Tally)| json!({"class": name, "images": tally.images, "right": tally.right, "predicted": tally.predicted});
        let classes: Vec<_> = network.classes.iter().zip(&tallies).map(class).collect();
        let (model, data) = (network.model.name(), &options.data);
        let images = test.len();
        out::json(&json!({
            "model": model, "data": data, "images": images, "loss": loss, "accuracy": accuracy, "classes": classes,
        }))?;
        return Ok(0);
    }
    let mut table = out::table(&["class", ">images", ">right", ">recall", ">precision"]);
    let percent = |part: u64, whole: u64| match whole {
        0 => "-".to_string(),
        _ => format!("{:.2} %", 100.0 * part as f64 / whole as f64),
    };
    for (name, Tally { images, right, predicted }) in network.classes.iter().zip(&tallies) {
        let shares = [percent(*right, *images), percent(*right, *predicted)];
        let [recall, precision] = shares;
        table.add_row([name.clone(), out::count(*images), out::count(*right), recall, precision]);
    }
    out::print_table(&table)?;
    let (all, right) = (out::count(test.len() as u64), out::count(right));
    out::print(format_args!(
        "{} on the test images of {}: loss {loss:.5}, accuracy {:.2} % ({right} of {all})",
        network.model.name(),
        options.data,
        100.0 * accuracy
    ))?;
    Ok(0)
}

/// The mean cross-entropy, in f64, and the tally of each class.
fn measure(labels: &[u32], logits: &[Vec<f32>], classes: usize) -> (f64, Vec<Tally>) {
    let mut tallies = vec![Tally::default(); classes];
    let mut loss = 0.0;
    for (&label, logits) in labels.iter().zip(logits) {
        let label = label as usize;
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        loss += largest + sum.ln() - f64::from(logits[label]);
        let found = classify::predicted(logits);
        tallies[label].images += 1;
        tallies[label].right += u64::from(found == label);
        tallies[found].predicted += 1;
    }
    (loss / labels.len() as f64, tallies)
}
