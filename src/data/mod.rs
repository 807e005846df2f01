//! Data sets: labelled 8-bit images, in host memory or streamed from where they are.
//!
//! Everything here stays as the files have it, bytes in file order; scaling to 0..1, normalisation, shuffling and
//! augmentation belong to whoever feeds the batches.

#[cfg(feature = "datasets")]
pub(crate) mod cifar;
mod dataset;
mod digits;
#[cfg(feature = "images")]
pub(crate) mod folder;
#[cfg(feature = "datasets")]
pub(crate) mod idx;
mod images;
#[cfg(feature = "datasets")]
mod mnist;
mod open;
mod parallel;
mod resize;
mod samples;

#[cfg(feature = "datasets")]
pub use cifar::{cifar10, cifar100};
pub use dataset::Dataset;
pub use digits::{digits, digits_at, digits_in_order};
#[cfg(feature = "images")]
pub use folder::folder;
pub use images::Images;
#[cfg(feature = "datasets")]
pub use mnist::mnist;
pub use open::{Need, Reading, SPECS, open, open_with};
pub use samples::{Part, Samples};

#[cfg(any(feature = "datasets", feature = "images"))]
use dataset::Scale;
