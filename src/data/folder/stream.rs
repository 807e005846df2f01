//! Pictures that stay in their files until a run needs them.

use std::path::PathBuf;
use std::sync::Arc;

use super::{File, Files, decode};
use crate::data::Samples;
use crate::{Error, Result};

/// Decoded pixels that are always left in their files.
const MOST: u64 = 8 << 30;

/// The pictures of one part, in one shape.
#[derive(Debug)]
struct Streamed {
    files: Vec<File>,
    shape: [usize; 3],
}

impl Samples for Streamed {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn read(&self, index: usize, pixels: &mut [u8]) -> Result<()> {
        let Some(File { path, .. }) = self.files.get(index) else {
            return Err(Error::usage(format!("picture {index}: there are {}", self.files.len())));
        };
        if pixels.len() != self.shape.iter().product::<usize>() {
            return Err(Error::usage(format!("{} bytes for a picture of {:?}", pixels.len(), self.shape)));
        }
        let changed = |why| {
            let advice =
                "it is one of this data set's; bring it back, then go on with --resume, or start again without it";
            Error::format(path, format!("{why}; {advice}"))
        };
        decode::read(path, self.shape, pixels).map(drop).map_err(changed)
    }
}

impl Files {
    /// Train and test in `shape`, still in their files.
    pub fn sources(&self, shape: [usize; 3]) -> [Arc<dyn Samples>; 2] {
        [&self.train, &self.test]
            .map(|files| -> Arc<dyn Samples> { Arc::new(Streamed { files: files.clone(), shape }) })
    }

    /// Whether the pixels in `shape` are too many to keep: 8 GiB, or a third of the memory that is free, since a run that
    /// passes them through a window holds them twice.
    pub fn is_large(&self, shape: [usize; 3]) -> bool {
        let count = (self.train.len() + self.test.len()) as u64;
        let bytes = shape.iter().try_fold(count, |product, &extent| product.checked_mul(extent as u64));
        bytes.is_none_or(|bytes| bytes > available().map_or(MOST, |free| (free / 3).min(MOST)))
    }
}

/// The bytes that the system has to give, as far as it says (Linux does), within the limit of a container.
fn available() -> Option<u64> {
    let number = |path: &str| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok()?.saturating_mul(1024);
    let group = PathBuf::from("/sys/fs/cgroup");
    let [limit, used] = ["memory.max", "memory.current"].map(|name| number(&group.join(name).to_string_lossy()));
    Some(limit.zip(used).map_or(free, |(limit, used)| free.min(limit.saturating_sub(used))))
}
