//! Which objects of a pickle are tensors, and what of which storage they are.

use super::pickle::{Id, Node, Pickle};
use crate::io::tensors::to_f32;
use crate::io::{HostTensor, TensorFile};
use safetensors::Dtype;
use std::collections::BTreeMap;

/// Where checkpoints keep the weights, the likeliest first.
const PARTS: [&str; 8] = ["state_dict", "model_state_dict", "model", "net", "network", "module", "params", "weights"];

/// How deep they keep them.
const MAX_DEPTH: usize = 4;

/// What wrappers put before all names.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

const MAX_NAME: usize = 1000;
const MAX_DIMS: usize = 64;

/// Where the bytes of storages come from.
pub(super) trait Storages<'a> {
    fn storage(&mut self, key: &str) -> Result<&'a [u8], String>;
}

/// The tensors of the state_dict in `pickle`, out of a file of `length` bytes.
pub(super) fn tensors<'a>(
    pickle: &Pickle<'a>,
    storages: &mut impl Storages<'a>,
    length: usize,
) -> Result<TensorFile, String> {
    let entries = state_dict(pickle)?;
    let names: Vec<&str> = entries.keys().copied().collect();
    let wrapped = |prefix: &&str| names.iter().all(|name| name.len() > prefix.len() && name.starts_with(prefix));
    let prefix = WRAPPERS.into_iter().find(wrapped).unwrap_or_default();

    let mut file = TensorFile::new();
    let mut loaded = BTreeMap::new();
    // Tensors may share storages, but a small file may not become a large memory by it.
    let mut budget = length.saturating_mul(2).saturating_add(1 << 16);
    for (name, id) in entries {
        let short = &name[prefix.len()..];
        let wrong = |what: String| format!("tensor `{name}`: {what}");
        match view(pickle, id).map_err(wrong)? {
            View::Unread(kind) => drop(file.others.insert(short.into(), kind)),
            View::Of(part) => {
                let count = part.count().ok_or_else(|| wrong(format!("shape {:?} is too large", part.shape)))?;
                budget = budget.checked_sub(count).ok_or_else(|| {
                    wrong(format!(
                        "shape {:?} makes the tensors many times larger than the file; save each as .contiguous()",
                        part.shape
                    ))
                })?;
                let bytes = match loaded.get(part.key) {
                    Some(bytes) => *bytes,
                    None => {
                        let bytes = storages.storage(part.key).map_err(wrong)?;
                        loaded.insert(part.key, bytes);
                        bytes
                    }
                };
                let data = part.read(bytes, count).map_err(wrong)?;
                file.insert(short, HostTensor { shape: part.shape, data }).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(file)
}

/// Names and objects of the tensors of the dictionary that holds the weights.
fn state_dict<'a>(pickle: &Pickle<'a>) -> Result<BTreeMap<&'a str, Id>, String> {
    let mut id = pickle.root;
    for _ in 0..MAX_DEPTH {
        let Some(pairs) = pickle.dict(id) else { break };
        let mut keys: BTreeMap<&str, Id> = BTreeMap::new();
        for (key, value) in pairs {
            // Other keys are those of optimizer state.
            let Some(key) = pickle.text(key) else { continue };
            if key.len() > MAX_NAME {
                return Err(format!("a name of {} bytes in a dictionary: expected {MAX_NAME} at most", key.len()));
            }
            keys.insert(key, value);
        }
        let part = PARTS.iter().find_map(|part| keys.get(part).filter(|&&id| pickle.dict(id).is_some()));
        if let Some(&part) = part {
            id = part;
            continue;
        }
        let all: Vec<&str> = keys.keys().copied().collect();
        keys.retain(|_, &mut id| is_tensor(pickle, id));
        if keys.is_empty() {
            let list = crate::io::take::list(all.iter());
            return Err(format!("there are no tensors in the dictionary that it holds (keys: {list})"));
        }
        return Ok(keys);
    }
    Err(format!("it holds {:.200} in place of a dictionary of tensors", pickle.kind(id)))
}

fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    let Node::Call { module, name, .. } = pickle.node(id) else { return false };
    matches!(*module, "torch._utils" | "torch._tensor") && name.starts_with("_rebuild")
}

/// What a storage's id says: type, key and number of elements.
pub(super) fn storage_type<'a>(pickle: &Pickle<'a>, id: Id) -> Option<(&'a str, &'a str, usize)> {
    let &[tag, kind, key, _, count, ..] = pickle.items(id)? else { return None };
    let Node::Global("torch" | "torch.storage" | "torch.cuda", kind) = pickle.node(kind) else { return None };
    let count = usize::try_from(pickle.int(count)?).ok()?;
    let key = pickle.text(key).filter(|key| key.len() <= MAX_NAME)?;
    (pickle.text(tag)? == "storage").then_some((*kind, key, count))
}

/// The type of a storage whose numbers can become f32.
pub(super) fn readable(storage: &str) -> Option<Dtype> {
    Some(match storage {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        _ => return None,
    })
}

/// A type that is not read, as safetensors would call it.
fn unread(storage: &str) -> &str {
    match storage {
        "LongStorage" => "I64",
        "IntStorage" => "I32",
        "ShortStorage" => "I16",
        "CharStorage" => "I8",
        "ByteStorage" => "U8",
        "BoolStorage" => "BOOL",
        other => other.strip_suffix("Storage").unwrap_or(other),
    }
}

enum View<'a> {
    /// A type that is not read.
    Unread(String),
    Of(Part<'a>),
}

/// Elements of a storage.
struct Part<'a> {
    dtype: Dtype,
    key: &'a str,
    elements: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

fn view<'a>(pickle: &Pickle<'a>, mut id: Id) -> Result<View<'a>, String> {
    // A parameter is a call with a tensor as its first argument.
    for _ in 0..MAX_DEPTH {
        let Node::Call { name, args, .. } = pickle.node(id) else { break };
        let args = pickle.items(*args).unwrap_or_default();
        match (*name, args) {
            ("_rebuild_parameter" | "_rebuild_parameter_with_state", [tensor, ..]) => id = *tensor,
            ("_rebuild_tensor" | "_rebuild_tensor_v2", &[storage, offset, shape, strides, ..]) => {
                return part(pickle, storage, [offset, shape, strides]);
            }
            // Types that have no storage of their own.
            ("_rebuild_tensor_v3", &[_, _, _, _, _, _, dtype, ..]) => {
                let Node::Global("torch", dtype) = pickle.node(dtype) else { break };
                return Ok(View::Unread(format!("{dtype:.200}")));
            }
            (name, _) => return Ok(View::Unread(format!("{name:.200}"))),
        }
    }
    Err(format!("{:.200} in place of a tensor", pickle.kind(id)))
}

fn part<'a>(pickle: &Pickle<'a>, storage: Id, [offset, shape, strides]: [Id; 3]) -> Result<View<'a>, String> {
    let Node::Persistent(storage) = pickle.node(storage) else { return Err("it has no storage".into()) };
    let (kind, key, elements) = storage_type(pickle, *storage).ok_or("its storage is described in an unknown way")?;
    let Some(dtype) = readable(kind) else { return Ok(View::Unread(format!("{:.200}", unread(kind)))) };
    let size = |id: Id| pickle.int(id).and_then(|number| usize::try_from(number).ok());
    let sizes = |id: Id| {
        let items = pickle.items(id).filter(|items| items.len() <= MAX_DIMS)?;
        items.iter().map(|&item| size(item)).collect::<Option<Vec<usize>>>()
    };
    let (offset, shape, strides) = (size(offset), sizes(shape), sizes(strides));
    match (offset, shape, strides) {
        (Some(offset), Some(shape), Some(strides)) if shape.len() == strides.len() => {
            Ok(View::Of(Part { dtype, key, elements, offset, shape, strides }))
        }
        _ => Err("its offset, shape or strides cannot be read".into()),
    }
}

impl Part<'_> {
    /// The number of elements.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1, |product: usize, &dim| product.checked_mul(dim))
    }

    /// The elements, row-major, as f32.
    fn read(&self, storage: &[u8], count: usize) -> Result<Vec<f32>, String> {
        let size = self.dtype.bitsize() / 8;
        if Some(storage.len()) != self.elements.checked_mul(size) {
            let (key, dtype, elements, found) = (self.key, self.dtype, self.elements, storage.len());
            return Err(format!("storage {key:.200} should hold {elements} numbers of {dtype}, but has {found} bytes"));
        }
        if count == 0 {
            return Ok(vec![]);
        }
        let steps = self.shape.iter().zip(&self.strides);
        let last = steps
            .clone()
            .try_fold(self.offset, |last, (dim, stride)| last.checked_add((dim - 1).checked_mul(*stride)?));
        if last.is_none_or(|last| last >= self.elements) {
            let Self { offset, shape, strides, elements, .. } = self;
            return Err(format!(
                "offset {offset}, shape {shape:?} and strides {strides:?} reach beyond its storage of {elements} numbers"
            ));
        }
        let rows = steps.rev().try_fold(1, |row, (&dim, &stride)| (dim == 1 || stride == row).then_some(row * dim));
        let bytes = match rows {
            Some(_) => &storage[self.offset * size..][..count * size],
            None => &self.gathered(storage, size, count),
        };
        to_f32(self.dtype, bytes).ok_or_else(|| format!("{} cannot become F32", self.dtype))
    }

    /// The elements' bytes in the order of the shape; no element is beyond the storage.
    fn gathered(&self, storage: &[u8], size: usize, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        for _ in 0..count {
            bytes.extend_from_slice(&storage[at * size..][..size]);
            for (index, (&dim, &stride)) in index.iter_mut().zip(self.shape.iter().zip(&self.strides)).rev() {
                *index += 1;
                if *index < dim {
                    at += stride;
                    break;
                }
                // Back to its begin; the dimension before goes on.
                *index = 0;
                at -= (dim - 1) * stride;
            }
        }
        bytes
    }
}
