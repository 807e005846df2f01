//! Errors that a device reports outside of any call.

use crate::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// What helps where nothing is known of the run.
const HINT: &str = "use a smaller --batch-size, or train with --recompute";

/// Keeps the first error that a device reported.
pub(super) struct Faults {
    adapter: String,
    first: Mutex<Option<Fault>>,
}

enum Fault {
    OutOfMemory,
    Lost(String),
    Other(String),
}

impl Faults {
    /// Installs handlers on a device of our own.
    pub fn watch(device: &wgpu::Device, adapter: &str) -> Arc<Self> {
        let faults = Self::unwatched(adapter);
        let on_error = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| on_error.keep(Fault::from(error))));
        let on_lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            // Dropping the device at the end of a program is no fault.
            if reason != wgpu::DeviceLostReason::Destroyed {
                on_lost.keep(Fault::Lost(message));
            }
        });
        faults
    }

    /// Leaves a host application's handlers alone.
    pub fn unwatched(adapter: &str) -> Arc<Self> {
        Arc::new(Self { adapter: adapter.into(), first: Mutex::new(None) })
    }

    fn keep(&self, fault: Fault) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// The first fault, if there was one.
    pub fn check(&self) -> Result<()> {
        let adapter = self.adapter.clone();
        match &*self.first.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(Fault::OutOfMemory) => Err(Error::OutOfMemory { adapter, what: "running".into(), hint: HINT.into() }),
            Some(Fault::Lost(message)) => Err(Error::DeviceLost { adapter, message: message.clone() }),
            Some(Fault::Other(message)) => Err(Error::Device { adapter, message: message.clone() }),
        }
    }
}

impl From<wgpu::Error> for Fault {
    fn from(error: wgpu::Error) -> Self {
        match error {
            wgpu::Error::OutOfMemory { .. } => Self::OutOfMemory,
            other => Self::Other(other.to_string()),
        }
    }
}

/// There was no memory for `what`.
pub(super) fn out_of_memory(gpu: &super::Gpu, what: &str) -> Error {
    Error::OutOfMemory { adapter: gpu.info().name.clone(), what: what.into(), hint: HINT.into() }
}

/// An error caught while `what` was being made.
pub(super) fn translate(adapter: &str, what: &str, error: wgpu::Error) -> Error {
    let adapter = adapter.to_string();
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { adapter, what: what.into(), hint: HINT.into() },
        other => Error::Device { adapter, message: format!("{what}: {other}") },
    }
}
