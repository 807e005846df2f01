//! Training: a model, a data set and settings become a report.
//!
//! ```text
//! Trainer  ->  Session (plans, memory and replays on a Gpu)  ->  Observers (progress, run folder)  ->  Report
//! ```
//!
//! Everything that decides about numbers is settled before the first step: weights, order of samples, learning rates.
//! The device only replays. Two runs with equal settings on one adapter yield equal bytes.

mod ahead;
mod checkpoint;
mod evaluation;
#[cfg(feature = "reports")]
pub(crate) mod folder;
mod initial;
mod objective;
mod observer;
mod optimizers;
mod order;
#[cfg(feature = "reports")]
mod plots;
mod report;
mod room;
mod run;
mod run_plan;
mod schedule;
mod session;
mod settings;
mod trainer;
mod window;

pub use checkpoint::{Checkpoint, Weights, read_weights};
pub use evaluation::Evaluation;
#[cfg(feature = "reports")]
pub use folder::{Config, RunFolder};
pub use initial::initial_state;
pub use objective::ClassWeights;
pub use observer::{EvalMetrics, Observer, Start, StepMetrics};
pub use optimizers::{Adam, AdamW, RmsProp, Sgd};
pub use order::epoch_order;
pub use report::Report;
pub use run_plan::{RunPlan, training_program};
pub use schedule::Schedule;
pub use session::{Session, StepRecord};
pub use settings::Settings;
pub use trainer::Trainer;
