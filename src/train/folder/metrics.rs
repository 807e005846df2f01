//! Writing `metrics.csv`: one row per training step, and one per evaluation.

use super::rows::{Done, HEADER, failure, read_records};
use crate::io::write_atomic;
use crate::train::{EvalMetrics, StepMetrics};
use crate::{Error, Result};
use csv::Writer;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// The file, open for more rows.
pub(super) struct Metrics {
    path: PathBuf,
    writer: Writer<File>,
}

impl Metrics {
    /// A new file with nothing but its header.
    pub fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(|error| Error::io(&path, "write", error))?;
        let mut metrics = Self { writer: Writer::from_writer(file), path };
        metrics.write(HEADER.map(String::from))?;
        metrics.flush()?;
        Ok(metrics)
    }

    /// The file of a run that goes on behind what is `done`: later rows are cut off.
    pub fn resume(path: PathBuf, done: Done) -> Result<Self> {
        if !path.exists() {
            return Self::create(path);
        }
        let mut kept = Writer::from_writer(Vec::new());
        let good = kept.write_record(HEADER).is_ok();
        for (record, row) in read_records(&path)? {
            if row.precedes(done) {
                // Into memory: this cannot fail.
                let _ = kept.write_record(&record);
            }
        }
        let text = kept.into_inner().ok().filter(|_| good).unwrap_or_default();
        write_atomic(&path, &text)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|error| Error::io(&path, "write", error))?;
        Ok(Self { writer: Writer::from_writer(file), path })
    }

    pub fn step(&mut self, step: &StepMetrics) -> Result<()> {
        self.write(step_record(step))
    }

    pub fn evaluation(&mut self, evaluation: &EvalMetrics) -> Result<()> {
        self.write(evaluation_record(evaluation))
    }

    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| Error::io(&self.path, "write", error))
    }

    fn write(&mut self, record: [String; 7]) -> Result<()> {
        self.writer.write_record(record).map_err(|error| failure(&self.path, "write", error))
    }
}

fn step_record(step: &StepMetrics) -> [String; 7] {
    let StepMetrics { step, epoch, loss, accuracy, lr, images_per_second } = step;
    record(*step, *epoch, "train", loss.to_string(), [*accuracy, *lr, *images_per_second])
}

fn evaluation_record(evaluation: &EvalMetrics) -> [String; 7] {
    let EvalMetrics { step, epoch, loss, accuracy, lr, images_per_second, .. } = evaluation;
    record(*step, *epoch, "test", loss.to_string(), [*accuracy, *lr, *images_per_second])
}

/// Losses, accuracies and rates as short as they can be without losing a bit; speeds to a tenth.
fn record(step: u64, epoch: u64, split: &str, loss: String, [accuracy, lr, speed]: [f64; 3]) -> [String; 7] {
    let numbers = [accuracy.to_string(), lr.to_string(), format!("{speed:.1}")];
    let [accuracy, lr, speed] = numbers;
    [step.to_string(), epoch.to_string(), split.into(), loss, accuracy, lr, speed]
}

/// Writes the whole file of a run that is in memory, all or nothing.
pub(super) fn write_all(path: &Path, steps: &[StepMetrics], evaluations: &[EvalMetrics]) -> Result<()> {
    let steps = steps.iter().map(|step| ((step.step, false), step_record(step)));
    let evaluations = evaluations.iter().map(|evaluation| ((evaluation.step, true), evaluation_record(evaluation)));
    let mut records: Vec<_> = steps.chain(evaluations).collect();
    records.sort_by_key(|(order, _)| *order);
    let mut text = Writer::from_writer(Vec::new());
    let header = HEADER.map(String::from);
    for record in std::iter::once(&header).chain(records.iter().map(|(_, record)| record)) {
        text.write_record(record).map_err(|error| failure(path, "write", error))?;
    }
    write_atomic(path, &text.into_inner().map_err(|error| Error::io(path, "write", error.into_error()))?)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
