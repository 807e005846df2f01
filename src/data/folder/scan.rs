//! What lies in an image folder: parts, classes and pictures, in an order that depends on names alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Endings of pictures, in any case.
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "ppm", "pgm"];

/// What could not be used, and why.
pub(super) type Problem = (PathBuf, String);

/// The pictures of each class, sorted by folder, then by name.
pub(super) type Classes = BTreeMap<String, Vec<PathBuf>>;

/// What was found.
pub(super) struct Scan {
    pub train: Classes,
    /// The part to measure on, and the name of its folder.
    pub test: Option<(Classes, &'static str)>,
    pub problems: Vec<Problem>,
    pub notes: Vec<String>,
}

pub(super) fn scan(dir: &Path) -> Result<Scan> {
    let mut scan = Scan { train: Classes::new(), test: None, problems: vec![], notes: vec![] };
    let train = dir.join("train");
    // A `train` that holds pictures is a class of its own: railways.
    if train.is_dir() && entries(&train)?.iter().any(|entry| entry.path.is_dir()) {
        scan.train = scan.classes(&train)?;
        let mut parts = ["val", "test"].into_iter().filter(|part| dir.join(part).is_dir());
        if let Some(part) = parts.next() {
            scan.test = Some((scan.classes(&dir.join(part))?, part));
        }
        if let Some(other) = parts.next() {
            scan.notes.push(format!("{}: val/ is measured on, {other}/ is left alone", dir.display()));
        }
    } else {
        scan.train = scan.classes(dir)?;
    }
    Ok(scan)
}

struct Entry {
    name: OsString,
    path: PathBuf,
}

/// What is in a folder, by name, but for hidden things.
fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let fail = |error| Error::io(dir, "read", error);
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && name != "__MACOSX" {
            all.push(Entry { name, path: entry.path() });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}

impl Scan {
    /// Each folder in `dir` with its pictures.
    fn classes(&mut self, dir: &Path) -> Result<Classes> {
        let (mut classes, mut beside) = (Classes::new(), 0);
        for Entry { name, path } in entries(dir)? {
            if !path.is_dir() {
                beside += usize::from(is_picture(&path));
                continue;
            }
            let mut found = Vec::new();
            self.pictures(&path, &mut vec![], &mut found)?;
            if found.is_empty() {
                let message = format!(
                    "this class folder holds no pictures ({}); remove it, or put pictures into it",
                    ENDINGS.join(", ")
                );
                return Err(Error::format(&path, message));
            }
            found.sort();
            let paths = found.into_iter().map(|(folder, name)| folder.join(name)).collect();
            if classes.insert(name.to_string_lossy().into_owned(), paths).is_some() {
                let message = "two class folders have this name as text (its bytes are no UTF-8); rename one";
                return Err(Error::format(&path, message));
            }
        }
        if classes.is_empty() {
            let message =
                "no class folders: expected CLASS/NAME.jpg, or train/CLASS/NAME.jpg (also png, bmp, ppm, pgm)";
            return Err(Error::format(dir, message));
        }
        if beside > 0 {
            self.notes.push(format!("{}: {beside} pictures beside the class folders are left out", dir.display()));
        }
        Ok(classes)
    }

    /// Appends the pictures in `dir` and below as folder and name; `above` are the folders on the way, links resolved.
    fn pictures(&mut self, dir: &Path, above: &mut Vec<PathBuf>, found: &mut Vec<(PathBuf, OsString)>) -> Result<()> {
        let real = fs::canonicalize(dir).map_err(|error| Error::io(dir, "read", error))?;
        if above.contains(&real) {
            self.problems.push((dir.into(), format!("this link leads back to {}", real.display())));
            return Ok(());
        }
        above.push(real);
        for Entry { name, path } in entries(dir)? {
            match fs::metadata(&path) {
                Ok(data) if data.is_dir() => self.pictures(&path, above, found)?,
                Ok(data) if data.is_file() && is_picture(&path) => found.push((dir.into(), name)),
                Err(error) if is_picture(&path) || path.is_symlink() => {
                    self.problems.push((path, format!("cannot read: {error}")));
                }
                _ => {}
            }
        }
        above.pop();
        Ok(())
    }
}
