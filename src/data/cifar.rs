//! CIFAR-10 and CIFAR-100: 50,000 small photographs to train and 10,000 to test, 32x32 in colour (Krizhevsky 2009,
//! "Learning Multiple Layers of Features from Tiny Images").
//!
//! The binary version: a record is one byte with the label (CIFAR-100: the coarse one, then the fine one), then 3,072
//! bytes of pixels `[C,H,W]`. Files hold nothing but records.

use std::path::Path;

use super::{Dataset, Images, Scale};
use crate::{Error, Result};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;
const SOURCE: &str = "https://www.cs.toronto.edu/~kriz/cifar.html";

/// What tells one of the two from the other.
struct Version {
    name: &'static str,
    /// The folder that its archive unpacks to.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    classes: usize,
    /// Bytes before the pixels; the last of them is the label.
    labels: usize,
    /// Records of all training files together, and of the test file.
    images: [usize; 2],
    /// Of the training images; the numbers that everyone normalises them with.
    mean: [f32; 3],
    std: [f32; 3],
}

const CIFAR10: Version = Version {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    classes: 10,
    labels: 1,
    images: [50_000, 10_000],
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.2470, 0.2435, 0.2616],
};

const CIFAR100: Version = Version {
    name: "cifar100",
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    classes: 100,
    labels: 2,
    images: [50_000, 10_000],
    mean: [0.5071, 0.4867, 0.4408],
    std: [0.2675, 0.2565, 0.2761],
};

/// Reads CIFAR-10's binary version from `dir`: `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` and
/// `batches.meta.txt`. `dir` may also be the folder around the one that the archive unpacks to.
///
/// # Errors
///
/// [`Error::Io`] for what cannot be read; [`Error::Format`] with file and offset for what is cut off or wrong.
pub fn cifar10(dir: impl AsRef<Path>) -> Result<Dataset> {
    read(&CIFAR10, dir.as_ref())
}

/// Reads CIFAR-100's binary version with its 100 fine labels from `dir`: `train.bin`, `test.bin` and
/// `fine_label_names.txt`. `dir` may also be the folder around the one that the archive unpacks to.
///
/// # Errors
///
/// Those of [`cifar10`].
pub fn cifar100(dir: impl AsRef<Path>) -> Result<Dataset> {
    read(&CIFAR100, dir.as_ref())
}

fn read(version: &Version, dir: &Path) -> Result<Dataset> {
    std::fs::read_dir(dir).map_err(|e| Error::io(dir, "read", e))?;
    let inner = dir.join(version.folder);
    let dir = if inner.is_dir() { &inner } else { dir };
    let classes = names(version, dir)?;
    let mut notes = Vec::new();
    let mut part = |files: &[&str], expected: usize| -> Result<Images> {
        let mut images = Images { shape: SHAPE, pixels: vec![], labels: vec![] };
        for file in files {
            records(version, &dir.join(file), &mut images)?;
        }
        if images.len() != expected {
            notes.push(format!(
                "{}: {} images in {}, the published files have {expected}",
                dir.display(),
                images.len(),
                files.join(", ")
            ));
        }
        Ok(images)
    };
    let [train_count, test_count] = version.images;
    let (train, test) = (part(version.train, train_count)?, part(&[version.test], test_count)?);
    let mut data = Dataset::new(version.name, classes, (version.mean.into(), version.std.into()), train, test)?;
    data.scale = Scale::Resize;
    data.notes = notes;
    Ok(data)
}

/// Appends the records of a file.
fn records(version: &Version, path: &Path, images: &mut Images) -> Result<()> {
    parse(version, path, &bytes(version, path)?, images)
}

/// Appends the records in `bytes`, the content of `path`.
fn parse(version: &Version, path: &Path, bytes: &[u8], images: &mut Images) -> Result<()> {
    let record = version.labels + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        return Err(Error::format(
            path,
            format!(
                "{} bytes are no whole number of images of {record} bytes: it is cut off at offset {}, or another file; \
                 download it again from {SOURCE} (binary version)",
                bytes.len(),
                bytes.len() - bytes.len() % record
            ),
        ));
    }
    images.pixels.reserve(bytes.len() / record * PIXELS);
    for (i, bytes) in bytes.chunks_exact(record).enumerate() {
        let (labels, pixels) = bytes.split_at(version.labels);
        let label = labels[version.labels - 1];
        if usize::from(label) >= version.classes {
            return Err(Error::format(
                path,
                format!(
                    "label {label} of image {i} at offset {}, expected 0 to {}; download it again from {SOURCE}",
                    i * record + version.labels - 1,
                    version.classes - 1
                ),
            ));
        }
        images.labels.push(label.into());
        images.pixels.extend(pixels);
    }
    Ok(())
}

fn names(version: &Version, dir: &Path) -> Result<Vec<String>> {
    let path = dir.join(version.names);
    let text = String::from_utf8_lossy(&bytes(version, &path)?).into_owned();
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect();
    if names.len() == version.classes {
        return Ok(names);
    }
    let message = format!("{} names of classes, one to a line, expected {}", names.len(), version.classes);
    Err(Error::format(path, message))
}

fn bytes(version: &Version, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let files = [version.train, &[version.test, version.names]].concat().join(", ");
            let message =
                format!("there is no such file; {} wants {files}, see {SOURCE} (binary version)", version.name);
            Error::format(path, message)
        }
        _ => Error::io(path, "read", error),
    })
}

/// The images in the content of one file of CIFAR-10, or of CIFAR-100 with its `fine` labels.
#[cfg(fuzzing)]
pub(crate) fn content(fine: bool, bytes: &[u8]) -> Result<Images> {
    let mut images = Images { shape: SHAPE, pixels: vec![], labels: vec![] };
    parse(if fine { &CIFAR100 } else { &CIFAR10 }, Path::new("cifar"), bytes, &mut images)?;
    Ok(images)
}

#[cfg(test)]
#[path = "cifar_tests.rs"]
mod tests;
