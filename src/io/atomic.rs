//! A file is replaced whole or stays as it was, whatever fails in between.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// Makes `bytes` the content of the file at `path`, creating missing folders.
///
/// A temporary file `.NAME.PID.COUNT.tmp` in the same folder takes the bytes, is forced to the disk and then renamed,
/// so that a reader, or a machine that lost power, finds the old content or the new. A link is followed.
///
/// # Errors
///
/// [`Error::Io`]; the old file is untouched and the temporary one gone.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    replace(path.as_ref(), |file| file.write_all(bytes))
}

fn replace(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let failed = |e| Error::io(path, "write", e);
    let target = target(path).map_err(failed)?;
    let name = target.file_name().ok_or_else(|| failed(ErrorKind::InvalidInput.into()))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;

    let temp = folder.join(temp_name(name));
    let done = fill_and_sync(&temp, fill).and_then(|()| fs::rename(&temp, &target));
    if let Err(e) = done {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temp);
        return Err(failed(e));
    }
    sync_folder(folder).map_err(failed)
}

/// The file to replace: where a link leads, and never a device, which a rename would do away with.
fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path),
        Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(_) => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file; name a file in a folder")),
        Err(_) => Ok(path.into()),
    }
}

/// Unlike that of any other process or thread that writes the same file now.
fn temp_name(name: &OsStr) -> OsString {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let process = if cfg!(target_family = "wasm") { 0 } else { std::process::id() };
    let mut temp = OsString::from(".");
    temp.push(name);
    temp.push(format!(".{process}.{}.tmp", COUNT.fetch_add(1, Ordering::Relaxed)));
    temp
}

fn fill_and_sync(temp: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::create(temp)?;
    fill(&mut file)?;
    file.sync_all()
}

/// Makes the rename itself outlive a power cut, where the file system knows how.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(e) if matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
        done => done,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[path = "atomic_tests.rs"]
mod tests;
