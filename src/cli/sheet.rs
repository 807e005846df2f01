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

/// Letters of three by five pixels: an octal digit for each row.
const LETTERS: [(&str, u16); 41] = [
    ("A", 0o25755),
    ("B", 0o65656),
    ("C", 0o34443),
    ("D", 0o65556),
    ("E", 0o74647),
    ("F", 0o74644),
    ("G", 0o34553),
    ("H", 0o55755),
    ("I", 0o72227),
    ("J", 0o11152),
    ("K", 0o55655),
    ("L", 0o44447),
    ("M", 0o57755),
    ("N", 0o65555),
    ("O", 0o25552),
    ("P", 0o65644),
    ("Q", 0o25573),
    ("R", 0o65655),
    ("S", 0o34216),
    ("T", 0o72222),
    ("U", 0o55557),
    ("V", 0o55552),
    ("W", 0o55775),
    ("X", 0o55255),
    ("Y", 0o55222),
    ("Z", 0o71247),
    ("0", 0o75557),
    ("1", 0o26227),
    ("2", 0o61247),
    ("3", 0o61216),
    ("4", 0o55711),
    ("5", 0o74616),
    ("6", 0o34757),
    ("7", 0o71222),
    ("8", 0o75757),
    ("9", 0o75716),
    ("-", 0o00700),
    ("_", 0o00007),
    (".", 0o00002),
    ("+", 0o02720),
    (" ", 0),
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
        let found = LETTERS.iter().find(|(name, _)| name.starts_with(letter)).map_or(0o75557, |(_, bits)| *bits);
        for (y, x) in (0..5 * INK).flat_map(|y| (0..3 * INK).map(move |x| (y, x))) {
            if found >> (14 - 3 * (y / INK) - x / INK) & 1 == 1 {
                sheet.put_pixel((left + 4 * INK * i + x) as u32, (top + y) as u32, Rgb([230; 3]));
            }
        }
    }
}
