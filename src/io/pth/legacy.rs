//! The layout before PyTorch 1.6, which many published files still have: after the magic number four pickles (version,
//! properties of the machine, the object, keys of the storages), then each storage's element count and bytes.

use super::pickle::{Node, Pickle};
use super::views::{Storages, readable, storage_type, tensors};
use crate::io::TensorFile;
use std::collections::BTreeMap;

/// The version that PyTorch has written since 0.1.10.
const VERSION: i64 = 1001;

pub(super) fn read(bytes: &[u8]) -> Result<TensorFile, String> {
    let mut rest = bytes;
    let mut pickle = |what: &str| {
        let pickle = Pickle::read(rest).map_err(|wrong| format!("{what}: {wrong}"))?;
        rest = &rest[pickle.length..];
        Ok::<_, String>(pickle)
    };
    let version = pickle("the version")?;
    if version.int(version.root) != Some(VERSION) {
        return Err("its version is not 1001".into());
    }
    let machine = pickle("the properties of the machine")?;
    if machine.flag("little_endian") == Some(false) {
        return Err("its numbers are big-endian: load and save it on a little-endian machine".into());
    }
    let object = pickle("the object")?;
    let keys = pickle("the keys of the storages")?;

    let sizes = element_sizes(&object)?;
    let mut storages = BTreeMap::new();
    for &key in keys.items(keys.root).ok_or("the keys of the storages are no list")? {
        let key = keys.text(key).ok_or("a storage's key is no text")?;
        let cut = || format!("storage {key:.200} is damaged or cut off");
        let (count, data) = rest.split_first_chunk().ok_or_else(cut)?;
        let &size = sizes.get(key).ok_or_else(|| format!("storage {key:.200} is of an unknown type"))?;
        let length = usize::try_from(i64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(size));
        let (data, after) = length.and_then(|length| data.split_at_checked(length)).ok_or_else(cut)?;
        storages.insert(key.to_string(), data);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the last storage: the file is damaged", rest.len()));
    }
    tensors(&object, &mut Legacy(storages), bytes.len())
}

/// Bytes per element of each storage that the object refers to.
fn element_sizes<'a>(object: &Pickle<'a>) -> Result<BTreeMap<&'a str, usize>, String> {
    let mut sizes = BTreeMap::new();
    for node in object.nodes() {
        let Node::Persistent(id) = node else { continue };
        // What is none is found out when a tensor refers to it.
        let Some((kind, key, _)) = storage_type(object, *id) else { continue };
        let size = match (readable(kind), kind) {
            (Some(dtype), _) => dtype.bitsize() / 8,
            (_, "LongStorage" | "ComplexFloatStorage") => 8,
            (_, "ComplexDoubleStorage") => 16,
            (_, "IntStorage" | "QInt32Storage") => 4,
            (_, "ShortStorage") => 2,
            (
                _,
                "CharStorage" | "ByteStorage" | "BoolStorage" | "UntypedStorage" | "QInt8Storage" | "QUInt8Storage",
            ) => 1,
            _ => continue,
        };
        if sizes.insert(key, size).is_some_and(|other| other != size) {
            return Err(format!("storage {key:.200} is of two types"));
        }
    }
    Ok(sizes)
}

struct Legacy<'a>(BTreeMap<String, &'a [u8]>);

impl<'a> Storages<'a> for Legacy<'a> {
    fn storage(&mut self, key: &str) -> Result<&'a [u8], String> {
        self.0.get(key).copied().ok_or_else(|| format!("there is no storage {key:.200}"))
    }
}
