//! Files: whole or not at all, and tensors in the safetensors format or from PyTorch's own.

mod atomic;
mod header;
mod pth;
mod take;
mod tensors;

pub use atomic::write_atomic;
pub use take::Loaded;
pub use tensors::{HostTensor, TensorFile};
