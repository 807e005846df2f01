//! `wgrad data`: what is in a data set, and what a network gets to see of it.

use super::{Context, out, reading, sheet};
use serde_json::json;
use std::path::PathBuf;
use wgrad::data::{Dataset, Need, Part};
use wgrad::gpu::{Gpu, Runner, StepNumbers};
use wgrad::graph::{Augment, DType, Gather, Graph};
use wgrad::plan::Program;
use wgrad::train::epoch_order;
use wgrad::{Error, Result};

/// Pictures on a sheet.
const PICTURES: usize = 64;

#[derive(clap::Args)]
pub struct Options {
    /// The data set, as in `wgrad train --data`
    #[arg(value_name = "DATA")]
    data: String,
    #[command(flatten)]
    reading: reading::Options,
    /// The network that is to see it, which decides about the size of images
    #[arg(long)]
    model: Option<String>,
    /// Write 64 training images as a PNG file, as the network gets them: gathered and changed on the device
    #[arg(long, value_name = "FILE.png")]
    preview: Option<PathBuf>,
    /// Random changes, as in `wgrad train --augment`
    #[arg(long, value_name = "CHANGES")]
    augment: Option<Augment>,
    /// Seed of order, holdout and changes [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// The step whose changes are shown, counted from 0
    #[arg(long, default_value_t = 0)]
    step: u32,
    /// Take the images in the order of the file
    #[arg(long)]
    no_shuffle: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    if options.augment.is_some() && options.preview.is_none() {
        return Err(Error::usage("--augment changes what --preview FILE.png shows; say that too"));
    }
    let dataset = reading::open(&options.data, &options.reading, options.seed, options.model.as_deref(), Need::All)?;
    if let Some(path) = &options.preview {
        let gpu = context.gpu()?;
        let pictures = pollster::block_on(preview(&gpu, &dataset, options))?;
        sheet::write(path, &pictures, dataset.train.shape)?;
        out::print(format_args!("{} training images of {} in {}", pictures.len(), dataset.name, path.display()))?;
        let augment = options.augment.unwrap_or_default();
        if augment.mixup > 0.0 {
            let share = 100.0 * augment.lambda(options.seed.unwrap_or_default(), options.step);
            out::print(format_args!("{share:.1} % of each picture is its own, the rest is the one before it"))?;
        }
        return Ok(0);
    }
    let counts: Vec<[usize; 2]> = (0..dataset.classes.len() as u32)
        .map(|class| {
            [&dataset.train, &dataset.test].map(|part| part.labels.iter().filter(|&&label| label == class).count())
        })
        .collect();
    let (mean, std) = measured(&dataset)?;
    match options.json {
        true => as_json(&dataset, &counts, &mean, &std),
        false => print(&dataset, &counts, &mean, &std),
    }?;
    Ok(0)
}

/// Images that are read at a time.
const CHUNK: usize = 256;

/// Mean and standard deviation of each channel of the training images, of pixels in 0..1.
fn measured(dataset: &Dataset) -> Result<(Vec<f64>, Vec<f64>)> {
    let [channels, height, width] = dataset.train.shape;
    let mut counts = vec![[0_u64; 256]; channels];
    let all: Vec<usize> = (0..dataset.train.len()).collect();
    for places in all.chunks(CHUNK) {
        for (i, plane) in dataset.choose(Part::Train, places)?.pixels.chunks_exact(height * width).enumerate() {
            plane.iter().for_each(|&pixel| counts[i % channels][usize::from(pixel)] += 1);
        }
    }
    let moments = |counts: &[u64; 256]| {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let sum =
            |power: i32| (0..).zip(counts).map(|(p, &n)| (f64::from(p) / 255.0).powi(power) * n as f64).sum::<f64>();
        let mean = sum(1) / total;
        (mean, (sum(2) / total - mean * mean).max(0.0).sqrt())
    };
    Ok(counts.iter().map(moments).unzip())
}

fn print(dataset: &Dataset, counts: &[[usize; 2]], mean: &[f64], std: &[f64]) -> Result<()> {
    let mut table = out::table(&["class", ">train", ">test"]);
    for (name, [train, test]) in dataset.classes.iter().zip(counts) {
        table.add_row([name.clone(), out::count(*train as u64), out::count(*test as u64)]);
    }
    let totals = [&dataset.train, &dataset.test].map(|part| out::count(part.len() as u64));
    let [train, test] = totals.clone();
    table.add_row(["all".to_string(), train, test]);
    out::print_table(&table)?;
    let text = |numbers: &[f64]| numbers.iter().map(|number| format!("{number:.4}")).collect::<Vec<_>>().join(", ");
    let used = |numbers: &[f32]| text(&numbers.iter().map(|&number| f64::from(number)).collect::<Vec<_>>());
    let bytes = (dataset.train.len() + dataset.test.len()) * dataset.train.shape.iter().product::<usize>();
    out::print(format_args!(
        "images of {} (C x H x W), {:.1} MB as bytes{}\nmean and std of the training images: {} and {}\n\
         normalised with:                      {} and {}",
        dataset.train.shape.map(|extent| extent.to_string()).join("x"),
        bytes as f64 / 1e6,
        if dataset.is_streamed() { ", streamed from their files" } else { "" },
        text(mean),
        text(std),
        used(&dataset.mean),
        used(&dataset.std),
    ))
}

fn as_json(dataset: &Dataset, counts: &[[usize; 2]], mean: &[f64], std: &[f64]) -> Result<()> {
    let class = |(name, [train, test]): (&String, &[usize; 2])| json!({"class": name, "train": train, "test": test});
    let classes: Vec<_> = dataset.classes.iter().zip(counts).map(class).collect();
    out::json(&json!({
        "data": dataset.name, "shape": dataset.train.shape, "train": dataset.train.len(), "test": dataset.test.len(),
        "classes": classes, "mean": dataset.mean, "std": dataset.std, "measured_mean": mean, "measured_std": std,
        "streamed": dataset.is_streamed(), "notes": dataset.notes,
    }))
}

/// Pixels `[C,H,W]` and names of the classes of a batch, from the kernels of training.
async fn preview(gpu: &Gpu, dataset: &Dataset, options: &Options) -> Result<Vec<(Vec<u8>, String)>> {
    let mut order = epoch_order(dataset.train.len(), options.seed.unwrap_or_default(), 0, !options.no_shuffle);
    order.truncate(PICTURES);
    // Only what is shown goes to the device.
    let shown = dataset.choose(Part::Train, &order.iter().map(|&sample| sample as usize).collect::<Vec<_>>())?;
    let (count, [c, h, w]) = (shown.len(), shown.shape);
    let mut graph = Graph::new();
    let pixels = graph.input("images", &[count, c, h, w], DType::U8)?;
    let labels = graph.input("labels", &[count], DType::U32)?;
    let order = graph.input("order", &[count], DType::U32)?;
    let (augment, seed) = (options.augment.unwrap_or_default(), options.seed.unwrap_or_default());
    let gather = Gather { augment, seed, ..Gather::plain(count, &dataset.mean, &dataset.std) };
    let batch = graph.scoped("batch", |graph| graph.gather_mixed(pixels, labels, order, gather))?;
    let (x, y) = (batch.x, batch.labels);
    let partners = batch.mix.map(|(partners, _)| partners);
    let outputs: Vec<_> = [x, y].into_iter().chain(partners).collect();
    let mut runner = Runner::new(gpu, &Program::new("preview", graph, &outputs)).await?;
    runner.feed(pixels, &shown.pixels)?;
    runner.feed(labels, bytemuck::cast_slice(&shown.labels))?;
    runner.feed(order, bytemuck::cast_slice(&(0..count as u32).collect::<Vec<u32>>()))?;
    let lambda = augment.lambda(seed, options.step);
    runner.set_step(StepNumbers { index: options.step, lambda, ..StepNumbers::once() })?;
    runner.run()?;

    let numbers: Vec<f32> = bytemuck::pod_collect_to_vec(&runner.read(x).await?);
    let mut names = Vec::new();
    for value in [Some(y), partners].into_iter().flatten() {
        let labels: Vec<u32> = bytemuck::pod_collect_to_vec(&runner.read(value).await?);
        names.push(labels.into_iter().map(|label| dataset.classes[label as usize].clone()).collect::<Vec<String>>());
    }
    let picture = |(i, numbers): (usize, &[f32])| {
        let byte = |(at, number): (usize, &f32)| {
            let channel = at / (h * w);
            (255.0 * (number * dataset.std[channel] + dataset.mean[channel])).round().clamp(0.0, 255.0) as u8
        };
        let caption: Vec<&str> = names.iter().map(|names| names[i].as_str()).collect();
        (numbers.iter().enumerate().map(byte).collect(), caption.join("+"))
    };
    Ok(numbers.chunks_exact(c * h * w).enumerate().map(picture).collect())
}
