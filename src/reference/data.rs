//! Batches of a resident data set.

use super::array::index;
use super::philox::{key, philox, purpose};
use super::{Array, Yields};
use crate::graph::{Augment, Gather};

/// `images [T,C,H,W], labels [T], order [T] -> x [N,C,H,W], labels [N]`, and with mixup the partners' labels [N] and the
/// weight [1]: the first batch of an epoch, as step `step`. Row `i` is sample `order[i]`, each pixel `p` as
/// `(p / 255 - mean[c]) / std[c]`, once it went through [`Augment`].
pub(super) fn gather(op: &Gather, step: u32, images: &Array, labels: &Array, order: &Array) -> Yields<Vec<Array>> {
    let [samples, channels, height, width] = images.extents()?;
    let plane = height * width;
    let Some(chosen) = order.data.get(..op.batch) else {
        return Err(format!("gather: a batch of {} out of {} samples", op.batch, order.data.len()));
    };
    let mut x = Array { shape: vec![op.batch, channels, height, width], data: vec![] };
    let mut y = Array { shape: vec![op.batch], data: vec![] };
    for (row, &sample) in chosen.iter().enumerate() {
        let sample = index("sample", sample, samples.min(labels.data.len()))?;
        let image = &images.data[sample * channels * plane..][..channels * plane];
        let draw = Draw::new(&op.augment, op.seed, step, row as u32, [height, width]);
        for (channel, plane) in image.chunks_exact(plane.max(1)).enumerate() {
            let [mean, std] = [op.mean[channel], op.std[channel]].map(f64::from);
            for (h, w) in (0..height).flat_map(|h| (0..width).map(move |w| (h, w))) {
                x.data.push(draw.normalised(plane, [height, width], [h, w], mean, std));
            }
        }
        y.data.push(labels.data[sample]);
    }
    if op.augment.mixup == 0.0 {
        return Ok(vec![x, y]);
    }
    let lambda = f64::from(op.augment.lambda(op.seed, step));
    let before = |array: &Array, size: usize| {
        let mut data = array.data.clone();
        data.rotate_right(size);
        data
    };
    let partners = Array { shape: y.shape.clone(), data: before(&y, 1) };
    let mixed = x.data.iter().zip(before(&x, channels * plane)).map(|(x, before)| lambda * x + (1.0 - lambda) * before);
    x.data = mixed.collect();
    Ok(vec![x, y, partners, Array::filled(&[1], lambda)])
}

/// What happens to one row.
struct Draw {
    /// Where the image begins in the padded one, minus the padding.
    corner: [isize; 2],
    flipped: bool,
    /// Where the hole begins.
    hole: [isize; 2],
    /// Its side.
    side: isize,
    brightness: f64,
    contrast: f64,
}

impl Draw {
    fn new(augment: &Augment, seed: u64, step: u32, row: u32, [height, width]: [usize; 2]) -> Self {
        let words = philox([0, row, step, purpose::AUGMENT], key(seed));
        let halves = |word: u32| [word >> 16, word & 0xFFFF];
        let below = |n: usize, half: u32| ((n as u64 * u64::from(half)) >> 16) as isize;
        let places = 2 * augment.crop as usize + 1;
        let (padding, side) = (augment.crop as isize, augment.cutout as isize);
        let [row, column] = halves(words[2]);
        let [brightness, contrast] = halves(words[3]);
        let factor = |[low, span]: [f32; 2], half: u32| f64::from(low) + f64::from(span) * f64::from(half) / 65_536.0;
        let [of_brightness, of_contrast] = augment.ranges();
        Self {
            corner: halves(words[0]).map(|half| below(places, half) - padding),
            flipped: augment.flip && words[1] >> 31 == 1,
            hole: [below(height, row) - side / 2, below(width, column) - side / 2],
            side,
            brightness: factor(of_brightness, brightness),
            contrast: factor(of_contrast, contrast),
        }
    }

    /// The number at `[h, w]` of the changed image, whose channel is `plane`.
    fn normalised(&self, plane: &[f64], extents: [usize; 2], [h, w]: [usize; 2], mean: f64, std: f64) -> f64 {
        let [height, width] = extents;
        let in_hole = |at: usize, start: isize| (start..start + self.side).contains(&(at as isize));
        if in_hole(h, self.hole[0]) && in_hole(w, self.hole[1]) {
            return 0.0;
        }
        let w = if self.flipped { width - 1 - w } else { w };
        let source = [h as isize + self.corner[0], w as isize + self.corner[1]];
        let inside = (0..height as isize).contains(&source[0]) && (0..width as isize).contains(&source[1]);
        let pixel = if inside { plane[source[0] as usize * width + source[1] as usize] / 255.0 } else { 0.0 };
        if self.brightness == 1.0 && self.contrast == 1.0 {
            return (pixel - mean) / std;
        }
        let bright = (pixel * self.brightness).clamp(0.0, 1.0);
        ((mean + (bright - mean) * self.contrast).clamp(0.0, 1.0) - mean) / std
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_order_and_channels_their_own_mean() {
        let images =
            Array::new(&[3, 2, 1, 2], vec![0.0, 255.0, 51.0, 102.0, 9.0, 9.0, 9.0, 9.0, 255.0, 0.0, 0.0, 255.0])
                .unwrap();
        let labels = Array::new(&[3], vec![7.0, 8.0, 9.0]).unwrap();
        let order = Array::new(&[3], vec![2.0, 0.0, 1.0]).unwrap();
        let op = Gather::plain(2, &[0.5, 0.25], &[0.5, 2.0]);
        let results = gather(&op, 0, &images, &labels, &order).unwrap();
        let second = [51.0, 102.0].map(|pixel| (pixel / 255.0 - 0.25) / 2.0);
        assert_eq!(results[0].data, [1.0, -1.0, -0.125, 0.375, -1.0, 1.0, second[0], second[1]]);
        assert_eq!(results[1].data, [9.0, 7.0]);
        assert!(gather(&Gather { batch: 4, ..op }, 0, &images, &labels, &order).is_err());
    }
}
