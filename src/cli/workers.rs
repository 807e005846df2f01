//! Whether Mesa's CPU driver, llvmpipe, hands the workgroups of a dispatch to threads.
//!
//! Waking them costs some 50 µs a dispatch; without them (`LP_NUM_THREADS=0`) a dispatch costs 1 µs and runs on one
//! processor. The driver reads the variable when it starts, so what counts is what the command line says, before anything
//! is planned: two operations for each of the network's multiplications, spread over its layers. Each layer is about one
//! dispatch forward and two backward, of as many operations each.

use super::Command;
use std::fmt;
use wgrad::nn::models;

/// Below so many operations in a layer's dispatch threads do not pay.
const LEAST: f64 = 1e6;
const VARIABLE: &str = "LP_NUM_THREADS";

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq)]
pub enum Workers {
    /// The environment says so.
    Given(String),
    /// None, for so many operations in a layer's dispatch.
    Inline(f64),
    /// As many as the driver likes, for so many operations.
    Threads(f64),
    /// The same, for a command that says nothing of the work.
    Unknown,
}

impl Workers {
    /// What suits `command`.
    pub(super) fn of(command: &Command) -> Self {
        if let Some(given) = std::env::var_os(VARIABLE) {
            return Self::Given(given.to_string_lossy().into_owned());
        }
        let largest =
            |names: &[String], batch| names.iter().map(|name| operations(name, batch)).reduce(larger).flatten();
        let operations = match command {
            Command::Train(options) if !options.resume => {
                let name = options.model.as_deref().unwrap_or("lenet5");
                // The smallest batch that is taken where none is named.
                operations(name, options.batch_size.unwrap_or(32))
            }
            Command::Bench(options) => largest(&options.models, options.batch),
            Command::Profile(options) => operations(&options.model, options.batch),
            Command::Tune(options) => largest(&options.models, options.batch),
            _ => None,
        };
        match operations {
            Some(operations) if operations < LEAST => Self::Inline(operations),
            Some(operations) => Self::Threads(operations),
            None => Self::Unknown,
        }
    }

    /// Tells the driver.
    ///
    /// # Safety
    ///
    /// No other thread may run, and no driver be loaded yet.
    pub(super) unsafe fn set(&self) {
        if let Self::Inline(_) = self {
            // SAFETY: nobody else reads or writes the environment meanwhile, as the caller promises.
            unsafe { std::env::set_var(VARIABLE, "0") };
        }
    }

    /// Whether this says anything about an adapter.
    pub fn concern(info: &wgpu::AdapterInfo) -> bool {
        info.name.contains("llvmpipe")
    }
}

/// `None` where one is not known.
fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a?.max(b?))
}

/// Operations in a layer's dispatch of `name` on so many images; `None` for a model that there is not.
fn operations(name: &str, batch: usize) -> Option<f64> {
    let model = models::by_name(name, 10).ok()?;
    let summary = model.summary(model.default_input()).ok()?;
    // The first row is the input.
    let layers = summary.rows.len().saturating_sub(1).max(1);
    Some(2.0 * summary.macs() as f64 * batch as f64 / layers as f64)
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_layer = |operations: &f64| format!("about {:.1} MFLOP per dispatch", operations / 1e6);
        match self {
            Self::Given(value) => write!(f, "{VARIABLE}={value} from the environment"),
            Self::Inline(operations) => {
                write!(f, "none ({VARIABLE}=0), for {}: waking threads would take longer", per_layer(operations))
            }
            Self::Threads(operations) => write!(f, "the driver's threads, for {}", per_layer(operations)),
            Self::Unknown => write!(
                f,
                "the driver's threads; none ({VARIABLE}=0) to train, bench, profile or tune a network of less than {} \
                 MFLOP per dispatch",
                LEAST / 1e6
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Arguments;
    use clap::Parser;

    fn of(line: &str) -> Workers {
        Workers::of(&Arguments::parse_from(line.split(' ')).command)
    }

    /// Measured: waking threads more than doubles LeNet-5's step at 1 image, makes little difference at 8, and pays at 16.
    #[test]
    fn small_work_is_done_without_threads() {
        if std::env::var_os(VARIABLE).is_some() {
            return;
        }
        for (line, inline) in [
            ("wgrad bench lenet5 --batch 1", true),
            ("wgrad bench lenet5 --batch 8", true),
            ("wgrad bench lenet5 --batch 16", false),
            ("wgrad bench lenet5 resnet18-cifar --batch 1", false),
            ("wgrad profile lenet5 --batch 8", true),
            ("wgrad tune lenet5 --batch 8", true),
            ("wgrad train --batch-size 8", true),
            ("wgrad train", false),
            ("wgrad train --model resnet50 --batch-size 1", false),
        ] {
            let workers = of(line);
            assert_eq!(matches!(workers, Workers::Inline(_)), inline, "{line}: {workers:?}");
        }
        // What does not exist is for the command to refuse; what is not known stays as it was.
        for line in ["wgrad bench nothing", "wgrad bench lenet5 nothing --batch 1", "wgrad devices"] {
            assert_eq!(of(line), Workers::Unknown, "{line}");
        }
        assert_eq!(of("wgrad train --resume --batch-size 1"), Workers::Unknown);
    }
}
