//! Ways to the readers of files that programs only reach with a path; compiled for `fuzz/` alone.

use crate::Result;
use crate::io::TensorFile;
use crate::nn::models;
use crate::train::{Config, Weights, folder::rows};
use std::path::Path;

/// Content of an IDX file of three dimensions.
pub fn idx(bytes: &[u8]) -> Result<([usize; 3], Vec<u8>)> {
    crate::data::idx::parse(Path::new("idx"), bytes)
}

/// Content of a packed one.
pub fn idx_gz(bytes: &[u8]) -> Result<([usize; 3], Vec<u8>)> {
    crate::data::idx::parse(Path::new("idx.gz"), flate2::read::MultiGzDecoder::new(bytes))
}

/// Content of a file of CIFAR-10, or of CIFAR-100: `[N,C,H,W]` pixels and labels.
pub fn cifar(fine: bool, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u32>)> {
    crate::data::cifar::content(fine, bytes).map(|images| (images.pixels, images.labels))
}

/// Content of a picture's file, brought to `shape`.
pub fn picture(bytes: &[u8], shape: [usize; 3]) -> Result<Vec<u8>> {
    crate::data::folder::content(bytes, shape)
}

/// Text of a `config.toml`.
pub fn config(text: &str) -> Result<Config> {
    Config::parse(Path::new("config.toml"), text)
}

/// Content of a `metrics.csv`: how many rows it has.
pub fn metrics(bytes: &[u8]) -> Result<usize> {
    rows::parse(Path::new("metrics.csv"), bytes).map(|rows| rows.len())
}

/// What a file of weights says of its network, up to the network's shapes.
pub fn weights(tensors: TensorFile) -> Result<usize> {
    let weights = Weights::new(Path::new("weights"), tensors)?;
    let model = models::by_name(&weights.model, weights.classes.len())?;
    Ok(model.trace(1, weights.input)?.graph.parameters().count())
}
