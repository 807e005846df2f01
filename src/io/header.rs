//! The header of a safetensors file: its length (u64, little-endian), then JSON; the tensors' bytes follow end to end.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. The `safetensors` crate gives the entries' types and
//! writes them. Its own reader adds up file sizes unchecked and names no tensor in most errors, and its writer leaves
//! the order of metadata to a hash map, so reading, and the metadata, are done here.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::Value;

use crate::{Error, Result};

/// The format's own limit.
const MAX_HEADER: u64 = 100_000_000;

const METADATA: &str = "__metadata__";

pub(super) type Strings = BTreeMap<String, String>;

/// Tensors in the order of their bytes, which begin at `start` of the file and fill the rest of it.
pub(super) struct Header {
    pub metadata: Strings,
    pub tensors: Vec<(String, TensorInfo)>,
    pub start: usize,
}

/// Whether a tensor may have this name.
pub(super) fn is_name(name: &str) -> bool {
    name != METADATA
}

pub(super) fn parse(path: &Path, file: &[u8]) -> Result<Header> {
    let wrong = |message: String| Error::format(path, message);
    let Some((length, rest)) = file.split_first_chunk() else {
        return Err(wrong(format!("{} bytes are too few for a safetensors file, which has 8 and more", file.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(wrong(format!(
            "header length {length} at offset 0 is above {MAX_HEADER}: this is no safetensors file"
        )));
    }
    let Some((json, data)) = rest.split_at_checked(length as usize) else {
        return Err(wrong(format!(
            "expected a header of {length} bytes at offset 8, but the file ends at offset {}: \
             it is cut off, or no safetensors file",
            file.len()
        )));
    };
    let mut entries: BTreeMap<String, Value> = serde_json::from_slice(json)
        .map_err(|e| wrong(format!("expected a JSON object at offset 8: {e}; this is no safetensors file")))?;
    let metadata = entries.remove(METADATA).map(serde_json::from_value::<Option<Strings>>).transpose();
    let metadata = metadata.map_err(|e| wrong(format!("{METADATA} must hold strings only: {e}")))?;

    let mut tensors = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let info: TensorInfo =
            serde_json::from_value(entry).map_err(|e| wrong(format!("header entry of tensor `{name}`: {e}")))?;
        tensors.push((name, info));
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let start = file.len() - data.len();
    check_layout(&tensors, data.len()).map_err(|what| {
        wrong(format!("{what} (offsets count from {start}, after the header); the file is damaged, or cut off"))
    })?;
    Ok(Header { metadata: metadata.flatten().unwrap_or_default(), tensors, start })
}

/// Tensors must lie end to end, each as long as its shape and type say, and fill `length` bytes.
fn check_layout(tensors: &[(String, TensorInfo)], length: usize) -> Result<(), String> {
    let mut end = 0;
    for (name, TensorInfo { dtype, shape, data_offsets: (from, to) }) in tensors {
        if *from != end {
            return Err(format!("tensor `{name}` begins at offset {from}, expected {end}, where the one before ends"));
        }
        let bits = shape.iter().try_fold(dtype.bitsize(), |product, &dim| product.checked_mul(dim));
        let bytes = bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8);
        if bytes.is_none() || to.checked_sub(*from) != bytes {
            return Err(format!("tensor `{name}` of {dtype} {shape:?} cannot be the bytes from offset {from} to {to}"));
        }
        end = *to;
    }
    if end != length {
        return Err(format!("the header describes {end} bytes of tensors, but {length} follow it"));
    }
    Ok(())
}

/// Length and header; the same bytes for the same content, unlike the crate's, whose metadata are in a hash map.
pub(super) fn write(metadata: &Strings, tensors: Vec<(String, TensorInfo)>) -> Result<Vec<u8>> {
    let wrong = |e: &dyn std::fmt::Display| Error::usage(format!("these tensors cannot be a safetensors file: {e}"));
    let tensors = Metadata::new(None, tensors).map_err(|e| wrong(&e))?;
    let mut json = serde_json::to_string(&tensors).map_err(|e| wrong(&e))?;
    if !metadata.is_empty() {
        let strings = serde_json::to_string(metadata).map_err(|e| wrong(&e))?;
        let comma = if json == "{}" { "" } else { "," };
        json.insert_str(1, &format!("\"{METADATA}\":{strings}{comma}"));
    }
    // Data begins at a multiple of 8, as the format asks.
    let length = json.len().next_multiple_of(8);
    let mut bytes = (length as u64).to_le_bytes().to_vec();
    bytes.extend(json.bytes());
    bytes.resize(8 + length, b' ');
    Ok(bytes)
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
