//! Contact sheets: rows of pictures with captions, as a PNG file.

use image::{Rgb, RgbImage};
use std::path::Path;
use wgrad::{Error, Result};

/// Pictures side by side.
const ACROSS: usize = 8;
/// Pixels that a picture has across at least, by repeating its own.
const WIDTH: usize = 96;
const GAP: usize = 4;
/// Pixels of the sheet per pixel of a letter, which has three by five.
const INK: usize = 2;
const PAPER: Rgb<u8> = Rgb([24, 24, 28]);

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+ ";

/// Letters of three by five pixels: an octal digit for each row.
const ROWS: [u16; 41] = [
    0o25755, 0o65656, 0o34443, 0o65556, 0o74647, 0o74644, 0o34553, 0o55755, 0o72227, 0o11152, 0o55655, 0o44447,
    0o57755, 0o65555, 0o25552, 0o65644, 0o25573, 0o65655, 0o34216, 0o72222, 0o55557, 0o55552, 0o55775, 0o55255,
    0o55222, 0o71247, 0o75557, 0o26227, 0o61247, 0o61216, 0o55711, 0o74616, 0o34757, 0o71222, 0o75757, 0o75716,
    0o00700, 0o00007, 0o00002, 0o02720, 0o00000,
];

/// Writes pictures `[C,H,W]`, each with its caption below, to `path`.
pub fn write(path: &Path, pictures: &[(Vec<u8>, String)], [channels, height, width]: [usize; 3]) -> Result<()> {
    let scale = WIDTH.div_ceil(width.max(1));
    let (cell_width, cell_height) = (scale * width + GAP, scale * height + 5 * INK + 2 * GAP);
    let across = ACROSS.min(pictures.len().max(1));
    let rows = pictures.len().div_ceil(across);
    let extent = |cells: usize, size: usize| (cells * size + GAP) as u32;
    let mut sheet = RgbImage::from_pixel(extent(across, cell_width), extent(rows, cell_height), PAPER);
    for (i, (pixels, caption)) in pictures.iter().enumerate() {
        let (left, top) = (GAP + i % across * cell_width, GAP + i / across * cell_height);
        for (y, x) in (0..scale * height).flat_map(|y| (0..scale * width).map(move |x| (y, x))) {
            let at = y / scale * width + x / scale;
            let part = |channel: usize| pixels[channel.min(channels - 1) * height * width + at];
            sheet.put_pixel((left + x) as u32, (top + y) as u32, Rgb([part(0), part(1), part(2)]));
        }
        write_line(&mut sheet, caption, (left, top + scale * height + GAP), scale * width);
    }
    let fail = |error: image::ImageError| match error {
        image::ImageError::IoError(error) => Error::io(path, "write", error),
        other => Error::usage(format!("{}: {other}", path.display())),
    };
    sheet.save_with_format(path, image::ImageFormat::Png).map_err(fail)
}

/// As many letters as `width` holds; unknown ones are boxes.
fn write_line(sheet: &mut RgbImage, text: &str, (left, top): (usize, usize), width: usize) {
    for (i, letter) in text.to_uppercase().chars().take((width + INK) / (4 * INK)).enumerate() {
        let rows = LETTERS.chars().position(|other| other == letter).map_or(0o75557, |at| ROWS[at]);
        for (y, x) in (0..5 * INK).flat_map(|y| (0..3 * INK).map(move |x| (y, x))) {
            if rows >> (14 - 3 * (y / INK) - x / INK) & 1 == 1 {
                sheet.put_pixel((left + 4 * INK * i + x) as u32, (top + y) as u32, Rgb([230; 3]));
            }
        }
    }
}
