//! Many pictures at once, from files to pixels.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::scan::Problem;
use crate::Result;
use crate::data::images::zeros;
use crate::data::parallel::parallel;
use crate::data::resize;

/// Hears how many of how many pictures are done.
pub(super) type Watch<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Pictures in one shape.
pub(super) struct Decoded {
    /// `[N,C,H,W]`, those that failed left out.
    pub pixels: Vec<u8>,
    /// For each file whether it can be read.
    pub good: Vec<bool>,
    /// How many of these are grey.
    pub grey: usize,
    pub problems: Vec<Problem>,
}

/// What the header of a picture says: width, height, whether it has colours.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Header {
    pub width: usize,
    pub height: usize,
    pub colour: bool,
}

/// The headers of those files that have one.
pub(super) fn headers(files: &[&Path]) -> Vec<Header> {
    let header = |path: &Path| {
        let decoder = ImageReader::open(path).ok()?.with_guessed_format().ok()?.into_decoder().ok()?;
        let (width, height) = decoder.dimensions();
        let colour = decoder.color_type().has_color();
        Some(Header { width: width as usize, height: height as usize, colour })
    };
    let guarded = |path| catch_unwind(|| header(path)).unwrap_or(None);
    parallel(files.to_vec(), &|_, _| (), guarded).into_iter().flatten().collect()
}

/// All `files` in `shape`.
pub(super) fn decode(files: &[&Path], shape: [usize; 3], watch: Watch) -> Result<Decoded> {
    let size = shape.iter().product();
    let mut pixels = zeros(files.len(), shape)?;
    let items: Vec<(&Path, &mut [u8])> = files.iter().copied().zip(pixels.chunks_exact_mut(size)).collect();
    let work = |(path, out): (&Path, &mut [u8])| read(path, shape, out);
    let results = parallel(items, watch, work);
    let (mut good, mut problems, mut grey, mut kept) = (vec![], vec![], 0, 0);
    for (i, (result, path)) in results.into_iter().zip(files).enumerate() {
        good.push(result.is_ok());
        match result {
            Ok(is_grey) => {
                pixels.copy_within(i * size..(i + 1) * size, kept * size);
                kept += 1;
                grey += usize::from(is_grey);
            }
            Err(why) => problems.push((PathBuf::from(path), why)),
        }
    }
    pixels.truncate(kept * size);
    Ok(Decoded { pixels, good, grey, problems })
}

/// What [`decode`] says of `files`, without their pixels: each is decoded, for nothing less tells a whole one from a
/// damaged one.
pub(super) fn survey(files: &[&Path], watch: Watch) -> Decoded {
    let results = parallel(files.to_vec(), watch, |path| guarded(path).map(|(_, shape)| shape[0] == 1));
    let mut found = Decoded { pixels: vec![], good: vec![], grey: 0, problems: vec![] };
    for (result, path) in results.into_iter().zip(files) {
        found.good.push(result.is_ok());
        match result {
            Ok(is_grey) => found.grey += usize::from(is_grey),
            Err(why) => found.problems.push((PathBuf::from(path), why)),
        }
    }
    found
}

/// Writes a picture in `shape` into `out`; says whether it is grey.
pub(super) fn read(path: &Path, shape: [usize; 3], out: &mut [u8]) -> Result<bool, String> {
    let (pixels, from) = guarded(path)?;
    out.copy_from_slice(&resize::fit(&pixels, from, shape));
    Ok(from[0] == 1)
}

/// A decoder that fails in its own way fails for this file alone.
fn guarded(path: &Path) -> Result<(Vec<u8>, [usize; 3]), String> {
    catch_unwind(AssertUnwindSafe(|| picture(path))).unwrap_or_else(|_| Err("damaged".into()))
}

/// The pixels of a file as `[C,H,W]`, C 1 or 3, as PIL's `convert("L")` and `convert("RGB")` have them: transparency is
/// dropped.
fn picture(path: &Path) -> Result<(Vec<u8>, [usize; 3]), String> {
    parse(&std::fs::read(path).map_err(|error| format!("cannot read: {error}"))?)
}

/// The same of a file's content.
pub(super) fn parse(bytes: &[u8]) -> Result<(Vec<u8>, [usize; 3]), String> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let format = reader.format();
    let picture = reader.decode().map_err(|error| error.to_string())?;
    // The decoder makes up what is missing; a file that was cut off must not pass as whole.
    if format == Some(ImageFormat::Jpeg) && !bytes.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]) {
        return Err("the JPEG data is cut off".into());
    }
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    if height * width == 0 {
        return Err("a picture without pixels".into());
    }
    if !picture.color().has_color() {
        return Ok((picture.into_luma8().into_raw(), [1, height, width]));
    }
    let pixels = match picture {
        DynamicImage::ImageRgb8(pixels) => pixels.into_raw(),
        other => other.to_rgb8().into_raw(),
    };
    let plane = |channel| pixels.iter().skip(channel).step_by(3).copied();
    Ok(((0..3).flat_map(plane).collect(), [3, height, width]))
}
