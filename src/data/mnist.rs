//! MNIST: 60,000 handwritten digits to train and 10,000 to test, 28x28 (LeCun, Cortes, Burges).

use std::path::{Path, PathBuf};

use super::{Dataset, Images, idx};
use crate::{Error, Result};

const CLASSES: usize = 10;

/// Of the training images; the numbers that everyone normalises MNIST with.
const MEAN: f32 = 0.1307;
const STD: f32 = 0.3081;

/// Reads MNIST, or anything in its format with ten classes, from the four IDX files in `dir`.
///
/// The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`; each may be packed (`.gz`), and `.idx3-ubyte` may stand for `-idx3-ubyte`. Images stay in
/// the order of the files.
///
/// # Errors
///
/// [`Error::Io`] for what cannot be read; [`Error::Format`] with file and offset for what is missing or wrong.
pub fn mnist(dir: impl AsRef<Path>) -> Result<Dataset> {
    let dir = dir.as_ref();
    std::fs::read_dir(dir).map_err(|e| Error::io(dir, "read", e))?;
    let (train, test) = (part(dir, "train")?, part(dir, "t10k")?);
    if train.shape != test.shape {
        return Err(Error::format(
            dir,
            format!(
                "train images are {:?} (C, H, W), but t10k images are {:?}: the files are of two data sets",
                train.shape, test.shape
            ),
        ));
    }
    let classes = (0..CLASSES).map(|digit| digit.to_string()).collect();
    Dataset::new("mnist", classes, (vec![MEAN], vec![STD]), train, test)
}

fn part(dir: &Path, stem: &str) -> Result<Images> {
    let images_file = find(dir, stem, "images", 3)?;
    let labels_file = find(dir, stem, "labels", 1)?;
    let ([count, height, width], pixels) = idx::read(&images_file)?;
    let ([labels_count], labels) = idx::read(&labels_file)?;
    if labels_count != count {
        return Err(Error::format(
            &labels_file,
            format!("{labels_count} labels (offset 4), but {count} images in {}", images_file.display()),
        ));
    }
    if let Some(i) = labels.iter().position(|&label| label as usize >= CLASSES) {
        return Err(Error::format(
            &labels_file,
            format!("label {} of image {i} at offset {}, expected 0 to {}", labels[i], 8 + i, CLASSES - 1),
        ));
    }
    Ok(Images { shape: [1, height, width], pixels, labels: labels.into_iter().map(u32::from).collect() })
}

fn find(dir: &Path, stem: &str, content: &str, dims: usize) -> Result<PathBuf> {
    let plain = ['-', '.'].map(|dot| format!("{stem}-{content}{dot}idx{dims}-ubyte"));
    let packed = plain.each_ref().map(|name| format!("{name}.gz"));
    let names = [plain, packed].concat();
    names.iter().map(|name| dir.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        Error::format(
            dir,
            format!(
                "no {stem} {content}: looked for {}; the four files are at https://ossci-datasets.s3.amazonaws.com/mnist/",
                names.join(", ")
            ),
        )
    })
}

#[cfg(test)]
#[path = "mnist_tests.rs"]
mod tests;
