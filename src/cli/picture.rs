//! Small pictures in a terminal: two pixels to a cell where there are colours, shades of ink where there are not.

use super::out;
use console::{Style, Term};

/// Cells across one picture; as many pixels across and down, for a cell is about twice as high as wide.
const WIDTH: usize = 14;
const GAP: &str = " ";
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// A picture with a line below it.
pub struct Picture<'a> {
    /// `[C,H,W]`.
    pub pixels: &'a [u8],
    pub shape: [usize; 3],
    pub caption: String,
    /// Whether the caption tells of something right or wrong, if of either.
    pub right: Option<bool>,
}

/// How many pictures fit side by side.
pub fn across() -> usize {
    let columns = Term::stdout().size_checked().map_or(120, |(_, columns)| usize::from(columns));
    ((columns + GAP.len()) / (WIDTH + GAP.len())).clamp(1, 8)
}

/// The pictures side by side, with their captions.
pub fn strip(pictures: &[Picture]) -> String {
    let colors = out::colors();
    let mut lines = vec![Vec::new(); WIDTH / 2 + 1];
    for picture in pictures {
        let small = shrunk(picture);
        for (line, rows) in lines.iter_mut().zip(small.chunks_exact(2)) {
            let cells = rows[0].iter().zip(&rows[1]);
            line.push(cells.map(|(&top, &bottom)| cell(top, bottom, colors)).collect::<String>() + reset(colors));
        }
        lines[WIDTH / 2].push(caption(picture, colors));
    }
    lines.iter().map(|line| line.join(GAP).trim_end().to_string()).collect::<Vec<_>>().join("\n")
}

fn caption(picture: &Picture, colors: bool) -> String {
    let text: String = picture.caption.chars().take(WIDTH).collect();
    let text = format!("{text:^WIDTH$}");
    let style = Style::new().force_styling(colors);
    match picture.right {
        Some(true) => style.green().apply_to(text).to_string(),
        Some(false) => style.red().bold().apply_to(text).to_string(),
        None => text,
    }
}

type Color = [u8; 3];

/// The picture at `WIDTH` x `WIDTH`, each pixel the mean of the area that it covers.
fn shrunk(picture: &Picture) -> Vec<Vec<Color>> {
    let [channels, height, width] = picture.shape;
    let span = |at: usize, size: usize| {
        let first = at * size / WIDTH;
        first..((at + 1) * size).div_ceil(WIDTH).max(first + 1).min(size)
    };
    let mean = |channel: usize, y: usize, x: usize| {
        let (rows, columns) = (span(y, height), span(x, width));
        let count = rows.len() * columns.len();
        let row = |y: usize| &picture.pixels[(channel * height + y) * width..][..width];
        let sum: usize = rows.map(|y| row(y)[columns.clone()].iter().map(|&p| usize::from(p)).sum::<usize>()).sum();
        (sum / count.max(1)) as u8
    };
    let pixel = |y, x| [0, 1, 2].map(|channel: usize| mean(channel.min(channels - 1), y, x));
    (0..WIDTH).map(|y| (0..WIDTH).map(|x| pixel(y, x)).collect()).collect()
}

fn cell(top: Color, bottom: Color, colors: bool) -> String {
    if colors {
        return format!("\x1b[38;5;{};48;5;{}m▀", palette(top), palette(bottom));
    }
    let brightness = |color: Color| color.iter().map(|&part| usize::from(part)).sum::<usize>();
    let shade = (brightness(top) + brightness(bottom)) * SHADES.len() / (6 * 256);
    SHADES[shade].to_string()
}

fn reset(colors: bool) -> &'static str {
    if colors { "\x1b[0m" } else { "" }
}

/// The nearest of the 256 colours that nearly every terminal has: 24 greys, and a cube of 6x6x6.
fn palette([r, g, b]: Color) -> u8 {
    if r == g && g == b {
        return match r {
            0..4 => 16,
            247.. => 231,
            grey => 232 + ((u16::from(grey) - 3) * 24 / 244) as u8,
        };
    }
    let side = |part: u8| ((u16::from(part) * 5 + 127) / 255) as u8;
    16 + 36 * side(r) + 6 * side(g) + side(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_keep_the_place_of_ink() {
        // 28x28, ink in the lower right quarter alone.
        let ink = |i: usize| if i / 28 >= 14 && i % 28 >= 14 { 255 } else { 0 };
        let pixels: Vec<u8> = (0..28 * 28).map(ink).collect();
        let picture = Picture { pixels: &pixels, shape: [1, 28, 28], caption: "7".into(), right: Some(true) };
        let small = shrunk(&picture);
        assert_eq!(small[6][6..8], [[0; 3], [0; 3]]);
        assert_eq!((small[7][6], small[7][7], small[13][13]), ([0; 3], [255; 3], [255; 3]));
        assert_eq!([[0, 0, 0], [255, 255, 255], [255, 0, 0]].map(palette), [16, 231, 196]);
        assert_eq!(cell([255; 3], [255; 3], false), "█");
        assert_eq!(cell([0; 3], [0; 3], false), " ");
    }
}
