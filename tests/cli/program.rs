//! Running the program, and files to run it on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use wgrad::train::Checkpoint;

/// What a run of the program came to.
#[derive(Debug)]
pub struct Done {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// That it ended with this status, and without a panic.
    #[track_caller]
    pub fn ends_with(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    /// That it failed with this status and an error with all these parts.
    #[track_caller]
    pub fn fails_with(self, status: i32, parts: &[&str]) -> Self {
        let done = self.ends_with(status);
        assert!(done.stderr.contains("error: "), "{done:#?}");
        for part in parts {
            assert!(done.stderr.contains(part), "no {part:?} in {done:#?}");
        }
        assert_eq!(done.stdout, "");
        done
    }

    /// Its results, as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// The program in `dir`, with arguments separated by spaces.
pub fn command(dir: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.current_dir(dir).args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

/// Runs the program in `dir`, with arguments separated by spaces.
pub fn wgrad(dir: &Path, arguments: &str) -> Done {
    command(dir, arguments).output().expect("the program can be started").into()
}

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room for temporary files")
}

pub fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn checkpoint(run: &Path) -> Checkpoint {
    Checkpoint::read(&run.join("checkpoint.safetensors")).unwrap()
}

/// The rows of `metrics.csv` without the speed, which depends on the day.
pub fn metrics(run: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    text.lines().map(|line| line.rsplit_once(',').expect("seven columns").0.to_string()).collect()
}

/// No temporary file is left in a run's folder.
#[track_caller]
pub fn assert_tidy(run: &Path) {
    let names = std::fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let known =
        ["config.toml", "metrics.csv", "checkpoint.safetensors", "best.safetensors", "curves.svg", "confusion.svg"];
    let strange: Vec<String> = names.filter(|name| !known.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// An IDX file: its magic number, sizes, content.
pub fn idx(path: &Path, magic: u32, sizes: &[u32], content: &[u8]) {
    let mut bytes = magic.to_be_bytes().to_vec();
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(content);
    std::fs::write(path, bytes).unwrap();
}

/// A folder in the format of MNIST: `train` and `t10k` of these many images of `side` x `side`.
pub fn mnist(dir: &Path, side: u32) -> PathBuf {
    let dir = dir.join("mnist");
    std::fs::create_dir_all(&dir).unwrap();
    for (part, count) in [("train", 40_u32), ("t10k", 10)] {
        let pixels: Vec<u8> = (0..count * side * side).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        idx(&dir.join(format!("{part}-images-idx3-ubyte")), 0x803, &[count, side, side], &pixels);
        idx(&dir.join(format!("{part}-labels-idx1-ubyte")), 0x801, &[count], &labels);
    }
    dir
}
