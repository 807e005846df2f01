//! Every rule of `Dataset::fit`, on images small enough to write down.

use super::*;
use crate::data::digits;

fn images(shape: [usize; 3], pixels: &[u8]) -> Images {
    let n = pixels.len() / shape.iter().product::<usize>();
    Images { shape, pixels: pixels.to_vec(), labels: vec![0; n] }
}

fn dataset(shape: [usize; 3], pixels: &[u8]) -> Dataset {
    let (mean, std) = (vec![0.25; shape[0]], vec![0.5; shape[0]]);
    Dataset::new("tiny", vec!["a".into()], (mean, std), images(shape, pixels), images(shape, pixels)).unwrap()
}

#[test]
fn zeros_go_around_evenly_and_grey_is_repeated() {
    let data = dataset([1, 1, 2], &[1, 2, 3, 4]).fit([3, 3, 4]).unwrap();
    let plane = |a, b| [0, 0, 0, 0, 0, a, b, 0, 0, 0, 0, 0];
    assert_eq!(data.train.shape, [3, 3, 4]);
    assert_eq!(data.train.image(0), plane(1, 2).repeat(3));
    assert_eq!(data.train.image(1), plane(3, 4).repeat(3));
    assert_eq!(data.test, data.train);
    assert_eq!((data.mean, data.std), (vec![0.25; 3], vec![0.5; 3]));
}

#[test]
fn colour_keeps_its_channels() {
    let data = dataset([3, 1, 1], &[1, 2, 3]).fit([3, 1, 3]).unwrap();
    assert_eq!(data.train.pixels, [0, 1, 0, 0, 2, 0, 0, 3, 0]);
}

#[test]
fn a_fitting_shape_changes_nothing() {
    let data = dataset([1, 1, 2], &[1, 2]);
    assert_eq!(data.clone().fit([1, 1, 2]).unwrap().train, data.train);
}

#[test]
fn other_shapes_are_refused_with_both_named() {
    let grey = [[1, 2, 2], [1, 1, 3], [1, 1, 1], [2, 1, 2], [0, 1, 2], [1, 0, 0]];
    let colour = [[1, 1, 2], [4, 1, 2]];
    let cases = grey.map(|to| ([1, 1, 2], to)).into_iter().chain(colour.map(|to| ([3, 1, 2], to)));
    for (from, to) in cases {
        let error = dataset(from, &vec![7; from.iter().product()]).fit(to).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{from:?} to {to:?}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{from:?}")) && text.contains(&format!("{to:?}")), "{text}");
    }
}

#[test]
fn a_size_beyond_memory_is_an_error() {
    let error = dataset([1, 2, 2], &[0; 4]).fit([1, 1 << 40, 1 << 40]).unwrap_err();
    assert!(error.to_string().contains("no memory"), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let good = dataset([1, 1, 2], &[1, 2, 3, 4]);
    let with = |change: fn(&mut Dataset)| {
        let mut data = good.clone();
        change(&mut data);
        data.fit([1, 1, 2]).unwrap_err().to_string()
    };
    assert!(with(|d| d.train.labels[1] = 1).contains("train: image 1 has label 1, but there are 1 classes"));
    assert!(with(|d| d.test.labels.push(0)).contains("test: 4 pixels, but 3 labels"));
    assert!(with(|d| d.test.shape = [1, 2, 1]).contains("test images are [1, 2, 1]"));
    assert!(with(|d| d.std = vec![0.0]).contains("std above 0"));
    assert!(with(|d| d.std = vec![f32::NAN]).contains("std above 0"));
    assert!(with(|d| d.mean.clear()).contains("one of each per channel (1)"));
}

#[test]
fn digits_are_drawn_anew_and_not_padded() {
    let data = digits().fit([3, 32, 32]).unwrap();
    let direct = crate::data::digits_at(32).unwrap();
    assert_eq!(data.train.shape, [3, 32, 32]);
    assert_eq!(data.train.image(5), direct.train.image(5).repeat(3));
    assert_eq!(data.test.labels, direct.test.labels);
    assert_eq!(data.mean.len(), 3);
    for bad in [[1, 28, 30], [1, 7, 7], [1, 258, 258], [2, 32, 32]] {
        let text = digits().fit(bad).unwrap_err().to_string();
        assert!(text.contains(&format!("{bad:?}")) && text.contains("8 to 256"), "{text}");
    }
}

#[test]
fn a_chosen_part_of_the_digits_is_not_silently_undone() {
    let mut data = digits();
    data.train.labels.truncate(10);
    data.train.pixels.truncate(10 * 28 * 28);
    assert!(data.clone().fit([1, 28, 28]).is_ok());
    assert!(data.fit([1, 32, 32]).unwrap_err().to_string().contains("fit the whole data set first"));
}
