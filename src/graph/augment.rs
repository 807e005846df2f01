//! What is done to training images at random, and the random numbers that decide it.

use crate::reference::philox::{key, philox, purpose, unit};
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Random changes of training images, applied by [`Gather`](super::Gather) in the order of the fields; the default is
/// none.
///
/// Row `i` of step `s` draws the words `w = philox([0, i, s, AUGMENT], seed)`, see
/// [`philox`](mod@crate::reference::philox), so a resumed run sees what an uninterrupted one would have seen. An integer
/// below `n` is drawn from a half word `h` as `h n / 65536`, rounded down; a number in `[a, b)` as
/// `a + (b - a) h / 65536`.
///
/// As text: `crop:4,flip,cutout:8,color:0.2:0.2,mixup:0.2`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augment {
    /// `crop:P`: the image gets P black pixels on all sides and is cut back to its size at a random place, as by
    /// torchvision's `RandomCrop(size, padding=P)`. Rows from the upper half of `w[0]`, columns from the lower.
    pub crop: u32,
    /// `flip`: left and right are exchanged in half of all cases, if the top bit of `w[1]` is set.
    pub flip: bool,
    /// `color:B:C`: pixels (0..1) are multiplied by a number in `[max(0, 1 - B), 1 + B)` and cut to 0..1, as by
    /// torchvision's `ColorJitter(brightness=B)`. From the upper half of `w[3]`.
    pub brightness: f32,
    /// Then their distance from the channel's mean is multiplied by a number in `[max(0, 1 - C), 1 + C)`, and they are
    /// cut to 0..1. `ColorJitter(contrast=C)` takes the mean grey of each image instead of the data set's mean. From the
    /// lower half of `w[3]`.
    pub contrast: f32,
    /// `cutout:S`: a square of S x S pixels around a random pixel becomes the mean, 0 after normalisation (DeVries and
    /// Taylor 2017, arXiv:1708.04552). It may reach over the edge. Row from the upper half of `w[2]`, column from the
    /// lower.
    pub cutout: u32,
    /// `mixup:A`: each image is mixed with the one before it in the batch (the first with the last), `l x[i] +
    /// (1 - l) x[i - 1]`, with one `l` for each step from Beta(A, A), as by torchvision's reference `RandomMixUp` (Zhang
    /// et al. 2018, arXiv:1710.09412). The loss mixes their labels likewise. See [`Augment::lambda`].
    pub mixup: f32,
}

impl Augment {
    /// Whether nothing is changed.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what cannot be done to images of `[C,H,W]`.
    pub(crate) fn check(&self, [_, height, width]: [usize; 3]) -> Result<(), String> {
        let side = height.max(width);
        if side > 1 << 15 {
            return Err(format!("augment: images have at most {} pixels along a side, these have {side}", 1 << 15));
        }
        for (name, size) in [("crop", self.crop), ("cutout", self.cutout)] {
            if size as usize > side {
                return Err(format!("augment {name}:{size} is more than the images have: {height}x{width}"));
            }
        }
        Ok(())
    }

    /// Lower end and length of the ranges of the factors of brightness and contrast.
    pub(crate) fn ranges(&self) -> [[f32; 2]; 2] {
        [self.brightness, self.contrast].map(|by| {
            let low = (1.0 - by).max(0.0);
            [low, 1.0 + by - low]
        })
    }

    /// The weight of the image itself in a step's mixup, from Beta(A, A); 1 without.
    ///
    /// A ratio of two Gamma(A) numbers by Marsaglia and Tsang's method (2000, "A simple method for generating gamma
    /// variables"), on logarithms, for A is often small. The draw `n` of the step takes `philox([n, 0, s, MIXUP], seed)`.
    pub fn lambda(&self, seed: u64, step: u32) -> f32 {
        if self.mixup == 0.0 {
            return 1.0;
        }
        let mut draws = (0..).map(|n| philox([n, 0, step, purpose::MIXUP], key(seed)));
        let mut draw = || draws.next().unwrap_or_default().map(|word| f64::from(unit(word)));
        let alpha = f64::from(self.mixup);
        let mut log_gamma = || {
            let (d, boost) = (alpha.max(1e-6) + 1.0 - 1.0 / 3.0, alpha);
            loop {
                // Two uniform numbers make a normal one (Box and Muller); 1 - u is never 0.
                let [u, v, accept, power] = draw();
                let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
                let cube = (1.0 + normal / (9.0 * d).sqrt()).powi(3);
                let bound = 0.5 * normal * normal + d - d * cube + d * cube.max(f64::MIN_POSITIVE).ln();
                if cube > 0.0 && (1.0 - accept).ln() < bound {
                    // Gamma(A) is Gamma(A + 1) times U^(1 / A).
                    return (d * cube).ln() + (1.0 - power).ln() / boost;
                }
            }
        };
        let (a, b) = (log_gamma(), log_gamma());
        (1.0 / (1.0 + (b - a).exp())) as f32
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { crop, flip, brightness, contrast, cutout, mixup } = self;
        let words = [
            (*crop > 0).then(|| format!("crop:{crop}")),
            flip.then(|| "flip".to_string()),
            (*brightness > 0.0 || *contrast > 0.0).then(|| format!("color:{brightness}:{contrast}")),
            (*cutout > 0).then(|| format!("cutout:{cutout}")),
            (*mixup > 0.0).then(|| format!("mixup:{mixup}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(if words.is_empty() { "none" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

impl FromStr for Augment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut augment = Self::default();
        if text == "none" {
            return Ok(augment);
        }
        let mut seen = Vec::new();
        for word in text.split(',') {
            let mut parts = word.split(':');
            let name = parts.next().unwrap_or_default();
            let arguments: Vec<&str> = parts.collect();
            let wrong = |what: &str| Error::usage(format!("--augment {word}: {what}"));
            if seen.contains(&name) {
                return Err(wrong("said twice"));
            }
            seen.push(name);
            let pixels = |text: &str| match text.parse() {
                Ok(number @ 1..) => Ok(number),
                _ => Err(wrong("expected a whole number of pixels above 0, as in crop:4 or cutout:8")),
            };
            let number = |text: &str| match text.parse::<f32>() {
                Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
                _ => Err(wrong("expected a number that is not negative, as in color:0.2:0.2 or mixup:0.2")),
            };
            match (name, &arguments[..]) {
                ("crop", [padding]) => augment.crop = pixels(padding)?,
                ("flip", []) => augment.flip = true,
                ("color", [brightness, contrast]) => {
                    (augment.brightness, augment.contrast) = (number(brightness)?, number(contrast)?);
                }
                ("cutout", [side]) => augment.cutout = pixels(side)?,
                ("mixup", [alpha]) => match number(alpha)? {
                    alpha if alpha > 0.0 => augment.mixup = alpha,
                    _ => return Err(wrong("mixup wants a number above 0; leave it out for none")),
                },
                _ => {
                    return Err(wrong(
                        "there are crop:PADDING, flip, color:BRIGHTNESS:CONTRAST, cutout:SIDE and mixup:ALPHA, \
                         separated by commas",
                    ));
                }
            }
        }
        Ok(augment)
    }
}

#[cfg(test)]
#[path = "augment_tests.rs"]
mod tests;
