//! Batches of a resident data set.

use super::array::index;
use super::{Array, Yields};
use crate::graph::Gather;

/// `images [T,C,H,W], labels [T], order [T] -> x [N,C,H,W], labels [N]`: the first batch of an epoch. Row `i` is
/// sample `order[i]`, each pixel `p` as `(p / 255 - mean[c]) / std[c]`.
pub(super) fn gather(op: &Gather, images: &Array, labels: &Array, order: &Array) -> Yields<Vec<Array>> {
    let [samples, channels, height, width] = images.extents()?;
    let plane = height * width;
    let Some(chosen) = order.data.get(..op.batch) else {
        return Err(format!("gather: a batch of {} out of {} samples", op.batch, order.data.len()));
    };
    let mut x = Array { shape: vec![op.batch, channels, height, width], data: vec![] };
    let mut y = Array { shape: vec![op.batch], data: vec![] };
    for &sample in chosen {
        let sample = index("sample", sample, samples.min(labels.data.len()))?;
        let image = &images.data[sample * channels * plane..][..channels * plane];
        x.data.extend(image.iter().enumerate().map(|(i, pixel)| {
            let [mean, std] = [op.mean[i / plane], op.std[i / plane]].map(f64::from);
            (pixel / 255.0 - mean) / std
        }));
        y.data.push(labels.data[sample]);
    }
    Ok(vec![x, y])
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
        let op = Gather { batch: 2, mean: vec![0.5, 0.25], std: vec![0.5, 2.0] };
        let results = gather(&op, &images, &labels, &order).unwrap();
        let second = [51.0, 102.0].map(|pixel| (pixel / 255.0 - 0.25) / 2.0);
        assert_eq!(results[0].data, [1.0, -1.0, -0.125, 0.375, -1.0, 1.0, second[0], second[1]]);
        assert_eq!(results[1].data, [9.0, 7.0]);
        assert!(gather(&Gather { batch: 4, ..op }, &images, &labels, &order).is_err());
    }
}
