//! What a run says at its end.

use super::progress::{Epoch, Progress};
use super::{gallery, place};
use crate::cli::out;
use serde_json::{Value, json};
use std::path::Path;
use wgrad::Result;
use wgrad::data::Dataset;
use wgrad::gpu::Gpu;
use wgrad::nn::Model;
use wgrad::train::{Report, RunFolder};

/// The most rows of the table of epochs.
const ROWS: usize = 24;

pub fn print(
    gpu: &Gpu,
    model: &Model,
    dataset: &Dataset,
    report: &Report,
    progress: &Progress,
    folder: &RunFolder,
) -> Result<()> {
    if !progress.done.is_empty() {
        out::print_table(&table(&progress.done))?;
        gallery::print(gpu, model, dataset, report)?;
        out::print(accuracy(report, progress))?;
    }
    let first = progress
        .first_step
        .map_or(String::new(), |time| format!(", the first step after {}", out::duration(time.as_secs_f64())));
    out::print(format_args!(
        "{} of training in {}{first}",
        out::counted(report.steps.len() as u64, "step"),
        out::duration(progress.elapsed().as_secs_f64())
    ))?;
    if let Some((scale, skipped)) = report.last.loss_scale() {
        let all = out::counted(report.last.step, "step");
        out::print(format_args!("loss scale {scale}, {} of {all} skipped", out::count(skipped)))?;
    }
    let planned = match report.peak_memory == progress.planned {
        true => "as planned".to_string(),
        false => format!("planned were {}", out::count(progress.planned)),
    };
    out::print(format_args!("peak device memory {} bytes, {planned}", out::count(report.peak_memory)))?;
    let dir = folder.dir();
    let there = folder.files();
    out::print(format_args!("in {}: {}", dir.display(), there.join(", ")))?;
    if there.contains(&"best.safetensors") {
        let weights = place::quoted(&dir.join("best.safetensors"));
        out::print(format_args!(
            "next: wgrad eval --weights {weights} --data {}",
            place::quoted(Path::new(&folder.config.data))
        ))?;
    }
    Ok(())
}

fn table(epochs: &[Epoch]) -> comfy_table::Table {
    let mut table = out::table(&[">epoch", ">loss", ">test loss", ">test accuracy", ">images/s", ""]);
    let every = epochs.len().div_ceil(ROWS);
    for (index, epoch) in epochs.iter().enumerate() {
        let is_best = epoch.test.best && !epochs[index + 1..].iter().any(|later| later.test.best);
        if index % every != 0 && index + 1 != epochs.len() && !is_best {
            continue;
        }
        table.add_row([
            epoch.test.epoch.to_string(),
            format!("{:.4}", epoch.loss),
            format!("{:.4}", epoch.test.loss),
            format!("{:.2} %", 100.0 * epoch.test.accuracy),
            out::count(epoch.images_per_second as u64),
            if is_best { "best".into() } else { String::new() },
        ]);
    }
    table
}

fn accuracy(report: &Report, progress: &Progress) -> String {
    let best = progress.done.iter().rev().find(|epoch| epoch.test.best).map(|epoch| epoch.test);
    let last = format!("test accuracy {:.2} %", 100.0 * report.accuracy());
    match best {
        Some(best) if best.accuracy > report.accuracy() => {
            format!("{last}, at best {:.2} % after epoch {}", 100.0 * best.accuracy, best.epoch)
        }
        _ => last,
    }
}

/// The same for programs.
pub fn as_json(gpu: &Gpu, report: &Report, progress: &Progress, folder: &RunFolder) -> Value {
    let epoch = |epoch: &Epoch| {
        json!({
            "epoch": epoch.test.epoch, "step": epoch.test.step, "loss": epoch.loss, "test_loss": epoch.test.loss,
            "test_accuracy": epoch.test.accuracy, "images_per_second": epoch.images_per_second,
        })
    };
    json!({
        "adapter": gpu.describe(),
        "model": folder.config.model,
        "data": folder.config.data,
        "out": folder.dir().display().to_string(),
        "step": report.last.step,
        "interrupted": report.interrupted,
        "test_accuracy": report.evaluations.last().map(|test| test.accuracy),
        "best_test_accuracy": report.last.best,
        "seconds": progress.elapsed().as_secs_f64(),
        "seconds_to_first_step": progress.first_step.map(|time| time.as_secs_f64()),
        "planned_memory_bytes": progress.planned,
        "peak_memory_bytes": report.peak_memory,
        "loss_scale": report.last.loss_scale().map(|(scale, _)| scale),
        "skipped_steps": report.last.loss_scale().map(|(_, skipped)| skipped),
        "epochs": progress.done.iter().map(epoch).collect::<Vec<_>>(),
    })
}
