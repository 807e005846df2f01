//! What the program says: results on stdout, the rest on stderr. Neither panics when nobody listens.

use comfy_table::{CellAlignment, Table, TableComponent, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use wgrad::{Error, Result};

/// A result, and the end of its line.
pub fn print(text: impl Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| Error::io("standard output", "write", error))
}

/// A result for programs.
pub fn json(value: &serde_json::Value) -> Result<()> {
    print(format_args!("{value:#}"))
}

/// A message.
pub fn note(text: impl Display) {
    // There is no one left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether stdout shows colours.
pub fn colors() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table's text.
pub fn print_table(table: &Table) -> Result<()> {
    print(table.trim_fmt())
}

/// An empty table; columns named `>like this` hold numbers.
pub fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_style(TableComponent::HeaderLines, '─');
    table.set_header(titles.iter().map(|title| title.trim_start_matches('>')));
    for (column, title) in table.column_iter_mut().zip(titles) {
        column.set_padding((1, 1));
        if title.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A bar on stderr if that is a terminal, else nothing.
pub fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("━╸─")),
        Err(_) => bar,
    }
}

/// `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 epoch`, `2 epochs`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// A time for people.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} µs", 1e6 * s),
        s if s < 1.0 => format!("{:.1} ms", 1e3 * s),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{} min {:.0} s", (s / 60.0) as u64, s % 60.0),
    }
}

/// A limit in the largest unit that divides it or nearly so.
pub fn bytes(number: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| number >> shift > 0) {
        Some((unit, shift)) => {
            let amount = number as f64 / (1_u64 << shift) as f64;
            if (amount - amount.round()).abs() < 0.01 {
                format!("{amount:.0} {unit}")
            } else {
                format!("{amount:.1} {unit}")
            }
        }
        None => format!("{number} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 61_706, 1_234_567].map(count), ["0", "999", "1,000", "61,706", "1,234,567"]);
        assert_eq!([1, 2000].map(|n| counted(n, "step")), ["1 step", "2,000 steps"]);
        assert_eq!([12e-6, 0.25, 3.0, 125.0].map(duration), ["12.0 µs", "250.0 ms", "3.00 s", "2 min 5 s"]);
        assert_eq!([100, 128 << 20, (2 << 30) - 1, 1536].map(bytes), ["100 bytes", "128 MiB", "2 GiB", "1.5 KiB"]);
    }
}
