//! What `torch.save` writes: a zip archive of a pickle and of storages, and before PyTorch 1.6 the same end to end.
//!
//! Layout: <https://docs.pytorch.org/docs/stable/notes/serialization.html> and `torch/serialization.py`.

#[cfg(feature = "pth")]
mod archive;
#[cfg(feature = "pth")]
mod legacy;
#[cfg(feature = "pth")]
mod pickle;
#[cfg(feature = "pth")]
mod views;

use super::TensorFile;
use crate::{Error, Result};
use std::path::Path;

/// How the older layout begins: a pickle of PyTorch's magic number.
const LEGACY: [u8; 15] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Whether the file is a zip archive or a pickle. Files in the safetensors format begin with their header's length in 8
/// bytes, of which the upper ones are 0.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    is_zip(bytes) || matches!(bytes, [0x80, 2..=5, _, _, upper @ ..] if upper.len() >= 4 && !upper.starts_with(&[0; 4]))
}

fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Reads the tensors of a file that [`is_ours`].
#[cfg(feature = "pth")]
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<TensorFile> {
    let read = match (is_zip(bytes), bytes.strip_prefix(&LEGACY)) {
        (true, _) => archive::read(bytes),
        (_, Some(rest)) => legacy::read(rest),
        _ => Err("this is a pickle, but not one that torch.save wrote".into()),
    };
    let wrong = |what: String| {
        Error::format(path, format!("{what}; files of torch.save(model.state_dict(), FILE) and safetensors are read"))
    };
    let mut file = read.map_err(wrong)?;
    file.path = path.into();
    Ok(file)
}

#[cfg(not(feature = "pth"))]
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<TensorFile> {
    let kind = if is_zip(bytes) || bytes.starts_with(&LEGACY) { "a file of torch.save" } else { "a pickle" };
    Err(Error::format(
        path,
        format!("{kind}, which this build does not read: build with `--features pth`, or convert it"),
    ))
}

#[cfg(all(test, feature = "pth"))]
#[path = "pth_tests.rs"]
mod tests;
