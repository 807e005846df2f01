//! How much memory there is for buffers.
//!
//! Drivers that run on the processor and GPUs that share its memory have what the system says is available. wgpu does not
//! tell how much a GPU with memory of its own has; there a run that does not fit ends when an allocation fails. The
//! environment variable `WGRAD_MEMORY` (`2GiB`, `500MB`, or bytes) overrides both.

use super::{Gpu, environment};
use crate::plan::Class;
use crate::{Error, Result};
use std::fmt;

const VARIABLE: &str = "WGRAD_MEMORY";

/// Bytes for all buffers together, and where the number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The bytes.
    pub bytes: u64,
    /// Whether they were set by `WGRAD_MEMORY`; otherwise they are what the system has available.
    pub set: bool,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = if self.set { "set by WGRAD_MEMORY" } else { "available" };
        write!(f, "{} bytes {source}", self.bytes)
    }
}

impl Room {
    /// Of an adapter of this class on which buffers take `taken` bytes already.
    pub(super) fn of(class: Class, set: Option<u64>, taken: u64) -> Option<Self> {
        let shared = matches!(class, Class::Cpu | Class::Integrated);
        let available = || if shared { available().map(|bytes| bytes.saturating_add(taken)) } else { None };
        let of = |set: bool| move |bytes: u64| Self { bytes, set };
        set.map(of(true)).or_else(|| available().map(of(false)))
    }
}

impl Gpu {
    /// How much all buffers of this device together may take, if it is known.
    pub fn room(&self) -> Option<Room> {
        Room::of(self.target().class, self.inner.memory, self.memory().0)
    }

    /// The bytes of [`Gpu::room`].
    pub fn memory_limit(&self) -> Option<u64> {
        self.room().map(|room| room.bytes)
    }

    /// Refuses to allocate `need` bytes for `what` where there is too little room; `hint` says what would help.
    pub fn check_room(&self, what: &str, need: u64, hint: impl FnOnce(u64) -> String) -> Result<()> {
        let taken = self.memory().0;
        match self.room() {
            Some(room) if room.bytes.saturating_sub(taken) < need => {
                let have = Room { bytes: room.bytes.saturating_sub(taken), ..room };
                Err(Error::Memory {
                    what: what.into(),
                    need,
                    adapter: self.info().name.clone(),
                    have: have.to_string(),
                    hint: hint(have.bytes),
                })
            }
            _ => Ok(()),
        }
    }
}

/// What `WGRAD_MEMORY` says.
pub(super) fn from_environment() -> Result<Option<u64>> {
    let parsed = |text: String| {
        parse(&text).ok_or_else(|| {
            Error::usage(format!(
                "{VARIABLE} is {text:?}; expected bytes, or a number with KB, MB, GB, KiB, MiB or GiB"
            ))
        })
    };
    environment(VARIABLE).map(parsed).transpose()
}

/// `2GiB`, `1.5 GB`, `4096`.
fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1_u64,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    if let Ok(whole) = number.trim().parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
    let bytes = number * scale as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// Bytes that programs can have without swapping, where the system tells.
fn available() -> Option<u64> {
    if cfg!(target_os = "linux") {
        return available_in(&std::fs::read_to_string("/proc/meminfo").ok()?);
    }
    None
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let known = [("4096", 4096), ("2GiB", 2 << 30), ("1.5 gb", 1_500_000_000), (" 3 KiB ", 3072), ("0", 0)];
        for (text, bytes) in known {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "2 TiBs", "1e400", "99999999999GiB", "nan", "12 34"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_system_is_asked_in_its_own_units() {
        assert_eq!(available_in("MemTotal: 9 kB\nMemAvailable:    1234 kB\n"), Some(1234 << 10));
        assert_eq!(available_in("MemTotal: 9 kB\n"), None);
        assert_eq!(available_in("MemAvailable: many kB\n"), None);
    }

    #[test]
    fn only_shared_memory_is_known_and_what_is_set_wins() {
        assert_eq!(Room::of(Class::Discrete, None, 0), None);
        assert_eq!(Room::of(Class::Discrete, Some(7), 0), Some(Room { bytes: 7, set: true }));
        if cfg!(target_os = "linux") {
            let room = Room::of(Class::Cpu, None, 5).unwrap();
            assert!(!room.set && room.bytes > 5);
        }
    }
}
