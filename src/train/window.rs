//! Data sets that do not fit into a binding: a window of a few batches lies on the device and is written anew for each
//! submit, from the images in host memory.
//!
//! Writes go through the queue, so they come after the steps that were submitted before and ahead of those that need
//! them: nothing waits, and the numbers are those of a data set that is resident.

use crate::data::Images;
use crate::gpu::StepNumbers;
use crate::plan::{SLOTS, Target};
use crate::{Error, Result};

/// The bytes that a window takes at most, if a batch is not larger: enough that a submit's own cost vanishes.
const BYTES: u64 = 32 << 20;

/// How many images of a part lie on the device: all of them, or whole batches, at least so many, where they exceed a
/// binding.
pub(super) fn rows(images: &Images, batch: usize, least: usize, target: &Target) -> usize {
    let size = images.shape.iter().product::<usize>() as u64;
    let most = target.max_binding.min(target.max_buffer);
    if size.saturating_mul(images.len() as u64) <= most {
        return images.len();
    }
    let batches = most.min(BYTES) / (size * batch as u64).max(1);
    (batches as usize).clamp(least.min(SLOTS), SLOTS) * batch
}

/// The part of a data set that passes through a window.
pub(super) struct Window {
    images: Images,
    /// The order in which steps visit them.
    pub order: Vec<u32>,
    batch: usize,
    rows: usize,
}

/// What a submit needs in the window: pixels and labels.
pub(super) type View = (Vec<u8>, Vec<u32>);

impl Window {
    pub fn new(images: &Images, batch: usize, rows: usize) -> Self {
        Self { images: images.clone(), order: (0..images.len() as u32).collect(), batch, rows }
    }

    /// The steps that one submit may have.
    pub fn steps(&self) -> usize {
        self.rows / self.batch
    }

    /// The images of `steps`, and the steps as they find them in the window: batch after batch.
    pub fn view(&self, steps: &[StepNumbers]) -> Result<(View, Vec<StepNumbers>)> {
        if steps.len() > self.steps() {
            let message = format!("a submit of {} steps, but {} are on the device", steps.len(), self.steps());
            return Err(Error::usage(format!("{message}; use a smaller --batch-size")));
        }
        let size: usize = self.images.shape.iter().product();
        let (mut pixels, mut labels, mut placed) = (vec![], vec![], vec![]);
        for (slot, step) in steps.iter().enumerate() {
            let (first, valid) = (step.first as usize, (step.valid as usize).min(self.batch));
            let Some(samples) = self.order.get(first..first + valid) else {
                let message = format!("samples {first} to {} of {}", first + valid, self.order.len());
                return Err(Error::usage(format!("a step on {message}: there are not so many")));
            };
            for &sample in samples {
                pixels.extend(self.images.image(sample as usize));
                labels.push(self.images.labels[sample as usize]);
            }
            let end = (slot + 1) * self.batch;
            pixels.resize(end * size, 0);
            labels.resize(end, 0);
            placed.push(StepNumbers { first: (slot * self.batch) as u32, ..*step });
        }
        Ok(((pixels, labels), placed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Class;

    fn images() -> Images {
        Images { shape: [1, 1, 3], pixels: (0..15).collect(), labels: vec![4, 3, 2, 1, 0] }
    }

    #[test]
    fn what_fits_is_resident() {
        let target = |max_binding| Target { max_binding, ..Target::portable(Class::Cpu) };
        assert_eq!([15, 14, 12, 11, 6, 1].map(|most| rows(&images(), 2, 1, &target(most))), [5, 4, 4, 2, 2, 2]);
    }

    #[test]
    fn steps_find_their_images_batch_after_batch() {
        let mut window = Window::new(&images(), 2, 4);
        window.order = vec![4, 0, 3, 1, 2];
        let step = |first, valid| StepNumbers { index: first, first, valid, ..StepNumbers::default() };
        let ((pixels, labels), steps) = window.view(&[step(4, 1), step(0, 2)]).unwrap();
        assert_eq!(pixels, [6, 7, 8, 0, 0, 0, 12, 13, 14, 0, 1, 2]);
        assert_eq!(labels, [2, 0, 0, 4]);
        assert_eq!(steps, [StepNumbers { first: 0, ..step(4, 1) }, StepNumbers { first: 2, ..step(0, 2) }]);
        assert!(window.view(&[step(4, 2)]).is_err() && window.view(&[step(0, 1); 3]).is_err());
    }
}
