//! `metrics.csv`, read back.

use crate::train::{EvalMetrics, StepMetrics};
use crate::{Error, Result};
use csv::{ReaderBuilder, StringRecord};
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(super) const HEADER: [&str; 7] = ["step", "epoch", "split", "loss", "accuracy", "lr", "images_per_second"];

/// A row, read back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub step: u64,
    pub epoch: u64,
    /// `split` is `test`, not `train`.
    pub test: bool,
    pub loss: f64,
    pub accuracy: f64,
}

impl Row {
    fn parse(record: &StringRecord) -> Option<Self> {
        let test = match &record[2] {
            "train" => false,
            "test" => true,
            _ => return None,
        };
        let number = |column: usize| record[column].parse::<f64>().ok();
        let (step, epoch) = (record[0].parse().ok()?, record[1].parse().ok()?);
        Some(Self { step, epoch, test, loss: number(3)?, accuracy: number(4)? })
    }

    /// Whether a checkpoint was taken after it. An evaluation that ended a run before the end of an epoch is not part
    /// of the longer run that continues it.
    pub(super) fn precedes(&self, done: Done) -> bool {
        match self.test {
            true if self.step == done.step => self.epoch <= done.evaluated,
            _ => self.step <= done.step,
        }
    }
}

/// What a checkpoint knows of: steps, and evaluations at the end of epochs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub step: u64,
    pub evaluated: u64,
}

/// The rows of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    Ok(read_records(path)?.into_iter().map(|(_, row)| row).collect())
}

pub(super) fn read_records(path: &Path) -> Result<Vec<(StringRecord, Row)>> {
    // A device in its place may have no end.
    if !path.is_file() {
        return Err(Error::format(path, "not a regular file; remove it, or use another --out"));
    }
    let file = File::open(path).map_err(|error| Error::io(path, "read", error))?;
    parse(path, file)
}

pub(crate) fn parse(path: &Path, source: impl Read) -> Result<Vec<(StringRecord, Row)>> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(source);
    let header = reader.headers().map_err(|error| failure(path, "read", error))?;
    if header.iter().ne(HEADER) {
        let expected = HEADER.join(",");
        return Err(Error::format(
            path,
            format!("the first line is not {expected}; remove the file, or use another --out"),
        ));
    }
    let mut rows = Vec::new();
    for record in reader.into_records() {
        let record = record.map_err(|error| failure(path, "read", error))?;
        // The last line of a run that was killed may be a part of one.
        if record.len() != HEADER.len() {
            continue;
        }
        let row = Row::parse(&record).ok_or_else(|| {
            let line = record.position().map_or(0, |position| position.line());
            Error::format(path, format!("line {line} is no row of this file; remove the line, or use another --out"))
        })?;
        rows.push((record, row));
    }
    Ok(rows)
}

pub(super) fn failure(path: &Path, action: &'static str, error: csv::Error) -> Error {
    let message = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::io(path, action, error),
        _ => Error::format(path, message),
    }
}

/// The rows of a run that is in memory.
pub(super) fn of_run(steps: &[StepMetrics], evaluations: &[EvalMetrics]) -> Vec<Row> {
    let step =
        |s: &StepMetrics| Row { step: s.step, epoch: s.epoch, test: false, loss: s.loss.into(), accuracy: s.accuracy };
    let evaluation =
        |e: &EvalMetrics| Row { step: e.step, epoch: e.epoch, test: true, loss: e.loss, accuracy: e.accuracy };
    steps.iter().map(step).chain(evaluations.iter().map(evaluation)).collect()
}
