//! Train convolutional networks on any GPU that wgpu reaches: Vulkan, Metal, DX12, GL, and WebGPU in a browser.
//!
//! ```
//! use wgrad::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let gpu = Gpu::new()?; // the best adapter; Gpu::from_wgpu takes a host application's device
//! let digits = data::digits(); // real handwriting, inside the crate
//! let net = models::lenet5(10);
//! println!("{}", net.summary([1, 28, 28])?); // layer, shape, parameters, MACs, bytes
//!
//! let report = Trainer::new(&gpu, net)
//!     .optimizer(Adam::new(2e-3))
//!     .batch_size(32)
//!     .epochs(3)
//!     .fit(&digits)?;
//! println!("{:.1} % of unseen digits are read correctly", 100.0 * report.accuracy());
//! assert!(report.accuracy() > 0.8);
//! # Ok(())
//! # }
//! ```
//!
//! # The street
//!
//! Each stage is a pure function from one data structure to the next, and every one of them can be printed:
//!
//! ```text
//! nn        what a network is: modules with named parameters
//!  | trace with shapes
//! graph     operators on symbolic tensors, shape-checked
//!  | differentiate
//! graph     with gradients
//!  | fuse, choose kernels, schedule, place buffers
//! plan      dispatches, bindings, memory map
//!  | instantiate on a device
//! gpu       pipelines, buffers, submits, readback
//! ```
//!
//! [`train`], [`data`] and [`io`] stand beside it and use it; [`mod@reference`] computes any graph in f64 on the processor,
//! and [`selftest`] holds an adapter against it.

#![warn(missing_docs)]

mod clock;
pub mod data;
mod error;
#[cfg(all(fuzzing, feature = "cli"))]
pub mod fuzzing;
pub mod gpu;
pub mod graph;
pub mod io;
pub mod kernels;
pub mod nn;
pub mod plan;
pub mod reference;
pub mod selftest;
pub mod train;
pub mod tune;

pub use error::{Error, Result};

/// What most programs use.
pub mod prelude {
    pub use crate::data::{self, Dataset};
    pub use crate::gpu::{Gpu, GpuOptions};
    pub use crate::graph::Graph;
    pub use crate::nn::{self, Model, Module, models};
    pub use crate::train::{Adam, AdamW, Report, RmsProp, Schedule, Settings, Sgd, Trainer};
    pub use crate::{Error, Result};
}

/// The README's example compiles.
#[cfg(all(doctest, feature = "reports"))]
#[doc = include_str!("../README.md")]
struct Readme;
