//! Images of one size, each with a label.

use std::fmt;

use super::resize;
use crate::{Error, Result};

/// `N` images of one shape with their labels, in the order of their file.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    /// `[C, H, W]` of one image.
    pub shape: [usize; 3],
    /// `[N, C, H, W]`, 0 (black) to 255; empty where they are streamed, see [`Dataset::choose`](super::Dataset::choose).
    pub pixels: Vec<u8>,
    /// `[N]`, each an index into the classes of the data set.
    pub labels: Vec<u32>,
}

impl Images {
    /// The number of images, `N`.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of image `i`, `[C, H, W]`.
    ///
    /// # Panics
    ///
    /// Like an index into a slice, where `i` is not below [`len`](Self::len) or the pixels are not here.
    pub fn image(&self, i: usize) -> &[u8] {
        let size: usize = self.shape.iter().product();
        &self.pixels[i * size..(i + 1) * size]
    }

    /// Refuses pixels that are not `[N, C, H, W]`, or as many images as are `streamed` instead, and labels outside of
    /// `classes`; `what` begins the error's text.
    pub(super) fn check(&self, what: &str, classes: usize, streamed: Option<usize>) -> Result<()> {
        if let Some(count) = streamed.filter(|count| *count != self.len()) {
            return Err(Error::usage(format!(
                "{what}: {count} images are streamed, but there are {} labels; streamed images can be neither added nor \
                 left out",
                self.len()
            )));
        }
        let expected = bytes(self.len(), self.shape);
        if streamed.is_none() && expected != Some(self.pixels.len()) || self.shape.contains(&0) {
            return Err(Error::usage(format!(
                "{what}: {} pixels, but {} labels and images of {:?} (C, H, W) make {}",
                self.pixels.len(),
                self.len(),
                self.shape,
                expected.map_or("too many".into(), |n| n.to_string()),
            )));
        }
        match self.labels.iter().position(|&label| label as usize >= classes) {
            None => Ok(()),
            Some(i) => Err(Error::usage(format!(
                "{what}: image {i} has label {}, but there are {classes} classes, counted from 0",
                self.labels[i]
            ))),
        }
    }

    /// The images in the middle of larger ones of `shape`, zeros around them; a missing channel repeats the first.
    ///
    /// `shape` must be at least as large in every dimension.
    pub(super) fn padded(&self, shape: [usize; 3]) -> Result<Images> {
        let ([_, h, w], [_, oh, ow]) = (self.shape, shape);
        let (top, left) = ((oh - h) / 2, (ow - w) / 2);
        let mut pixels = zeros(self.len(), shape)?;
        for (i, out) in pixels.chunks_exact_mut(shape.iter().product()).enumerate() {
            let image = self.image(i);
            for (c, out) in out.chunks_exact_mut(oh * ow).enumerate() {
                let plane = &image[c % self.shape[0] * h * w..][..h * w];
                for (row, out) in plane.chunks_exact(w).zip(out.chunks_exact_mut(ow).skip(top)) {
                    out[left..left + w].copy_from_slice(row);
                }
            }
        }
        Ok(Images { shape, pixels, labels: self.labels.clone() })
    }
}

impl Images {
    /// Every image in another shape, see [`resize::fit`]; channels are 1 or 3.
    pub(super) fn resized(&self, shape: [usize; 3]) -> Result<Images> {
        let mut pixels = zeros(self.len(), shape)?;
        for (i, out) in pixels.chunks_exact_mut(shape.iter().product()).enumerate() {
            out.copy_from_slice(&resize::fit(self.image(i), self.shape, shape));
        }
        Ok(Images { shape, pixels, labels: self.labels.clone() })
    }
}

/// Pixels would flood every message.
impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} images of {:?}", self.len(), self.shape)
    }
}

pub(super) fn bytes(n: usize, shape: [usize; 3]) -> Option<usize> {
    shape.iter().try_fold(n, |product, &dim| product.checked_mul(dim))
}

pub(super) fn zeros(n: usize, shape: [usize; 3]) -> Result<Vec<u8>> {
    let mut pixels = Vec::new();
    match bytes(n, shape) {
        Some(size) if pixels.try_reserve_exact(size).is_ok() => {
            pixels.extend(std::iter::repeat_n(0, size));
            Ok(pixels)
        }
        _ => Err(Error::usage(format!("no memory for {n} images of {shape:?}; use a smaller input size"))),
    }
}
