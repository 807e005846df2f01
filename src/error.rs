//! Every way in which wgrad can fail, as a value.
//!
//! A text says what is wrong, where (file and offset, layer, tensor, limit) and what to do next.

use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of this crate failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter fits what was asked for.
    #[error("no usable GPU adapter: {wanted}. {found}")]
    NoAdapter {
        /// What was looked for.
        wanted: String,
        /// What there is, and what to install where there is nothing.
        found: String,
    },
    /// The adapter refused to open a device, or the device reported an error.
    #[error("{adapter}: {message}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// The driver's or wgpu's own words.
        message: String,
    },
    /// The device has too little memory.
    #[error("{adapter}: out of memory while {what}; {hint}")]
    OutOfMemory {
        /// The adapter's name.
        adapter: String,
        /// What was being done, with sizes.
        what: String,
        /// What would help.
        hint: String,
    },
    /// A plan needs more memory than there is, found before anything is allocated.
    #[error("{what} needs {need} bytes of memory, but {adapter} has {have}; {hint}")]
    Memory {
        /// What was asked for.
        what: String,
        /// The bytes of its plan.
        need: u64,
        /// The adapter's name.
        adapter: String,
        /// The bytes that there are, and who says so.
        have: String,
        /// What would fit.
        hint: String,
    },
    /// The device went away (driver reset, unplugged, host application destroyed it).
    #[error("{adapter}: the device was lost ({message}); start again, with --resume to continue a run")]
    DeviceLost {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        message: String,
    },
    /// Something needs more than the adapter's limit.
    #[error("{what} needs {need}, but the limit of this adapter is {have}; {hint}")]
    Limit {
        /// Layer, kernel or buffer.
        what: String,
        /// The size needed.
        need: u64,
        /// The adapter's limit.
        have: u64,
        /// What would help.
        hint: String,
    },
    /// A kernel's source was refused by the shader compiler.
    #[error("kernel {kernel} does not compile on this adapter: {message}")]
    Shader {
        /// The kernel's name.
        kernel: String,
        /// The compiler's message.
        message: String,
    },
    /// Shapes that do not fit together, found while a network was traced.
    #[error("{layer}: {message}")]
    Shape {
        /// The layer's path, or the operator's name outside of any layer.
        layer: String,
        /// Operator, both shapes, what was expected.
        message: String,
    },
    /// A file whose content is not what it should be.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, at which offset or in which tensor, and what was expected.
        message: String,
    },
    /// The operating system refused to read or write.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The verb: `read`, `write`, `create`, ...
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The loss became NaN or infinite.
    #[error(
        "the loss is {loss} at step {step}: training has diverged{kept}; start again with a lower --lr (--init takes the weights of a checkpoint)"
    )]
    NonFinite {
        /// The step, counted from 1.
        step: u64,
        /// The loss that was read back.
        loss: f32,
        /// Where the last good checkpoint is, as the end of the sentence.
        kept: String,
    },
    /// An argument or option that makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// A file whose content is wrong.
    pub fn format(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().into(), message: message.into() }
    }

    /// The operating system's refusal; `action` is a verb.
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().into(), action, source }
    }

    /// Shapes that do not fit in `layer`.
    pub fn shape(layer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Shape { layer: layer.into(), message: message.into() }
    }

    /// An argument that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// The exit status of a program that stops with this error: 2 for bad usage or input, 1 for a failure.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Shape { .. } | Self::Format { .. } | Self::Usage(_) | Self::NoAdapter { .. } => 2,
            Self::Io { action: "read", .. } => 2,
            _ => 1,
        }
    }
}
