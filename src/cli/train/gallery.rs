//! Test images in the terminal.

use crate::cli::picture::{Picture, across, strip};
use crate::cli::weights::Trained;
use crate::cli::{classify, out};
use std::ops::Range;
use wgrad::Result;
use wgrad::data::{Dataset, Part};
use wgrad::gpu::Gpu;
use wgrad::nn::Model;
use wgrad::plan::Half;
use wgrad::train::Report;

/// A few test images with what the network takes them for, and some of its mistakes.
pub fn print(gpu: &Gpu, model: &Model, dataset: &Dataset, report: &Report) -> Result<()> {
    let input = model.input_for(dataset.train.shape);
    let dataset = dataset.clone().fit(input)?;
    let (mean, std, classes) = (dataset.mean.clone(), dataset.std.clone(), dataset.classes.clone());
    let tensors = report.last.tensors.clone();
    let mut network = Trained { model: model.clone(), tensors, input, classes, mean, std, half: Half::Never };
    let test = &dataset.test;
    let read = |places: Range<usize>| Ok(dataset.choose(Part::Test, &places.collect::<Vec<_>>())?.pixels);
    let logits = classify::logits(gpu, &mut network, test.len(), read, 64, |_| ())?;
    let found: Vec<usize> = logits.iter().map(|logits| classify::predicted(logits)).collect();
    let truth = |index: usize| test.labels[index] as usize;
    let caption = |&index: &usize| {
        let right = found[index] == truth(index);
        let name = &dataset.classes[found[index]];
        let text =
            if right { format!("{name} ✓") } else { format!("{name} ✗ is {}", dataset.classes[truth(index)]) };
        (text, right)
    };
    let pictures = |places: &[usize]| -> Result<String> {
        let images = dataset.choose(Part::Test, places)?;
        let picture = |(row, place): (usize, &usize)| {
            let (caption, right) = caption(place);
            Picture { pixels: images.image(row), shape: input, caption, right: Some(right) }
        };
        Ok(strip(&places.iter().enumerate().map(picture).collect::<Vec<_>>()).to_string())
    };
    let count = across();
    let spread: Vec<usize> = (0..count.min(test.len())).map(|index| index * test.len() / count).collect();
    out::print(format_args!("\ntest images, and what it takes them for:\n{}", pictures(&spread)?))?;
    let wrong: Vec<usize> = (0..test.len()).filter(|&index| found[index] != truth(index)).collect();
    if !wrong.is_empty() {
        let shown = &wrong[..count.min(wrong.len())];
        let some = if shown.len() < wrong.len() { format!("{} of ", shown.len()) } else { String::new() };
        out::print(format_args!("\n{some}its {}:\n{}", out::counted(wrong.len() as u64, "mistake"), pictures(shown)?))?;
    }
    out::print("")
}
