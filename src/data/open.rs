//! Data sets by name.

use super::{Dataset, digits};
use crate::{Error, Result};

/// What [`open`] understands, for error texts and help.
pub const SPECS: &str = "`digits` (embedded), `mnist:DIR` (a folder with the four IDX files), `cifar10:DIR` and \
     `cifar100:DIR` (the binary version) or `folder:DIR` (pictures as CLASS/NAME.jpg, or in train/ and test/)";

/// What of a folder is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// Both parts.
    #[default]
    All,
    /// The part to measure on. Training images are counted by their files, and none of them is looked at.
    Test,
    /// Classes, counts and shape: no picture is decoded.
    Names,
}

/// How a data set is read; the default is what [`open`] does.
#[derive(Clone, Default)]
pub struct Reading<'a> {
    /// `[C,H,W]` to bring the images to, see [`Dataset::fit`].
    pub input: Option<[usize; 3]>,
    /// Of folders without `input`: what to bring the pictures to, given the shape that they all have, if they have one.
    pub choose: Option<&'a dyn Fn(Option<[usize; 3]>) -> [usize; 3]>,
    /// Of folders without a test part: the share of each class that becomes one.
    pub holdout: Option<f64>,
    /// Decides which images are held out.
    pub seed: u64,
    /// Of folders: whether a file that cannot be read is an error.
    pub strict: bool,
    /// Of folders: reads the pictures anew whenever a run needs them, instead of keeping their pixels in memory; see
    /// [`folder`](super::folder).
    pub stream: bool,
    /// Of folders: what is wanted of them. Images that are not come from their files if they are asked for nevertheless.
    pub need: Need,
    /// In place of the data set's: of each channel, of pixels scaled to 0..1; one number does for all channels.
    pub mean: Option<Vec<f32>>,
    /// Likewise.
    pub std: Option<Vec<f32>>,
    /// Of folders: hears how many of how many pictures are decoded, from several threads.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

/// Opens the data set that `spec` names, see [`SPECS`].
///
/// # Errors
///
/// [`Error::Usage`] for an unknown name, or one that this build leaves out; what reading the files gives otherwise.
pub fn open(spec: &str) -> Result<Dataset> {
    open_with(spec, &Reading::default())
}

/// [`open`], with a say in how.
///
/// # Errors
///
/// Those of [`open`] and [`Dataset::fit`]; [`Error::Usage`] for what does not suit the data set.
pub fn open_with(spec: &str, reading: &Reading) -> Result<Dataset> {
    let (kind, dir) = spec.split_once(':').unwrap_or((spec, ""));
    if let (true, "digits" | "mnist" | "cifar10" | "cifar100") = (reading.holdout.is_some(), kind) {
        return Err(Error::usage(format!("--holdout: `{kind}` has test images of its own; leave it out")));
    }
    if let (true, "digits" | "mnist" | "cifar10" | "cifar100") = (reading.stream, kind) {
        return Err(Error::usage(format!(
            "--stream: `{kind}` is small enough for memory, folders alone stream; leave it out"
        )));
    }
    let mut data = match (kind, dir) {
        ("digits", "") => digits(),
        ("digits", _) => {
            return Err(Error::usage(format!("data set `{spec}`: `digits` is embedded and takes no folder")));
        }
        ("mnist" | "cifar10" | "cifar100" | "folder", "") => {
            return Err(Error::usage(format!("data set `{kind}` needs its folder: write `{kind}:DIR`")));
        }
        #[cfg(feature = "datasets")]
        ("mnist", _) => super::mnist(dir)?,
        #[cfg(feature = "datasets")]
        ("cifar10", _) => super::cifar10(dir)?,
        #[cfg(feature = "datasets")]
        ("cifar100", _) => super::cifar100(dir)?,
        #[cfg(feature = "images")]
        ("folder", _) => super::folder(dir, reading)?,
        #[allow(unreachable_patterns, reason = "a build with all features reads them all")]
        ("mnist" | "cifar10" | "cifar100" | "folder", _) => {
            let feature = if kind == "folder" { "images" } else { "datasets" };
            return Err(Error::usage(format!(
                "data set `{spec}`: this build does not read it; build with `--features {feature}`, or use `digits`"
            )));
        }
        _ => return Err(Error::usage(format!("unknown data set `{spec}`; there is {SPECS}"))),
    };
    if let Some(input) = reading.input {
        data = data.fit(input)?;
    }
    let channels = data.train.shape[0];
    for (given, numbers) in [(&reading.mean, &mut data.mean), (&reading.std, &mut data.std)] {
        match given.as_deref() {
            Some([number]) => *numbers = vec![*number; channels],
            Some(given) => *numbers = given.to_vec(),
            None => {}
        }
    }
    data.check()?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_open_and_bad_names_say_what_there_is() {
        assert_eq!(open("digits").unwrap().name, "digits");
        for (spec, says) in [
            ("", "mnist:DIR"),
            ("imagenet", "`digits` (embedded)"),
            ("mnist", "`mnist:DIR`"),
            ("mnist:", "`mnist:DIR`"),
            ("cifar100", "`cifar100:DIR`"),
            ("folder:", "`folder:DIR`"),
            ("digits:/tmp", "no folder"),
        ] {
            let error = open(spec).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{spec}: {error}");
            assert!(error.to_string().contains(says), "{spec}: {error}");
        }
        let missing = open("mnist:/no/such/folder").unwrap_err();
        let wanted = if cfg!(feature = "datasets") { "/no/such/folder: cannot read" } else { "--features datasets" };
        assert!(missing.to_string().contains(wanted), "{missing}");
    }

    #[test]
    fn normalisation_and_size_can_be_said() {
        let reading = Reading { input: Some([3, 32, 32]), mean: Some(vec![0.5]), ..Reading::default() };
        let data = open_with("digits", &reading).unwrap();
        assert_eq!((data.train.shape, data.mean, data.std.len()), ([3, 32, 32], vec![0.5; 3], 3));
        for (reading, says) in [
            (Reading { std: Some(vec![0.0]), ..Reading::default() }, "above 0"),
            (Reading { mean: Some(vec![0.1, 0.2]), ..Reading::default() }, "per channel (1)"),
            (Reading { holdout: Some(0.1), ..Reading::default() }, "has test images of its own"),
            (Reading { stream: true, ..Reading::default() }, "folders alone stream"),
        ] {
            let error = open_with("digits", &reading).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
