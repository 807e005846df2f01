//! Data sets: labelled 8-bit images in host memory.
//!
//! Everything here stays as the files have it, bytes in file order; scaling to 0..1, normalisation, shuffling and
//! augmentation belong to whoever feeds the batches.

mod dataset;
mod digits;
#[cfg(feature = "datasets")]
pub(crate) mod idx;
mod images;
#[cfg(feature = "datasets")]
mod mnist;

pub use dataset::Dataset;
pub use digits::{digits, digits_at, digits_in_order};
pub use images::Images;
#[cfg(feature = "datasets")]
pub use mnist::mnist;

use crate::{Error, Result};

/// What [`open`] understands, for error texts and help.
pub const SPECS: &str = "`digits` (embedded) or `mnist:DIR` (a folder with the four IDX files)";

/// Opens the data set that `spec` names: `digits`, or `mnist:DIR`.
///
/// # Errors
///
/// [`Error::Usage`] for an unknown name, or one that this build leaves out; what reading the files gives otherwise.
pub fn open(spec: &str) -> Result<Dataset> {
    match spec.split_once(':').unwrap_or((spec, "")) {
        ("digits", "") => Ok(digits()),
        ("digits", _) => Err(Error::usage(format!("data set `{spec}`: `digits` is embedded and takes no folder"))),
        ("mnist", "") => Err(Error::usage("data set `mnist` needs its folder: write `mnist:DIR`")),
        ("mnist", dir) => open_mnist(dir),
        _ => Err(Error::usage(format!("unknown data set `{spec}`; there is {SPECS}"))),
    }
}

#[cfg(feature = "datasets")]
fn open_mnist(dir: &str) -> Result<Dataset> {
    mnist(dir)
}

#[cfg(not(feature = "datasets"))]
fn open_mnist(dir: &str) -> Result<Dataset> {
    Err(Error::usage(format!(
        "data set `mnist:{dir}`: this build reads no files; build with `--features datasets`, or use `digits`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_open_and_bad_names_say_what_there_is() {
        assert_eq!(open("digits").unwrap().name, "digits");
        for (spec, says) in [
            ("", "mnist:DIR"),
            ("imagenet", "`digits` (embedded)"),
            ("mnist", "`mnist:DIR`"),
            ("mnist:", "`mnist:DIR`"),
            ("digits:/tmp", "no folder"),
        ] {
            let error = open(spec).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{spec}: {error}");
            assert!(error.to_string().contains(says), "{spec}: {error}");
        }
        let missing = open("mnist:/no/such/folder").unwrap_err();
        let wanted = if cfg!(feature = "datasets") { "/no/such/folder: cannot read" } else { "--features datasets" };
        assert!(missing.to_string().contains(wanted), "{missing}");
    }
}
