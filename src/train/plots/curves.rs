//! Loss and accuracy over a run, side by side.

use super::lines::{Lines, Point, accuracy_range, axis, lines, loss_range};
use super::{Canvas, Drawn, FAINT, FONT, GRID, INK, TEST, TRAIN, save, text};
use crate::Result;
use crate::train::folder::Row;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;
use std::path::Path;

/// Draws `curves.svg`: the loss and the accuracy of each step, smoothed, and those of the test samples.
pub(in crate::train) fn curves(path: &Path, title: &str, rows: &[Row]) -> Result<()> {
    let (unit, axis) = axis(rows);
    let loss = lines(rows, unit, |row| row.loss);
    let accuracy = lines(rows, unit, |row| 100.0 * row.accuracy);
    let end = rows.iter().map(|row| row.step).max().unwrap_or(1) as f64 / unit;
    save(path, (1040, 440), |canvas| {
        canvas.fill(&WHITE)?;
        canvas.draw(&Text::new(title.to_string(), (28, 20), text(20, &INK)))?;
        if let Some((_, last)) = accuracy.test.last() {
            let style = text(15, &FAINT).pos(Pos::new(HPos::Right, VPos::Top));
            canvas.draw(&Text::new(format!("test accuracy {last:.2} %"), (1012, 24), style))?;
        }
        let (_, below) = canvas.split_vertically(52);
        let (left, right) = below.split_horizontally(520);
        let range = loss_range(&loss);
        // Three digits and more would press everything else against the bottom.
        match range.end / range.start > 30.0 {
            true => panel(&left, "loss (log scale)", axis, 0.0..end, range.log_scale(), &loss, &|y| short(*y))?,
            false => panel(&left, "loss", axis, 0.0..end, 0.0..range.end, &loss, &|y| short(*y))?,
        }
        panel(&right, "accuracy, %", axis, 0.0..end, accuracy_range(&accuracy), &accuracy, &|y| format!("{y:.0}"))
    })
}

/// A number on an axis: as many digits as it needs.
fn short(number: f64) -> String {
    match number.abs() {
        magnitude if magnitude != 0.0 && !(1e-3..1e4).contains(&magnitude) => format!("{number:.0e}"),
        _ => format!("{}", (number * 1e4).round() / 1e4),
    }
}

fn panel<Y>(
    area: &Canvas,
    title: &str,
    axis: &str,
    x: Range<f64>,
    y: Y,
    lines: &Lines,
    label: &dyn Fn(&f64) -> String,
) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin_left(14)
        .margin_right(28)
        .margin_bottom(8)
        .margin_top(4)
        .caption(title, text(15, &INK))
        .x_label_area_size(44)
        .y_label_area_size(48)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_desc(axis)
        .axis_desc_style(text(14, &FAINT))
        .label_style(text(13, &FAINT))
        .x_labels(8)
        .y_labels(7)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| label(y))
        .draw()?;
    let bottom = chart.y_range();
    let within = |points: &[Point]| -> Vec<Point> {
        points.iter().map(|point| (point.0, point.1.clamp(bottom.start, bottom.end))).collect()
    };
    chart.draw_series(LineSeries::new(within(&lines.raw), TRAIN.mix(0.22).stroke_width(1)))?;
    chart
        .draw_series(LineSeries::new(within(&lines.smooth), TRAIN.stroke_width(2)))?
        .label("training batches, smoothed")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], TRAIN.stroke_width(2)));
    let test = within(&lines.test);
    chart.draw_series(LineSeries::new(test.clone(), TEST.stroke_width(2)))?;
    chart
        .draw_series(test.iter().map(|&point| Circle::new(point, 3, TEST.filled())))?
        .label("test images")
        .legend(|(x, y)| Circle::new((x + 9, y), 3, TEST.filled()));
    let corner =
        if title.starts_with("loss") { SeriesLabelPosition::UpperRight } else { SeriesLabelPosition::LowerRight };
    chart
        .configure_series_labels()
        .position(corner)
        .margin(12)
        .legend_area_size(24)
        .background_style(TRANSPARENT)
        .label_font(TextStyle::from((FONT, 13).into_font()).color(&INK))
        .draw()?;
    Ok(())
}
