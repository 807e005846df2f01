//! Folders in MNIST's form, made here, and the real one where it is.

use std::fs;

use super::*;

const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

fn images(count: u8, side: u8) -> Vec<u8> {
    let header = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, side, 0, 0, 0, side];
    header.into_iter().chain(0..count * side * side).collect()
}

fn labels(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8], labels].concat()
}

/// Three images of 2x2 to train and one to test.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let contents = [images(3, 2), labels(&[9, 0, 4]), images(1, 2), labels(&[7])];
    for (name, content) in NAMES.iter().zip(contents) {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

#[test]
fn images_keep_the_order_of_the_files() {
    let data = mnist(folder().path()).unwrap();
    assert_eq!(data.train.shape, [1, 2, 2]);
    assert_eq!(data.train.labels, [9, 0, 4]);
    assert_eq!(data.train.image(1), [4, 5, 6, 7]);
    assert_eq!((data.test.len(), data.test.labels[0]), (1, 7));
    assert_eq!(data.classes.len(), 10);
}

#[test]
fn both_spellings_do() {
    let dir = folder();
    for name in NAMES {
        fs::rename(dir.path().join(name), dir.path().join(name.replace("-idx", ".idx"))).unwrap();
    }
    assert_eq!(mnist(dir.path()).unwrap().train.labels, [9, 0, 4]);
}

#[test]
fn a_missing_file_is_named_in_all_its_spellings() {
    for name in NAMES {
        let dir = folder();
        fs::remove_file(dir.path().join(name)).unwrap();
        let text = mnist(dir.path()).unwrap_err().to_string();
        let dotted = name.replace("-idx", ".idx");
        for spelling in [format!("{name}, "), format!("{name}.gz"), format!("{dotted}, "), format!("{dotted}.gz")] {
            assert!(text.contains(&spelling), "{text}");
        }
    }
}

#[test]
fn a_missing_folder_cannot_be_read() {
    let dir = folder();
    for path in [dir.path().join("none"), dir.path().join(NAMES[0])] {
        let error = mnist(&path).unwrap_err();
        assert!(matches!(error, Error::Io { action: "read", .. }), "{error}");
        assert_eq!(error.exit_status(), 2);
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    for (name, content, says) in [
        (NAMES[1], labels(&[9, 0]), "2 labels (offset 4), but 3 images in"),
        (NAMES[1], labels(&[9, 0, 10]), "label 10 of image 2 at offset 10, expected 0 to 9"),
        (NAMES[2], images(1, 3), "train images are [1, 2, 2] (C, H, W), but t10k images are [1, 3, 3]"),
        (NAMES[0], labels(&[1]), "expected 0x00000803"),
        (NAMES[3], images(1, 2), "expected 0x00000801"),
        (NAMES[2], images(0, 2), "holds no data"),
    ] {
        let dir = folder();
        fs::write(dir.path().join(name), content).unwrap();
        let error = mnist(dir.path()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn the_real_one_has_the_published_numbers() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist");
    let dir = std::env::var_os("WGRAD_MNIST").map_or(here, PathBuf::from);
    if !dir.is_dir() {
        return eprintln!("skipped: no MNIST in {}; set WGRAD_MNIST to its folder", dir.display());
    }
    let data = mnist(dir).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.shape), (60_000, 10_000, [1, 28, 28]));
    assert_eq!(data.train.labels[..5], [5, 0, 4, 1, 9]);
    assert_eq!(data.test.labels[..5], [7, 2, 1, 0, 4]);

    let pixels = &data.train.pixels;
    let (sum, squares) = pixels.iter().map(|&p| u64::from(p)).fold((0, 0), |(s, q), p| (s + p, q + p * p));
    let mean = sum as f64 / pixels.len() as f64;
    let std = (squares as f64 / pixels.len() as f64 - mean * mean).sqrt();
    assert_eq!(format!("{:.4} {:.4}", mean / 255.0, std / 255.0), format!("{MEAN} {STD}"));
}
