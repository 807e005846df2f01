//! Where a run goes if nobody says: `runs/MODEL-DATA`, `runs/MODEL-DATA-2`, ...

use std::path::{Path, PathBuf};
use wgrad::{Error, Result};

fn numbered(model: &str, data: &str, number: u64) -> PathBuf {
    let name = format!("{model}-{data}");
    Path::new("runs").join(if number == 1 { name } else { format!("{name}-{number}") })
}

/// The first folder that is not there yet.
pub fn free(model: &str, data: &str) -> PathBuf {
    let folders = (1..).map(|number| numbered(model, data, number));
    folders.into_iter().find(|folder| folder.symlink_metadata().is_err()).unwrap_or_default()
}

/// The last of the folders that [`free`] gave out.
pub fn latest(model: &str, data: &str) -> Result<PathBuf> {
    let data = data.split(':').next().unwrap_or(data);
    let folders = (1..).map(|number| numbered(model, data, number));
    folders.take_while(|folder| folder.symlink_metadata().is_ok()).last().ok_or_else(|| {
        Error::usage(format!(
            "there is no run in {}; name the one to resume with --out",
            numbered(model, data, 1).display()
        ))
    })
}

/// This program, as it was called.
pub fn program() -> String {
    std::env::args_os().next().map_or("wgrad".into(), |name| quoted(Path::new(&name)))
}

/// A path as an argument for a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_a_shell() {
        assert_eq!(quoted(Path::new("runs/lenet5-digits")), "runs/lenet5-digits");
        assert_eq!(quoted(Path::new("it's here")), r"'it'\''s here'");
    }
}
