//! Data sets of which only the extents matter.

use wgrad::data::{self, Dataset};

/// So many black images of `shape` to train and to test with.
pub fn dataset(shape: [usize; 3], train: usize, test: usize) -> Dataset {
    let mut dataset = data::digits();
    let images = |count: usize| data::Images {
        shape,
        pixels: vec![0; count * shape.iter().product::<usize>()],
        labels: vec![0; count],
    };
    (dataset.train, dataset.test) = (images(train), images(test));
    (dataset.mean, dataset.std) = (vec![0.0; shape[0]], vec![1.0; shape[0]]);
    dataset
}
