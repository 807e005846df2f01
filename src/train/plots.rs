//! Pictures of a run, as SVG.

mod confusion;
mod curves;
mod lines;

pub(super) use confusion::confusion;
pub(super) use curves::curves;

use crate::io::write_atomic;
use crate::{Error, Result};
use plotters::prelude::*;
use std::path::Path;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

const FONT: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
const INK: RGBColor = RGBColor(38, 43, 51);
const FAINT: RGBColor = RGBColor(110, 118, 129);
const GRID: RGBColor = RGBColor(232, 234, 237);
const TRAIN: RGBColor = RGBColor(46, 111, 187);
const TEST: RGBColor = RGBColor(214, 90, 32);

/// Draws a picture of `size` and writes it to `path`, all or nothing.
fn save(path: &Path, size: (u32, u32), draw: impl FnOnce(&Canvas) -> Drawn) -> Result<()> {
    let mut svg = String::new();
    let drawn = {
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&canvas).and_then(|()| Ok(canvas.present()?))
    };
    drawn.map_err(|error| Error::format(path, format!("cannot be drawn: {error}")))?;
    write_atomic(path, svg.as_bytes())
}

/// Text of this height and colour.
fn text(height: i32, color: &RGBColor) -> TextStyle<'_> {
    TextStyle::from((FONT, height).into_font()).color(color)
}
