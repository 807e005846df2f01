//! Folders of pictures, made here, with everything that may be wrong with them.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{GrayImage, Luma, Rgb, RgbImage};

use super::*;

/// A picture in one colour.
fn colour(dir: &Path, name: &str, (width, height): (u32, u32), value: u8) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(width, height, Rgb([value, 10, 20])).save(path).unwrap();
}

fn grey(dir: &Path, name: &str, (width, height): (u32, u32), value: u8) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(width, height, Luma([value])).save(path).unwrap();
}

/// Two classes of four and three pictures of 4x4.
fn flat() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (i, name) in
        (0..).zip(["dog/b.png", "dog/a.PNG", "cat/3.png", "cat/x/0.png", "cat/10.bmp", "cat/2.ppm", "dog/c.png"])
    {
        colour(dir.path(), name, (4, 4), i);
    }
    fs::write(dir.path().join("cat/notes.txt"), "no picture").unwrap();
    fs::create_dir(dir.path().join(".hidden")).unwrap();
    dir
}

fn parts() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (i, name) in (0..).zip(["train/a/0.png", "train/b/0.png", "test/a/0.png", "test/b/1.png"]) {
        colour(dir.path(), name, (4, 4), i);
    }
    dir
}

/// The first pixel of each image: which of the fixtures it is.
fn firsts(images: &Images) -> Vec<u8> {
    (0..images.len()).map(|i| images.image(i)[0]).collect()
}

fn open(dir: &tempfile::TempDir) -> Result<Dataset> {
    folder(dir.path(), &Reading::default())
}

fn refused(dir: &tempfile::TempDir, reading: &Reading, says: &str) {
    let error = folder(dir.path(), reading).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(error.exit_status(), 2, "{error}");
}

#[test]
fn parts_and_classes_are_sorted_and_pixels_are_the_files() {
    let data = open(&parts()).unwrap();
    assert_eq!(data.classes, ["a", "b"]);
    assert_eq!((&*data.train.labels, &*data.test.labels), (&[0, 1][..], &[0, 1][..]));
    assert_eq!((firsts(&data.train), firsts(&data.test)), (vec![0, 1], vec![2, 3]));
    assert_eq!(data.test.image(1), [[3_u8; 16], [10; 16], [20; 16]].as_flattened());
    assert_eq!((data.mean, data.notes), (MEAN.to_vec(), vec![]));
}

#[test]
fn pictures_are_sorted_and_held_out_by_class() {
    let dir = flat();
    let reading = |seed| Reading { holdout: Some(0.3), seed, ..Reading::default() };
    let data = folder(dir.path(), &reading(1)).unwrap();
    // Folders before what is below them: cat/10, cat/2, cat/3, cat/x/0, dog/a, dog/b, dog/c.
    let order = [4, 5, 2, 3, 1, 0, 6];
    let place = |value: &u8| order.iter().position(|other| other == value).unwrap();
    let (train, test) = (firsts(&data.train), firsts(&data.test));
    assert!(train.is_sorted_by_key(place) && test.is_sorted_by_key(place), "{train:?} {test:?}");
    assert_eq!((&*data.train.labels, &*data.test.labels), (&[0, 0, 0, 1, 1][..], &[0, 1][..]));
    assert_eq!(firsts(&folder(dir.path(), &reading(1)).unwrap().test), test);
    let others: Vec<_> = (2..12).map(|seed| firsts(&folder(dir.path(), &reading(seed)).unwrap().test)).collect();
    assert!(others.iter().any(|other| *other != test));
    let untold = open(&dir).unwrap();
    assert!(untold.notes[0].contains("0.1 of each class is held out"), "{:?}", untold.notes);
    for share in [0.0, 1.0, f64::NAN] {
        refused(&dir, &Reading { holdout: Some(share), ..Reading::default() }, "between 0 and 1");
    }
    refused(&parts(), &reading(1), "there are test images in");
}

#[test]
fn grey_among_colours_is_repeated_and_told() {
    let dir = parts();
    grey(dir.path(), "train/a/1.png", (4, 4), 9);
    let data = open(&dir).unwrap();
    assert_eq!(data.train.image(1), [9; 48]);
    assert_eq!(data.notes, ["1 of 5 pictures are grey: their channel is repeated to three"]);
    let data = folder(dir.path(), &Reading { input: Some([1, 4, 4]), ..Reading::default() }).unwrap();
    assert_eq!(data.notes, ["4 of 5 pictures have colours: they are turned grey"]);
    assert_eq!((data.train.image(1), data.train.image(0)[0]), (&[9; 16][..], 8));

    let dir = tempfile::tempdir().unwrap();
    for name in ["a/0.png", "a/1.png"] {
        grey(dir.path(), name, (4, 4), 7);
    }
    let data = open(&dir).unwrap();
    assert_eq!((data.train.shape, data.mean.len(), data.notes.len()), ([1, 4, 4], 1, 1));
}

#[test]
fn sizes_come_from_the_network_or_an_option() {
    let dir = parts();
    assert_eq!(open(&dir).unwrap().fit([3, 8, 6]).unwrap().train.shape, [3, 8, 6]);
    colour(dir.path(), "train/b/1.png", (9, 5), 200);
    refused(&dir, &Reading::default(), "sides of 4 to 9 pixels; say with --input CxHxW");
    let asked = |native: Option<[usize; 3]>| native.unwrap_or([3, 6, 6]);
    let data = folder(dir.path(), &Reading { choose: Some(&asked), ..Reading::default() }).unwrap();
    assert_eq!((data.train.shape, firsts(&data.train)), ([3, 6, 6], vec![0, 1, 200]));
    refused(&dir, &Reading { input: Some([2, 4, 4]), ..Reading::default() }, "1 or 3 channels");
    refused(&dir, &Reading { input: Some([3, 1 << 40, 1 << 40]), ..Reading::default() }, "no memory");
}

#[test]
fn what_cannot_be_read_is_left_out_by_name_or_an_error() {
    let dir = parts();
    let whole = dir.path().join("whole.jpg");
    let noise = |x: u32, y: u32| Rgb([(x * 83 + y * 59 + x * y) as u8, (x * 17) as u8, (y * 101) as u8]);
    RgbImage::from_fn(64, 64, noise).save(&whole).unwrap();
    let bytes = fs::read(&whole).unwrap();
    let inner = dir.path().join("train/b");
    fs::write(inner.join("cut.jpg"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(inner.join("text.png"), "no picture").unwrap();
    fs::write(inner.join("nothing.jpg"), "").unwrap();
    let data = folder(dir.path(), &Reading { input: Some([3, 4, 4]), ..Reading::default() }).unwrap();
    assert_eq!(data.train.labels, [0, 1]);
    let note = &data.notes[0];
    assert!(note.starts_with("3 files are left out") && note.contains("b/cut.jpg: the JPEG data is cut off"), "{note}");
    assert!(note.contains("b/text.png") && note.contains("b/nothing.jpg"), "{note}");
    let strict = Reading { strict: true, input: Some([3, 4, 4]), ..Reading::default() };
    refused(&dir, &strict, "cut.jpg");
    // Images stay with their labels when they are read again.
    assert_eq!(firsts(&data.fit([3, 2, 2]).unwrap().train), [0, 1]);
}

#[test]
fn folders_that_make_no_data_set_are_refused() {
    let empty = tempfile::tempdir().unwrap();
    refused(&empty, &Reading::default(), "no class folders");
    let dir = parts();
    fs::create_dir(dir.path().join("train/c")).unwrap();
    refused(&dir, &Reading::default(), "train/c: this class folder holds no pictures");
    fs::write(dir.path().join("train/c/0.jpg"), "no picture").unwrap();
    refused(&dir, &Reading::default(), "none of the pictures of this class can be read");
    let dir = parts();
    colour(dir.path(), "test/zebra/0.png", (4, 4), 0);
    refused(&dir, &Reading::default(), "test/zebra: this class has no folder in train/, which has a, b");
    let dir = tempfile::tempdir().unwrap();
    for name in ["a/0.jpg", "a/1.jpg"] {
        fs::create_dir_all(dir.path().join("a")).unwrap();
        fs::write(dir.path().join(name), "no picture").unwrap();
    }
    refused(&dir, &Reading::default(), "none of its pictures can be read");
    let dir = tempfile::tempdir().unwrap();
    colour(dir.path(), "a/0.png", (4, 4), 0);
    refused(&dir, &Reading::default(), "no class has enough pictures");
    let error = folder("/no/such/folder", &Reading::default()).unwrap_err();
    assert!(matches!(error, Error::Io { action: "read", .. }), "{error}");
}

#[test]
fn a_train_that_holds_pictures_is_a_class() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["train/0.png", "train/1.png", "ship/0.png", "ship/1.png"] {
        colour(dir.path(), name, (4, 4), 0);
    }
    assert_eq!(open(&dir).unwrap().classes, ["ship", "train"]);
}

#[test]
#[cfg(unix)]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let (dir, elsewhere) = (parts(), tempfile::tempdir().unwrap());
    colour(elsewhere.path(), "5.png", (4, 4), 77);
    symlink(elsewhere.path(), dir.path().join("train/b/more")).unwrap();
    assert_eq!(firsts(&open(&dir).unwrap().train), [0, 1, 77]);
    symlink("..", dir.path().join("train/b/up")).unwrap();
    symlink("self.png", dir.path().join("train/a/self.png")).unwrap();
    let data = open(&dir).unwrap();
    assert!(data.notes[0].contains("self.png: cannot read"), "{:?}", data.notes);
    let strict = Reading { strict: true, ..Reading::default() };
    refused(&dir, &strict, "self.png");
    fs::remove_file(dir.path().join("train/a/self.png")).unwrap();
    symlink(".", dir.path().join("train/a/loop")).unwrap();
    let data = open(&dir).unwrap();
    assert!(data.notes[0].contains("loop: this link leads back to"), "{:?}", data.notes);
}

#[test]
fn progress_counts_to_the_end() {
    let (calls, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let watch = |done: usize, total: usize| {
        assert_eq!(total, 4);
        calls.fetch_add(1, Ordering::Relaxed);
        last.fetch_max(done, Ordering::Relaxed);
    };
    folder(parts().path(), &Reading { progress: Some(&watch), ..Reading::default() }).unwrap();
    assert!(calls.into_inner() >= 4 && last.into_inner() == 4);
}
