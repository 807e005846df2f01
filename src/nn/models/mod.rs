//! The networks that come with the crate; one file per family.

mod lenet;

pub use lenet::{lenet5, lenet5_1998, tutorial};

use super::Model;
use crate::{Error, Result};

/// Makes a model for a number of classes.
pub type Build = fn(usize) -> Model;

/// Names and builders of all models.
pub const MODELS: &[(&str, Build)] = &[("lenet5", lenet5), ("lenet5-1998", lenet5_1998), ("tutorial", tutorial)];

/// The model of this name.
pub fn by_name(name: &str, classes: usize) -> Result<Model> {
    match MODELS.iter().find(|(other, _)| *other == name) {
        Some((_, build)) => Ok(build(classes)),
        None => {
            let names: Vec<&str> = MODELS.iter().map(|(name, _)| *name).collect();
            Err(Error::usage(format!("there is no model {name:?}; there are {}", names.join(", "))))
        }
    }
}
