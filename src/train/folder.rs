//! The folder that a run leaves: `config.toml`, `metrics.csv`, `checkpoint.safetensors`, `best.safetensors`,
//! `curves.svg` and `confusion.svg`.
//!
//! What counts is on the disk before anything that depends on it: metrics before the checkpoint that follows them, the
//! best weights before the checkpoint that knows their accuracy. A run that is killed anywhere resumes from its last
//! checkpoint; rows of `metrics.csv` behind it are cut off then.

mod config;
mod metrics;
pub(crate) mod rows;

pub use config::Config;
pub(crate) use rows::Row;

use super::{Checkpoint, EvalMetrics, Observer, Report, Start, StepMetrics, plots};
use crate::{Error, Result};
use metrics::Metrics;
use rows::Done;
use std::path::{Path, PathBuf};

/// Everything that a run may leave.
const FILES: [&str; 6] =
    ["config.toml", "metrics.csv", "checkpoint.safetensors", "best.safetensors", "curves.svg", "confusion.svg"];

/// Keeps the folder of a run up to date; [`Trainer::observe`](super::Trainer::observe) it.
pub struct RunFolder {
    dir: PathBuf,
    /// What `config.toml` will say from the run's begin on.
    pub config: Config,
    from: Option<Done>,
    metrics: Option<Metrics>,
}

impl RunFolder {
    /// A new run in `dir`; nothing is written before the run begins.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if there is a run in `dir` already.
    pub fn create(dir: impl Into<PathBuf>, config: Config) -> Result<Self> {
        let dir = dir.into();
        match FILES.iter().find(|name| Self::holds(&dir, name)) {
            None => Ok(Self { dir, config, from: None, metrics: None }),
            Some(name) => Err(Error::usage(format!(
                "{} holds a run already ({name}); continue it with --resume, choose another --out, or drop it with --overwrite",
                dir.display()
            ))),
        }
    }

    /// A new run in `dir` that takes the place of the one in there, if any.
    pub fn overwrite(dir: impl Into<PathBuf>, config: Config) -> Self {
        Self { dir: dir.into(), config, from: None, metrics: None }
    }

    /// The run in `dir`, which goes on with `config`, and its checkpoint if it came to one.
    pub fn resume(dir: impl Into<PathBuf>, config: Config) -> Result<(Self, Option<Checkpoint>)> {
        let dir = dir.into();
        let path = dir.join("checkpoint.safetensors");
        let checkpoint = if path.exists() { Some(Checkpoint::read(&path)?) } else { None };
        let from =
            checkpoint.as_ref().map(|checkpoint| Done { step: checkpoint.step, evaluated: checkpoint.evaluated });
        Ok((Self { dir, config, from, metrics: None }, checkpoint))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The names of the files that are there.
    pub fn files(&self) -> Vec<&'static str> {
        FILES.into_iter().filter(|name| Self::holds(&self.dir, name)).collect()
    }

    /// Draws `curves.svg` and `confusion.svg` after the run's end.
    pub fn finish(&mut self, report: &Report) -> Result<()> {
        self.metrics()?.flush()?;
        let rows = rows::read(&self.dir.join("metrics.csv"))?;
        draw(&self.dir, report, &rows)
    }

    fn holds(dir: &Path, name: &str) -> bool {
        dir.join(name).symlink_metadata().is_ok()
    }

    /// The open metrics file; a run that was not told of its start begins there.
    fn metrics(&mut self) -> Result<&mut Metrics> {
        let metrics = match self.metrics.take() {
            Some(metrics) => metrics,
            None => Metrics::create(self.dir.join("metrics.csv"))?,
        };
        Ok(self.metrics.insert(metrics))
    }
}

impl Observer for RunFolder {
    fn start(&mut self, _: &Start) -> Result<()> {
        std::fs::create_dir_all(&self.dir).map_err(|error| Error::io(&self.dir, "create", error))?;
        let path = self.dir.join("metrics.csv");
        match self.from {
            Some(done) => self.metrics = Some(Metrics::resume(path, done)?),
            None => {
                for name in FILES.iter().filter(|name| Self::holds(&self.dir, name) && **name != "metrics.csv") {
                    let path = self.dir.join(name);
                    std::fs::remove_file(&path).map_err(|error| Error::io(&path, "remove", error))?;
                }
                self.metrics = Some(Metrics::create(path)?);
            }
        }
        self.config.write(&self.dir)
    }

    fn steps(&mut self, steps: &[StepMetrics]) -> Result<()> {
        let metrics = self.metrics()?;
        steps.iter().try_for_each(|step| metrics.step(step))
    }

    fn evaluated(&mut self, evaluation: &EvalMetrics) -> Result<()> {
        self.metrics()?.evaluation(evaluation)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint, best: bool) -> Result<()> {
        self.metrics()?.flush()?;
        if best {
            checkpoint.weights()?.write(self.dir.join("best.safetensors"))?;
        }
        checkpoint.write(&self.dir.join("checkpoint.safetensors"))
    }

    fn kept(&self) -> Option<String> {
        let path = self.dir.join("checkpoint.safetensors");
        path.exists().then(|| path.display().to_string())
    }
}

impl Report {
    /// Writes `metrics.csv`, `checkpoint.safetensors`, `best.safetensors`, `curves.svg` and `confusion.svg` into `dir`,
    /// in place of those that are there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        metrics::write_all(&dir.join("metrics.csv"), &self.steps, &self.evaluations)?;
        if let Some(best) = &self.best {
            best.weights()?.write(dir.join("best.safetensors"))?;
        }
        self.last.write(&dir.join("checkpoint.safetensors"))?;
        draw(dir, self, &rows::of_run(&self.steps, &self.evaluations))
    }
}

fn draw(dir: &Path, report: &Report, rows: &[Row]) -> Result<()> {
    let entry = |key: &str| report.last.tensors.metadata.get(key).cloned().unwrap_or_default();
    let title = format!("{} on {}", entry("model"), entry("data"));
    plots::curves(&dir.join("curves.svg"), &title, rows)?;
    match report.confusion.is_empty() {
        true => Ok(()),
        false => plots::confusion(&dir.join("confusion.svg"), &title, &report.classes, &report.confusion),
    }
}
