//! Where the pixels of a data set's images come from: memory, or wherever a stream of them begins.

use std::fmt::Debug;

use super::Images;
use crate::{Error, Result};

/// One of the two parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What to learn from.
    Train,
    /// What to measure on.
    Test,
}

impl Part {
    /// `train` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// The pixels of images that all have one shape, read one at a time, from several threads at once.
///
/// A [streamed](super::Dataset::streamed) data set has two of these in place of pixels in memory. What is read of an image
/// must be the same each time: a run's numbers are then those of the same images in memory.
pub trait Samples: Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Writes the pixels of image `index`, `[C,H,W]`, into `pixels`, which is as long as an image.
    ///
    /// # Errors
    ///
    /// Whatever hinders it; the text names the file. It ends the run.
    fn read(&self, index: usize, pixels: &mut [u8]) -> Result<()>;
}

impl Samples for Images {
    fn count(&self) -> usize {
        self.len()
    }

    fn read(&self, index: usize, pixels: &mut [u8]) -> Result<()> {
        let size: usize = self.shape.iter().product();
        let image = index.checked_mul(size).and_then(|begin| self.pixels.get(begin..begin.checked_add(size)?));
        match image {
            Some(image) if image.len() == pixels.len() => {
                pixels.copy_from_slice(image);
                Ok(())
            }
            _ => Err(Error::usage(format!("image {index}: there are {} of {:?}", self.len(), self.shape))),
        }
    }
}
