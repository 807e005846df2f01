//! What a finished run leaves in memory.

use super::{Checkpoint, EvalMetrics, StepMetrics};

/// A run's outcome.
#[derive(Clone, Debug)]
pub struct Report {
    /// One entry per step of this call.
    pub steps: Vec<StepMetrics>,
    /// One entry per evaluation of this call.
    pub evaluations: Vec<EvalMetrics>,
    /// The last evaluation: rows are true classes, columns predictions.
    pub confusion: Vec<Vec<u64>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The run's state at its end.
    pub last: Checkpoint,
    /// Its state after the epoch with the highest test accuracy, the earliest of equals.
    pub best: Option<Checkpoint>,
    /// Whether it was asked to stop before its end.
    pub interrupted: bool,
    /// Bytes that were allocated on the device at most.
    pub peak_memory: u64,
}

impl Report {
    /// The test accuracy at its end, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.evaluations.last().map_or(f64::NAN, |metrics| metrics.accuracy)
    }
}
