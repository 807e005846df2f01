//! Named tensors and a few strings in one file: weights, and what a run needs to go on.
//!
//! Written as safetensors; read from that or, with feature `pth`, from PyTorch's own files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

use super::{header, pth, write_atomic};
use crate::{Error, Result};

/// A tensor in host memory, row-major.
#[derive(Clone, PartialEq)]
pub struct HostTensor {
    /// The size of each dimension; none for a scalar.
    pub shape: Vec<usize>,
    /// As many values as the shape says.
    pub data: Vec<f32>,
}

impl std::fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tensor of {:?}", self.shape)
    }
}

/// A file of weights in memory: tensors of f32, and strings.
///
/// F16, BF16 and F64 become f32 when read. Tensors of other types (PyTorch's `num_batches_tracked` is I64) are known by
/// name and refused when asked for; they are not written again.
///
/// Safetensors files are read and written. With feature `pth`, what `torch.save` makes of a state_dict is read too
/// (`.pth`, `.pt`, `.bin`, of any version since 2018), nothing in it being executed. Of a checkpoint, a dictionary that
/// holds more than the weights, the part under `state_dict`, `model_state_dict`, `model`, `net`, `network`, `module`,
/// `params` or `weights` is taken. Prefixes that wrappers put before all names are dropped: `module.` (DataParallel) and
/// `_orig_mod.` (torch.compile).
#[derive(Clone, Debug, Default)]
pub struct TensorFile {
    /// Anything that is not a tensor; numbers as decimal strings, see [`parse`](Self::parse).
    pub metadata: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, HostTensor>,
    pub(super) others: BTreeMap<String, String>,
    pub(super) path: PathBuf,
}

impl TensorFile {
    /// A file without content, for [`insert`](Self::insert) and [`write`](Self::write).
    pub fn new() -> Self {
        Self { path: "(in memory)".into(), ..Self::default() }
    }

    /// Where it was read.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the tensors whose names begin with `prefix` take the place of those that are called what follows it.
    pub(crate) fn promote(&mut self, prefix: &str) {
        for (name, tensor) in std::mem::take(&mut self.tensors) {
            match name.strip_prefix(prefix) {
                // Names come in order, but the prefix may stand before or behind what it replaces.
                Some(plain) => {
                    self.tensors.insert(plain.into(), tensor);
                }
                None => {
                    self.tensors.entry(name).or_insert(tensor);
                }
            }
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and those of [`from_bytes`](Self::from_bytes).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
        Self::from_bytes(path, &bytes)
    }

    /// Reads a file's content; `path` is for the error texts.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with offset or tensor, where the content is no file of tensors or contradicts itself.
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref();
        if pth::is_ours(bytes) {
            return pth::read(path, bytes);
        }
        let header = header::parse(path, bytes)?;
        let mut file = Self { metadata: header.metadata, path: path.into(), ..Self::default() };
        for (name, TensorInfo { dtype, shape, data_offsets: (from, to) }) in header.tensors {
            match to_f32(dtype, &bytes[header.start + from..header.start + to]) {
                Some(data) => drop(file.tensors.insert(name, HostTensor { shape, data })),
                None => drop(file.others.insert(name, dtype.to_string())),
            }
        }
        Ok(file)
    }

    /// Writes the file, whole or not at all; the same content gives the same bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; an old file at `path` is then untouched.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomic(path, &self.to_bytes()?)
    }

    /// The file's content: metadata and tensors sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where the sizes overflow.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut end = 0;
        let place = |(name, tensor): (&String, &HostTensor)| {
            let from = end;
            end += 4 * tensor.data.len();
            (name.clone(), TensorInfo { dtype: Dtype::F32, shape: tensor.shape.clone(), data_offsets: (from, end) })
        };
        let infos = self.tensors.iter().map(place).collect();
        let mut bytes = header::write(&self.metadata, infos)?;
        bytes.reserve_exact(end);
        for tensor in self.tensors.values() {
            bytes.extend(tensor.data.iter().flat_map(|value| value.to_le_bytes()));
        }
        Ok(bytes)
    }

    /// Adds a tensor, or replaces that of the same name.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where shape and data disagree, or for the one name that the format keeps for itself.
    pub fn insert(&mut self, name: impl Into<String>, tensor: HostTensor) -> Result<()> {
        let name = name.into();
        let HostTensor { shape, data } = &tensor;
        if shape.iter().try_fold(1, |product: usize, &dim| product.checked_mul(dim)) != Some(data.len()) {
            return Err(Error::usage(format!("tensor `{name}`: {} values do not make {shape:?}", data.len())));
        }
        if !header::is_name(&name) {
            return Err(Error::usage(format!("no tensor can be named `{name}` in a safetensors file; rename it")));
        }
        self.others.remove(&name);
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// The tensor of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where there is none, or one of a type that is not read.
    pub fn get(&self, name: &str) -> Result<&HostTensor> {
        self.tensors.get(name).ok_or_else(|| {
            Error::format(
                &self.path,
                match self.others.get(name) {
                    Some(dtype) => format!("tensor `{name}` is {dtype}, expected F32, F16, BF16 or F64: convert it"),
                    None => format!("there is no tensor `{name}`; there are {}", super::take::list(self.names())),
                },
            )
        })
    }

    /// The names of the tensors that can be had, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Names and tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HostTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Names and types of the tensors that are there but not read, sorted by name.
    pub fn unread(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().map(|(name, dtype)| (name.as_str(), dtype.as_str()))
    }

    /// A number, or anything else that is written as a string, from the metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where `key` is missing or its string is not a `T`.
    pub fn parse<T: FromStr>(&self, key: &str) -> Result<T> {
        let wrong = |what| Error::format(&self.path, format!("metadata `{key}`: {what}; was it written by wgrad?"));
        let text = self.metadata.get(key).ok_or_else(|| wrong("missing".to_string()))?;
        text.parse().map_err(|_| wrong(format!("`{text}` is not a {}", std::any::type_name::<T>())))
    }
}

/// Little-endian values as f32, rounded to nearest; `None` for types that a network's weights do not have.
pub(super) fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "tensors_tests.rs"]
pub(super) mod tests;
