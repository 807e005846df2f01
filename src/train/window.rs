//! Data sets that do not fit into a binding, or not into memory: a window of a few batches lies on the device and is
//! written anew for each submit, from the images in host memory or from where they are streamed.
//!
//! Writes go through the queue, so they come after the steps that were submitted before and ahead of those that need
//! them: nothing waits, and the numbers are those of a data set that is resident.

use super::ahead::Ahead;
use crate::data::{Dataset, Part, Samples};
use crate::gpu::StepNumbers;
use crate::plan::{SLOTS, Target};
use crate::{Error, Result};
use std::sync::Arc;

/// The bytes that a window takes at most, if a batch is not larger: enough that a submit's own cost vanishes.
const BYTES: u64 = 32 << 20;

/// Submits whose images are read ahead.
const SUBMITS_AHEAD: usize = 2;

/// The room that a part has on the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Room {
    /// In images.
    pub rows: usize,
    /// Whether it is a window; otherwise all images have a place of their own.
    pub window: bool,
}

/// Room for all images of a part, or for whole batches, at least so many, where they exceed a binding or are streamed.
pub(super) fn room(dataset: &Dataset, part: Part, batch: usize, least: usize, target: &Target) -> Room {
    let images = dataset.part(part);
    let size = images.shape.iter().product::<usize>() as u64;
    let most = target.max_binding.min(target.max_buffer);
    if size.saturating_mul(images.len() as u64) <= most && !dataset.is_streamed() {
        return Room { rows: images.len(), window: false };
    }
    let batches = most.min(BYTES) / size.saturating_mul(batch as u64).max(1);
    let least = least.clamp(1, SLOTS);
    let useful = images.len().div_ceil(batch.max(1)).clamp(least, SLOTS);
    Room { rows: (batches as usize).clamp(least, useful) * batch, window: true }
}

/// The part of a data set that passes through a window.
pub(super) struct Window {
    samples: Arc<dyn Samples>,
    /// Where they are not in memory.
    ahead: Option<Ahead>,
    labels: Vec<u32>,
    /// Bytes of an image.
    size: usize,
    order: Vec<u32>,
    batch: usize,
    rows: usize,
}

/// What a submit needs in the window: pixels and labels.
pub(super) type View = (Vec<u8>, Vec<u32>);

impl Window {
    pub fn new(dataset: &Dataset, part: Part, batch: usize, rows: usize) -> Result<Self> {
        let images = dataset.part(part);
        let size = images.shape.iter().product();
        let (labels, order) = (images.labels.clone(), (0..images.len() as u32).collect::<Vec<u32>>());
        let (samples, ahead) = match dataset.source(part) {
            Some(source) => {
                (source.clone(), Some(Ahead::new(source.clone(), size, SUBMITS_AHEAD * rows, order.clone())?))
            }
            None => (Arc::new(images.clone()) as Arc<dyn Samples>, None),
        };
        Ok(Self { samples, ahead, labels, size, order, batch, rows })
    }

    /// Sets the order in which steps visit the samples, and begins to read the first of them.
    pub fn set_order(&mut self, order: &[u32]) {
        self.order = order.to_vec();
        if let Some(ahead) = &self.ahead {
            ahead.begin(self.order.clone());
        }
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
        let batch = self.batch * self.size;
        let (mut pixels, mut labels, mut placed) = (vec![0; steps.len() * batch], vec![], vec![]);
        for (slot, step) in steps.iter().enumerate() {
            let (first, valid) = (step.first as usize, (step.valid as usize).min(self.batch));
            let Some(samples) = self.order.get(first..first + valid) else {
                let message = format!("samples {first} to {} of {}", first + valid, self.order.len());
                return Err(Error::usage(format!("a step on {message}: there are not so many")));
            };
            let pixels = &mut pixels[slot * batch..][..valid * self.size];
            match &self.ahead {
                Some(ahead) => ahead.take(first, pixels)?,
                None => {
                    for (&sample, pixels) in samples.iter().zip(pixels.chunks_exact_mut(self.size)) {
                        self.samples.read(sample as usize, pixels)?;
                    }
                }
            }
            let missing = || Error::usage("an order with samples that there are not");
            for &sample in samples {
                labels.push(*self.labels.get(sample as usize).ok_or_else(missing)?);
            }
            labels.resize((slot + 1) * self.batch, 0);
            placed.push(StepNumbers { first: (slot * self.batch) as u32, ..*step });
        }
        Ok(((pixels, labels), placed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Images;
    use crate::plan::Class;

    /// In memory, and streamed from there.
    fn datasets() -> [Dataset; 2] {
        let images = Images { shape: [1, 1, 3], pixels: (0..15).collect(), labels: vec![4, 3, 2, 1, 0] };
        let classes: Vec<String> = (0..5).map(|class| class.to_string()).collect();
        let stats = (vec![0.0], vec![1.0]);
        let resident = Dataset::new("five", classes.clone(), stats.clone(), images.clone(), images.clone()).unwrap();
        let part = || (images.labels.clone(), Arc::new(images.clone()) as Arc<dyn Samples>);
        [resident, Dataset::streamed("five", classes, stats, [1, 1, 3], [part(), part()]).unwrap()]
    }

    #[test]
    fn what_fits_is_resident_unless_it_is_streamed() {
        let target = |max_binding| Target { max_binding, ..Target::portable(Class::Cpu) };
        let [resident, streamed] = datasets();
        let rows = |dataset: &Dataset, most| room(dataset, Part::Train, 2, 1, &target(most));
        let of = |rows, window| Room { rows, window };
        let expected = [of(5, false), of(4, true), of(4, true), of(2, true), of(2, true), of(2, true)];
        assert_eq!([15, 14, 12, 11, 6, 1].map(|most| rows(&resident, most)), expected);
        assert_eq!([1 << 20, 18, 12].map(|most| rows(&streamed, most)), [of(6, true), of(6, true), of(4, true)]);
        assert_eq!(room(&streamed, Part::Test, 2, 4, &target(1 << 20)), of(8, true));
    }

    #[test]
    fn steps_find_their_images_batch_after_batch() {
        for dataset in datasets() {
            let mut window = Window::new(&dataset, Part::Train, 2, 4).unwrap();
            window.set_order(&[4, 0, 3, 1, 2]);
            let step = |first, valid| StepNumbers { index: first, first, valid, ..StepNumbers::default() };
            let ((pixels, labels), steps) = window.view(&[step(4, 1), step(0, 2)]).unwrap();
            assert_eq!(pixels, [6, 7, 8, 0, 0, 0, 12, 13, 14, 0, 1, 2]);
            assert_eq!(labels, [2, 0, 0, 4]);
            assert_eq!(steps, [StepNumbers { first: 0, ..step(4, 1) }, StepNumbers { first: 2, ..step(0, 2) }]);
            assert!(window.view(&[step(4, 2)]).is_err() && window.view(&[step(0, 1); 3]).is_err());
        }
    }
}
