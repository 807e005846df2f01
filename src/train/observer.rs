//! What a run tells those who watch it.

use super::Checkpoint;
use crate::Result;
use crate::io::Loaded;
use crate::plan::{Plan, Role};
use std::collections::BTreeMap;

/// A run that is about to begin or to go on.
pub struct Start<'a> {
    /// The plan of a training step.
    pub plan: &'a Plan,
    /// Bytes of every buffer of the run.
    pub buffers: &'a BTreeMap<Role, u64>,
    /// What came out of the file of first weights, if there is one.
    pub loaded: Option<&'a Loaded>,
    /// Steps that were done before.
    pub done: u64,
    /// Steps at its end.
    pub total: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
}

/// A finished step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMetrics {
    /// Counted from 1.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u64,
    /// Mean over the batch, before the step's update.
    pub loss: f32,
    /// Share of the batch that was right, before the step's update.
    pub accuracy: f64,
    /// The learning rate of its update.
    pub lr: f64,
    /// Samples per second since the epoch began.
    pub images_per_second: f64,
}

/// A pass over the test samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvalMetrics {
    /// Steps done before it.
    pub step: u64,
    /// The epoch of the last step, counted from 1.
    pub epoch: u64,
    /// Mean over all samples.
    pub loss: f64,
    /// Share of samples that were right.
    pub accuracy: f64,
    /// The learning rate of the last step.
    pub lr: f64,
    /// Samples per second.
    pub images_per_second: f64,
    /// Whether no epoch before was as accurate.
    pub best: bool,
}

/// Watches a run; every method has a default that does nothing.
pub trait Observer {
    /// The run begins.
    fn start(&mut self, _start: &Start) -> Result<()> {
        Ok(())
    }

    /// Steps are done; called in order, several at a time.
    fn steps(&mut self, _steps: &[StepMetrics]) -> Result<()> {
        Ok(())
    }

    /// The test samples were evaluated.
    fn evaluated(&mut self, _metrics: &EvalMetrics) -> Result<()> {
        Ok(())
    }

    /// The state of the run after the steps and evaluations told so far.
    fn checkpoint(&mut self, _checkpoint: &Checkpoint, _best: bool) -> Result<()> {
        Ok(())
    }

    /// Where the last checkpoint is, for the message of a run that failed.
    fn kept(&self) -> Option<String> {
        None
    }
}

/// Observers that are wanted back after the run.
impl<O: Observer + ?Sized> Observer for &mut O {
    fn start(&mut self, start: &Start) -> Result<()> {
        (**self).start(start)
    }

    fn steps(&mut self, steps: &[StepMetrics]) -> Result<()> {
        (**self).steps(steps)
    }

    fn evaluated(&mut self, metrics: &EvalMetrics) -> Result<()> {
        (**self).evaluated(metrics)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint, best: bool) -> Result<()> {
        (**self).checkpoint(checkpoint, best)
    }

    fn kept(&self) -> Option<String> {
        (**self).kept()
    }
}
