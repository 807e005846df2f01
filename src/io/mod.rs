//! Files: whole or not at all, and tensors in the safetensors format.

mod atomic;
mod header;
mod take;
mod tensors;

pub use atomic::write_atomic;
pub use tensors::{HostTensor, TensorFile};
