mod clock;
pub mod data;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod io;
pub mod kernels;
pub mod nn;
pub mod plan;
pub mod reference;
pub mod selftest;
pub mod train;
pub use error::{Error, Result};

/// What most programs use.
pub mod prelude {
    pub use crate::data::{self, Dataset};
    pub use crate::gpu::{Gpu, GpuOptions};
    pub use crate::graph::Graph;
    pub use crate::nn::{self, Model, Module, models};
    pub use crate::train::{Adam, AdamW, Report, Schedule, Settings, Sgd, Trainer};
    pub use crate::{Error, Result};
}
