//! A data set: two parts, the names of the classes, and the numbers that normalise its pixels.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::images::zeros;
use super::parallel::parallel;
use super::{Images, Part, Samples, resize};
use crate::{Error, Result};

/// Labelled images to train and to test on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The name, as in `--data`.
    pub name: String,
    /// The classes' names; labels are indices into them.
    pub classes: Vec<String>,
    /// The mean of each channel, of pixels scaled to 0..1: `[C]`.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, of pixels scaled to 0..1: `[C]`.
    pub std: Vec<f32>,
    /// What to learn from.
    pub train: Images,
    /// What to measure on; never learned from.
    pub test: Images,
    /// What its reader has to say: pictures left out, colours changed, parts split off.
    pub notes: Vec<String>,
    pub(super) scale: Scale,
    /// Of train and test, where the pixels are not in memory.
    pub(super) sources: Option<[Arc<dyn Samples>; 2]>,
    /// Whether they are not to come there.
    pub(super) streams: bool,
}

/// How a data set comes to a larger size.
#[derive(Clone, Debug)]
pub(super) enum Scale {
    /// By zeros around its images.
    Pad,
    /// By scaling until the shorter side fits, and cutting out the middle.
    #[cfg_attr(not(feature = "datasets"), expect(dead_code, reason = "it is CIFAR's"))]
    Resize,
    /// Likewise, from the files.
    #[cfg(feature = "images")]
    Files(Arc<super::folder::Files>),
    /// In the shape that they have alone.
    Never,
    /// By drawing train and test anew, from what their pixels were scaled up from.
    Redraw { sides: RangeInclusive<usize>, draw: fn(usize) -> (Images, Images) },
}

impl Dataset {
    /// A data set of your own images; `mean` and `std` are those of each channel, of pixels scaled to 0..1.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where lengths, shapes or labels contradict each other.
    pub fn new(
        name: impl Into<String>,
        classes: Vec<String>,
        (mean, std): (Vec<f32>, Vec<f32>),
        train: Images,
        test: Images,
    ) -> Result<Dataset> {
        let (name, scale) = (name.into(), Scale::Pad);
        let (notes, sources, streams) = (vec![], None, false);
        let data = Dataset { name, classes, mean, std, train, test, notes, scale, sources, streams };
        data.check()?;
        Ok(data)
    }

    /// A data set whose images of `shape` are read when a run needs them, ahead of it and on threads of their own; `parts`
    /// are labels and pixels of the images to train and to test on.
    ///
    /// # Errors
    ///
    /// Those of [`Dataset::new`].
    pub fn streamed(
        name: impl Into<String>,
        classes: Vec<String>,
        (mean, std): (Vec<f32>, Vec<f32>),
        shape: [usize; 3],
        parts: [(Vec<u32>, Arc<dyn Samples>); 2],
    ) -> Result<Dataset> {
        let [(train, pixels), (test, others)] = parts;
        let [train, test] = [train, test].map(|labels| Images { shape, pixels: vec![], labels });
        let (notes, sources) = (vec![], Some([pixels, others]));
        let (name, scale, streams) = (name.into(), Scale::Never, true);
        let data = Dataset { name, classes, mean, std, train, test, notes, scale, sources, streams };
        data.check()?;
        Ok(data)
    }

    /// Whether runs read the images when they need them, instead of taking them from memory.
    pub fn is_streamed(&self) -> bool {
        self.streams
    }

    /// One of the two parts.
    pub fn part(&self, part: Part) -> &Images {
        match part {
            Part::Train => &self.train,
            Part::Test => &self.test,
        }
    }

    /// The images of `part` at these places, in memory.
    ///
    /// # Errors
    ///
    /// Whatever hinders reading them; [`Error::Usage`] for places that there are not.
    pub fn choose(&self, part: Part, places: &[usize]) -> Result<Images> {
        let images = self.part(part);
        let (shape, count) = (images.shape, images.len());
        let mut chosen = Images { shape, pixels: zeros(places.len(), shape)?, labels: vec![] };
        for &place in places {
            let outside = || Error::usage(format!("{} image {place} of {count}: there are not so many", part.name()));
            chosen.labels.push(*images.labels.get(place).ok_or_else(outside)?);
        }
        let size = shape.iter().product::<usize>().max(1);
        let items: Vec<(usize, &mut [u8])> = places.iter().copied().zip(chosen.pixels.chunks_exact_mut(size)).collect();
        match self.source(part) {
            None => items.into_iter().try_for_each(|(place, out)| images.read(place, out))?,
            Some(source) => {
                parallel(items, &|_, _| (), |(place, out)| source.read(place, out))
                    .into_iter()
                    .collect::<Result<()>>()?;
            }
        }
        Ok(chosen)
    }

    /// What reads a part whose pixels are not in memory.
    pub(crate) fn source(&self, part: Part) -> Option<&Arc<dyn Samples>> {
        self.sources.as_ref().map(|sources| &sources[part as usize]).filter(|_| self.part(part).pixels.is_empty())
    }

    /// All pixels of a part.
    pub(crate) fn pixels(&self, part: Part) -> Result<Cow<'_, [u8]>> {
        match self.source(part) {
            None => Ok(Cow::Borrowed(&self.part(part).pixels)),
            Some(source) => Ok(Cow::Owned(self.choose(part, &(0..source.count()).collect::<Vec<_>>())?.pixels)),
        }
    }

    /// The same data in the shape `[C, H, W]` that a network takes.
    ///
    /// One channel is repeated to three, with its mean and std. Images that are too small by an even margin get zeros
    /// on all sides, black before normalisation: 28x28 becomes 32x32 with 2 on each side, as in LeCun et al. 1998,
    /// "Gradient-based learning applied to document recognition", section II.B. The embedded digits are scaled up
    /// from their 8x8 instead, and photographs (CIFAR, folders) are scaled until the shorter side fits and cut to their
    /// middle, exactly as torchvision's `Resize` and `CenterCrop` do, or turned grey. Choose among the images afterwards,
    /// not before.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] with both shapes for anything else, [`Error::Usage`] for a data set that contradicts itself.
    pub fn fit(mut self, shape: [usize; 3]) -> Result<Dataset> {
        self.check()?;
        self.redraw(shape)?;
        let from = self.train.shape;
        if shape == from {
            return Ok(self);
        }
        if !self.reaches(shape) {
            return Err(self.misfit(shape));
        }
        if from[0] != shape[0] {
            let changed = |numbers: &[f32]| match shape[0] {
                1 => vec![resize::weighted(numbers)],
                channels => vec![numbers[0]; channels],
            };
            (self.mean, self.std) = (changed(&self.mean), changed(&self.std));
        }
        (self.train, self.test) = match &self.scale {
            #[cfg(feature = "images")]
            Scale::Files(files) if self.sources.is_some() => {
                let [train, test] =
                    [&self.train, &self.test].map(|part| Images { shape, pixels: vec![], labels: part.labels.clone() });
                self.sources = Some(files.sources(shape));
                (train, test)
            }
            #[cfg(feature = "images")]
            Scale::Files(files) => {
                let (train, test) = files.read(shape)?;
                if train.labels != self.train.labels || test.labels != self.test.labels {
                    return Err(self.changed(shape));
                }
                (train, test)
            }
            Scale::Resize => (self.train.resized(shape)?, self.test.resized(shape)?),
            _ => (self.train.padded(shape)?, self.test.padded(shape)?),
        };
        Ok(self)
    }

    fn redraw(&mut self, [_, height, width]: [usize; 3]) -> Result<()> {
        let Scale::Redraw { sides, draw } = &self.scale else { return Ok(()) };
        if height != width || height == self.train.shape[1] || !sides.contains(&height) {
            return Ok(());
        }
        let (train, test) = draw(height);
        if train.labels != self.train.labels || test.labels != self.test.labels {
            return Err(self.changed([1, height, width]));
        }
        (self.train, self.test) = (train, test);
        Ok(())
    }

    fn changed(&self, [_, height, width]: [usize; 3]) -> Error {
        Error::usage(format!(
            "data set {}: its images were changed, so they cannot be made anew at {height}x{width}; \
             fit the whole data set first, then choose among its images",
            self.name
        ))
    }

    fn reaches(&self, [channels, height, width]: [usize; 3]) -> bool {
        let [c, h, w] = self.train.shape;
        let even = |from: usize, to: usize| to.checked_sub(from).is_some_and(|margin| margin % 2 == 0);
        match self.scale {
            Scale::Pad => even(h, height) && even(w, width) && (c == channels || (c, channels) == (1, 3)),
            Scale::Redraw { .. } => (h, w) == (height, width) && (c == channels || (c, channels) == (1, 3)),
            Scale::Never => false,
            _ => height > 0 && width > 0 && [1, 3].contains(&channels),
        }
    }

    fn misfit(&self, shape: [usize; 3]) -> Error {
        let how = match &self.scale {
            Scale::Pad => "padded with zeros by an even number of rows and columns".to_string(),
            Scale::Redraw { sides, .. } => format!("drawn as squares of {} to {} pixels", sides.start(), sides.end()),
            Scale::Never => "taken as they are alone".to_string(),
            _ => "scaled to any size".to_string(),
        };
        Error::shape(
            format!("data set {}", self.name),
            format!(
                "its images are {:?} (C, H, W), but the network takes {shape:?}; images can be {how}, \
                 and one channel repeated to three: choose another --input or other data",
                self.train.shape
            ),
        )
    }

    pub(crate) fn check(&self) -> Result<()> {
        let [channels, ..] = self.train.shape;
        if self.train.shape != self.test.shape {
            return Err(Error::usage(format!(
                "data set {}: train images are {:?} (C, H, W), but test images are {:?}",
                self.name, self.train.shape, self.test.shape
            )));
        }
        let usable = self.mean.iter().all(|m| m.is_finite()) && self.std.iter().all(|s| s.is_finite() && *s > 0.0);
        if self.mean.len() != channels || self.std.len() != channels || !usable {
            return Err(Error::usage(format!(
                "data set {}: mean {:?} and std {:?} must be finite, std above 0, one of each per channel ({channels})",
                self.name, self.mean, self.std
            )));
        }
        [Part::Train, Part::Test].into_iter().try_for_each(|part| {
            let what = format!("data set {}, {}", self.name, part.name());
            let streamed = self.source(part).map(|source| source.count());
            self.part(part).check(&what, self.classes.len(), streamed)
        })
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
