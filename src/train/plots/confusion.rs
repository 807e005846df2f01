//! Which classes were taken for which.

use super::{Drawn, FAINT, INK, TEST, TRAIN, save, text};
use crate::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// The side of a cell, where few classes leave room for numbers and where many do not.
const CELL: (i32, i32) = (44, 12);
/// The most classes whose cells hold numbers.
const NUMBERED: usize = 20;
const TOP: i32 = 108;
/// Characters of a class's name at most.
const NAME: usize = 12;

/// Draws `confusion.svg`: rows are true classes, columns what they were taken for.
pub(in crate::train) fn confusion(path: &Path, title: &str, classes: &[String], counts: &[Vec<u64>]) -> Result<()> {
    let count = counts.len() as i32;
    let cell = if counts.len() <= NUMBERED { CELL.0 } else { CELL.1 };
    let longest = classes.iter().map(|name| name.chars().count().min(NAME)).max().unwrap_or(0);
    let left = 72 + 8 * longest as i32;
    let size = ((left + count * cell + 40).max(360) as u32, (TOP + count * cell + 36) as u32);
    save(path, size, |canvas| {
        canvas.fill(&WHITE)?;
        let right: u64 = (0..counts.len()).map(|class| counts[class][class]).sum();
        let all: u64 = counts.iter().flatten().sum();
        canvas.draw(&Text::new(title.to_string(), (24, 20), text(20, &INK)))?;
        let subtitle = format!("{right} of {all} test images right");
        canvas.draw(&Text::new(subtitle, (24, 46), text(14, &FAINT)))?;
        let middle = count * cell / 2;
        let center = Pos::new(HPos::Center, VPos::Center);
        canvas.draw(&Text::new("predicted", (left + middle, TOP - 30), text(14, &FAINT).pos(center)))?;
        let upright = text(14, &FAINT).transform(FontTransform::Rotate270).pos(center);
        canvas.draw(&Text::new("true class", (left - 8 * longest as i32 - 34, TOP + middle), upright))?;
        for (row, numbers) in counts.iter().enumerate() {
            let largest = numbers.iter().sum::<u64>().max(1) as f64;
            for (column, &number) in numbers.iter().enumerate() {
                let (x, y) = (left + column as i32 * cell, TOP + row as i32 * cell);
                let share = number as f64 / largest;
                draw_cell(canvas, (x, y), cell, number, share, row == column)?;
            }
        }
        labels(canvas, classes, left, cell)
    })
}

/// Blue on the diagonal, orange beside it, the darker the larger the share of the row; few mistakes must be seen too.
fn draw_cell(canvas: &super::Canvas, (x, y): (i32, i32), cell: i32, number: u64, share: f64, right: bool) -> Drawn {
    let strength = if right { 0.85 * share } else { (share * 4.0).sqrt().min(1.0) * 0.85 };
    let color = if right { TRAIN } else { TEST };
    let corners = [(x + 1, y + 1), (x + cell - 1, y + cell - 1)];
    canvas.draw(&Rectangle::new(corners, RGBColor(246, 247, 248).filled()))?;
    canvas.draw(&Rectangle::new(corners, color.mix(strength).filled()))?;
    if cell == CELL.0 && number > 0 {
        let color = if strength > 0.5 { &WHITE } else { &INK };
        let height = if number < 1000 { 14 } else { 12 };
        let style = text(height, color).pos(Pos::new(HPos::Center, VPos::Center));
        canvas.draw(&Text::new(number.to_string(), (x + cell / 2, y + cell / 2), style))?;
    }
    Ok(())
}

/// At most `length` characters of a name.
fn cut(name: &str, length: usize) -> String {
    match name.chars().count() <= length {
        true => name.into(),
        false => name.chars().take(length - 1).chain(['…']).collect(),
    }
}

/// The names of the classes, as many as there is room for.
fn labels(canvas: &super::Canvas, classes: &[String], left: i32, cell: i32) -> Drawn {
    let every = if cell == CELL.0 { 1 } else { 10 };
    for (index, name) in classes.iter().enumerate().step_by(every) {
        let at = index as i32 * cell + cell / 2;
        let beside = text(13, &INK).pos(Pos::new(HPos::Right, VPos::Center));
        canvas.draw(&Text::new(cut(name, NAME), (left - 8, TOP + at), beside))?;
        let above = text(13, &INK).pos(Pos::new(HPos::Center, VPos::Bottom));
        canvas.draw(&Text::new(cut(name, 5), (left + at, TOP - 6), above))?;
    }
    Ok(())
}
