//! Faults in the middle of a write.

use super::*;

fn entries(dir: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn content_is_replaced_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    for content in [&b"first and long"[..], b"second", b""] {
        write_atomic(&path, content).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    assert_eq!(entries(dir.path()), ["a"]);
}

#[test]
fn missing_folders_are_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs/lenet/a");
    write_atomic(&path, b"x").unwrap();
    assert_eq!(fs::read(path).unwrap(), b"x");
}

/// The disk is full after a few bytes.
#[test]
fn a_fault_keeps_the_old_content_and_removes_the_temporary_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    write_atomic(&path, b"old").unwrap();
    let error = replace(&path, |file| {
        file.write_all(b"ne")?;
        Err(ErrorKind::StorageFull.into())
    })
    .unwrap_err();
    assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("{}: cannot write: ", path.display())), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(entries(dir.path()), ["a"]);
}

/// While the new content is being written, a reader still finds the old.
#[test]
fn the_old_content_stands_until_the_new_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    write_atomic(&path, b"old").unwrap();
    replace(&path, |file| {
        file.write_all(b"new")?;
        assert_eq!(fs::read(&path)?, b"old");
        Ok(())
    })
    .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn places_that_cannot_hold_a_file_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    write_atomic(&file, b"old").unwrap();
    for path in [file.join("below"), dir.path().to_path_buf(), dir.path().join(".."), PathBuf::new()] {
        let error = write_atomic(&path, b"x").unwrap_err();
        assert!(matches!(error, Error::Io { action: "write" | "create", .. }), "{error}");
        assert_eq!(error.exit_status(), 1);
    }
    assert_eq!(fs::read(&file).unwrap(), b"old");
    assert_eq!(entries(dir.path()), ["file"]);
}

/// A rename over `/dev/null` would replace it with a file, for root.
#[cfg(unix)]
#[test]
fn devices_are_left_alone_and_links_followed() {
    use std::os::unix::net::UnixListener;
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(write_atomic(&socket, b"x").unwrap_err().to_string().contains("not a regular file"));

    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    write_atomic(&file, b"old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write_atomic(&link, b"new").unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(&file).unwrap(), b"new");
}

#[test]
fn threads_that_write_one_file_leave_one_of_their_contents() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let path = &path;
            scope.spawn(move || (0..20).for_each(|_| write_atomic(path, &[thread; 5000]).unwrap()));
        }
    });
    let content = fs::read(&path).unwrap();
    assert_eq!(content, [content[0]; 5000]);
    assert_eq!(entries(dir.path()), ["a"]);
}
