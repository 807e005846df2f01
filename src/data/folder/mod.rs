//! Folders of pictures: a folder for each class, as torchvision's `ImageFolder` has them.

mod decode;
mod scan;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use decode::{Decoded, Watch, decode, headers, survey};
use rand::Rng;
use rand_pcg::Pcg64;
use scan::{Classes, Problem, scan};

use super::images::bytes;
use super::{Dataset, Images, Need, Reading, Scale, resize};
use crate::{Error, Result};

/// ImageNet's, which pretrained networks expect.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The share of each class that is split off where nobody says.
const HOLDOUT: f64 = 0.1;

/// Of one picture; no device takes more.
const MOST_BYTES: usize = 1 << 31;

/// Problems that are told with their names; there may be thousands.
const TOLD: usize = 5;

/// The pictures of a folder, to be read in any size.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    train: Vec<File>,
    test: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    label: u32,
}

/// Reads the pictures in `dir`: `CLASS/NAME.jpg`, or such folders below `train/` and `val/` or `test/`.
///
/// Files are JPEG, PNG, BMP or PNM, grey or in colour, of any size; folders within a class folder belong to it. Classes
/// are sorted by name, pictures by folder and name. Where there is no part to test on, the share `holdout` of each class
/// is split off (a tenth if nobody says), drawn from `seed`. Pictures are brought to one shape as [`Dataset::fit`] says:
/// `input`; or what `choose` makes of the shape that all of them have, if they have one; or that shape. Pixels are
/// normalised by ImageNet's mean and std.
///
/// What cannot be decoded is left out and told in [`Dataset::notes`], or an error where reading is `strict`.
///
/// Where reading is to `stream`, and where the pixels would take more than 8 GiB or a third of the memory that is free
/// (where the system tells, as Linux does), the pictures stay in their files and are decoded anew whenever a run needs
/// them. They are all decoded once beforehand, without keeping anything: what is left out is then known, and a run's
/// numbers are to the bit those of pictures in memory. A file that vanishes or is damaged afterwards is an error of the
/// run.
///
/// # Errors
///
/// [`Error::Io`] for folders that cannot be read; [`Error::Format`] for those without classes or pictures, and for
/// classes that appear in the test part alone; [`Error::Usage`] for a holdout where there is a test part, and for
/// pictures of different sizes where no shape is given.
pub fn folder(dir: impl AsRef<Path>, reading: &Reading) -> Result<Dataset> {
    let dir = dir.as_ref();
    let found = scan(dir)?;
    let (classes, mut notes) = (found.train.keys().cloned().collect::<Vec<String>>(), found.notes);
    let train = files(&found.train, &classes);
    let (train, test) = match (found.test, reading.holdout) {
        (None, holdout) => {
            let share = holdout.unwrap_or(HOLDOUT);
            let parts = split(train, classes.len(), share, reading.seed)?;
            if holdout.is_none() {
                notes.push(format!(
                    "{}: no val/ or test/, so {share} of each class is held out to test on",
                    dir.display()
                ));
            }
            parts
        }
        (Some((test, part)), None) => {
            check_classes(&dir.join(part), &classes, &test)?;
            let files = files(&test, &classes);
            (train, files)
        }
        (Some((_, part)), Some(_)) => {
            let part = dir.join(part);
            return Err(Error::usage(format!("--holdout: there are test images in {}; leave it out", part.display())));
        }
    };
    if test.is_empty() {
        return Err(Error::usage(format!(
            "{}: no class has enough pictures to hold one out; add a folder val/",
            dir.display()
        )));
    }
    let mut files = Files { dir: dir.into(), train, test };
    let shape = files.shape(reading)?;
    let stream = reading.stream || files.is_large(shape);
    let quiet = |_, _| ();
    let [train, test] = files.examine(shape, stream, reading.need, reading.progress.unwrap_or(&quiet))?;
    let problems = [&found.problems[..], &train.problems, &test.problems].concat();
    if let (true, Some((path, why))) = (reading.strict, problems.first()) {
        return Err(Error::format(path, format!("{why}; mend or remove it, or leave out --strict")));
    }
    notes.extend(left_out(&problems));
    let seen = |part: &Decoded| part.good.iter().filter(|good| **good).count();
    match reading.need {
        Need::All => notes.extend(converted(shape[0], train.grey + test.grey, seen(&train) + seen(&test))),
        Need::Test => notes.extend(converted(shape[0], test.grey, seen(&test))),
        Need::Names => {}
    }
    let in_files = stream || reading.need != Need::All;
    if in_files {
        retain(&mut files.train, &train.good);
        retain(&mut files.test, &test.good);
    }
    let parts = [(&files.train, train), (&files.test, test)];
    let [train, test] = parts.map(|(files, Decoded { good, pixels, .. })| match in_files {
        true => images(files, &vec![true; files.len()], pixels, shape),
        false => images(files, &good, pixels, shape),
    });
    for (label, class) in (0..).zip(&classes) {
        if !train.labels.contains(&label) {
            return Err(Error::format(dir.join(class), "none of the pictures of this class can be read"));
        }
    }
    if test.is_empty() {
        return Err(Error::format(dir, "none of the test pictures can be read"));
    }
    let name = dir.file_name().map_or("folder".into(), |name| name.to_string_lossy().into_owned());
    let stats = match shape[0] {
        1 => (vec![resize::weighted(&MEAN)], vec![resize::weighted(&STD)]),
        _ => (MEAN.to_vec(), STD.to_vec()),
    };
    let sources = in_files.then(|| files.sources(shape));
    let (mean, std) = stats;
    let scale = Scale::Files(Arc::new(files));
    let data = Dataset { name, classes, mean, std, train, test, notes, scale, sources, streams: stream };
    data.check()?;
    Ok(data)
}

/// Leaves the files that are not good out.
fn retain(files: &mut Vec<File>, good: &[bool]) {
    let mut good = good.iter();
    files.retain(|_| good.next().is_none_or(|good| *good));
}

/// The files of all classes, labelled.
fn files(classes: &Classes, names: &[String]) -> Vec<File> {
    let label = |name: &String| names.iter().position(|other| other == name).unwrap_or(0) as u32;
    let of_class = |(name, paths): (&String, &Vec<PathBuf>)| {
        let label = label(name);
        paths.iter().map(move |path| File { path: path.clone(), label }).collect::<Vec<File>>()
    };
    classes.iter().flat_map(of_class).collect()
}

fn check_classes(dir: &Path, classes: &[String], test: &Classes) -> Result<()> {
    match test.keys().find(|name| !classes.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Error::format(
            dir.join(name),
            format!("this class has no folder in train/, which has {}; rename or remove it", some(classes)),
        )),
    }
}

fn some(names: &[String]) -> String {
    let more = if names.len() > 10 { ", ..." } else { "" };
    names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}

/// Takes the share out of each class, at least one of two; both parts stay in order.
fn split(files: Vec<File>, classes: usize, share: f64, seed: u64) -> Result<(Vec<File>, Vec<File>)> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::usage(format!("--holdout must be between 0 and 1 (both excluded), got {share}")));
    }
    let mut held = vec![false; files.len()];
    for class in 0..classes as u32 {
        let mut left: Vec<usize> = (0..files.len()).filter(|&i| files[i].label == class).collect();
        let count = ((left.len() as f64 * share).round() as usize).max(1).min(left.len().saturating_sub(1));
        // A stream of its own, so that more classes do not change what is drawn of this one.
        let mut random = Pcg64::new(u128::from(seed), (1 << 64) + u128::from(class));
        for _ in 0..count {
            let pick = (u128::from(random.next_u64()) * left.len() as u128) >> 64;
            held[left.swap_remove(pick as usize)] = true;
        }
    }
    let (test, train): (Vec<_>, Vec<_>) = files.into_iter().zip(held).partition(|(_, held)| *held);
    let bare = |part: Vec<(File, bool)>| part.into_iter().map(|(file, _)| file).collect();
    Ok((bare(train), bare(test)))
}

impl Files {
    /// The shape to bring the pictures to.
    fn shape(&self, reading: &Reading) -> Result<[usize; 3]> {
        let shape = match reading.input {
            Some(shape) => shape,
            None => {
                let headers = headers(&paths(self.train.iter().chain(&self.test)));
                let Some(first) = headers.first() else { return Err(self.unreadable()) };
                let channels = if headers.iter().any(|header| header.colour) { 3 } else { 1 };
                let same = headers.iter().all(|h| (h.width, h.height) == (first.width, first.height));
                match (same.then_some([channels, first.height, first.width]), reading.choose) {
                    (native, Some(choose)) => choose(native),
                    (Some(native), None) => native,
                    (None, None) => {
                        let sides = headers.iter().flat_map(|header| [header.width, header.height]);
                        let (low, high) = (sides.clone().min().unwrap_or(0), sides.max().unwrap_or(0));
                        return Err(Error::usage(format!(
                            "{}: the pictures have sides of {low} to {high} pixels; say with --input CxHxW what to bring \
                             them to",
                            self.dir.display()
                        )));
                    }
                }
            }
        };
        match shape {
            [1 | 3, height, width] if height.min(width) > 0 => match bytes(1, shape).filter(|one| *one <= MOST_BYTES) {
                Some(_) => Ok(shape),
                None => Err(Error::usage(format!("no memory for pictures of {shape:?}; use a smaller input size"))),
            },
            _ => Err(Error::shape(
                format!("data set {}", self.dir.display()),
                format!(
                    "pictures have 1 or 3 channels and at least a pixel, not {shape:?} (C, H, W); choose another --input"
                ),
            )),
        }
    }

    /// What there is to say of both parts, with their pixels unless they `stream`; a part that is not needed counts as
    /// good without a look.
    fn examine(&self, shape: [usize; 3], stream: bool, need: Need, watch: Watch) -> Result<[Decoded; 2]> {
        let (train, test) = (need == Need::All, need != Need::Names);
        let count = |files: &[File], needed: bool| if needed { files.len() } else { 0 };
        let total = count(&self.train, train) + count(&self.test, test);
        let part = |files: &[File], needed: bool, before: usize| {
            let (paths, watch) = (paths(files), |done, _| watch(before + done, total));
            match (needed, stream) {
                (false, _) => Ok(Decoded { pixels: vec![], good: vec![true; files.len()], grey: 0, problems: vec![] }),
                (true, true) => Ok(survey(&paths, &watch)),
                (true, false) => decode(&paths, shape, &watch),
            }
        };
        let train_part = part(&self.train, train, 0)?;
        if !self.train.is_empty() && !train_part.good.contains(&true) {
            return Err(self.unreadable());
        }
        Ok([train_part, part(&self.test, test, count(&self.train, train))?])
    }

    /// Both parts in `shape`, what cannot be read left out.
    pub(super) fn read(&self, shape: [usize; 3]) -> Result<(Images, Images)> {
        let [train, test] = self.examine(shape, false, Need::All, &|_, _| ())?;
        let train = images(&self.train, &train.good, train.pixels, shape);
        Ok((train, images(&self.test, &test.good, test.pixels, shape)))
    }

    fn unreadable(&self) -> Error {
        Error::format(&self.dir, "none of its pictures can be read: JPEG, PNG, BMP and PNM files are")
    }
}

fn paths<'a>(files: impl IntoIterator<Item = &'a File>) -> Vec<&'a Path> {
    files.into_iter().map(|file| &*file.path).collect()
}

fn images(files: &[File], good: &[bool], pixels: Vec<u8>, shape: [usize; 3]) -> Images {
    let labels = files.iter().zip(good).filter(|(_, good)| **good).map(|(file, _)| file.label).collect();
    Images { shape, pixels, labels }
}

fn left_out(problems: &[Problem]) -> Option<String> {
    let told: Vec<String> =
        problems.iter().take(TOLD).map(|(path, why)| format!("{}: {why}", path.display())).collect();
    let more = problems.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let files = if problems.len() == 1 { "file is" } else { "files are" };
    (!problems.is_empty()).then(|| format!("{} {files} left out: {}{more}", problems.len(), told.join("; ")))
}

fn converted(channels: usize, grey: usize, total: usize) -> Option<String> {
    match channels {
        3 if grey > 0 => Some(format!("{grey} of {total} pictures are grey: their channel is repeated to three")),
        1 if grey < total => Some(format!("{} of {total} pictures have colours: they are turned grey", total - grey)),
        _ => None,
    }
}

/// The content of a picture's file in `shape`.
#[cfg(fuzzing)]
pub(crate) fn content(bytes: &[u8], shape: [usize; 3]) -> Result<Vec<u8>> {
    let (pixels, from) = decode::parse(bytes).map_err(|why| Error::format("picture", why))?;
    Ok(resize::fit(&pixels, from, shape))
}

#[cfg(test)]
mod tests;
