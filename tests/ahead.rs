//! Kernels compiled before the first step, on the driver that would compile them at their first dispatch (llvmpipe).
//!
//! Each case is a process of its own: a driver reads where its cache lies when it starts.

#[path = "common/steps.rs"]
mod steps;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use steps::{program, trained};
use wgrad::gpu::{Gpu, Runner};
use wgrad::graph::{DType, Graph};
use wgrad::nn::{Conv2d, Flatten, Linear, MaxPool2d, Relu, Sequential};
use wgrad::plan::Program;

/// Where the process of a case lays its results; set in those processes alone.
const RESULTS: &str = "WGRAD_TEST_RESULTS";

fn step() -> Program {
    let net = Sequential::new()
        .add("conv1", Conv2d::new(1, 6, 5).padding(2))
        .add("relu1", Relu)
        .add("pool1", MaxPool2d::new(2))
        .add("conv2", Conv2d::new(6, 16, 5))
        .add("flatten", Flatten)
        .add("fc", Linear::new(256, 10));
    program(net, &[4, 1, 16, 16], 10)
}

fn one_kernel() -> Program {
    let mut graph = Graph::new();
    let x = graph.input("x", &[64], DType::F32).unwrap();
    let y = graph.tanh(x).unwrap();
    Program::new("one kernel", graph, &[y])
}

/// Runs the test of this name in a process with these variables, and returns what it laid down.
fn case(name: &str, variables: &[(&str, &str)]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let results = dir.path().join("results");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored"]).env(RESULTS, &results).env_remove("MESA_SHADER_CACHE_DISABLE");
    let done = command.envs(variables.iter().copied()).output().unwrap();
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(done.status.success(), "{text}");
    std::fs::read(results).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Whether the device is of the driver that this is about.
fn compiles_late(gpu: &Gpu) -> bool {
    gpu.info().driver == "llvmpipe" && gpu.info().backend == wgpu::Backend::Vulkan
}

/// Paths and sizes of all files below `dir`, once they have stopped to change.
fn files(dir: &Path) -> Vec<(String, u64)> {
    fn list(dir: &Path, found: &mut Vec<(String, u64)>) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => list(&entry.path(), found),
                Ok(metadata) => found.push((entry.path().display().to_string(), metadata.len())),
                Err(_) => {}
            }
        }
    }
    let mut last = (vec![], Instant::now());
    while last.1.elapsed() < Duration::from_millis(500) {
        let mut found = vec![];
        list(dir, &mut found);
        found.sort();
        if found != last.0 {
            last = (found, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    last.0
}

/// The threads of the driver's devices.
fn workers() -> usize {
    // They take their names as they start.
    std::thread::sleep(Duration::from_millis(200));
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("llvmpipe")).count()
}

#[test]
#[ignore = "a case of others"]
fn a_step() {
    let Some(results) = std::env::var_os(RESULTS) else { return };
    let gpu = Gpu::new().unwrap();
    let idle = workers();
    let (_, tensors) = trained(&gpu, &step());
    assert_eq!(workers(), idle, "devices were left behind");
    assert_eq!(gpu.memory().0, 0, "buffers were left behind");
    gpu.check().unwrap();
    std::fs::write(results, tensors.concat()).unwrap();
}

#[test]
#[ignore = "a case of others"]
fn what_the_first_step_adds_to_the_cache() {
    let Some(results) = std::env::var_os(RESULTS) else { return };
    let gpu = Gpu::new().unwrap();
    let dir = std::env::var_os("MESA_SHADER_CACHE_DIR").unwrap();
    // The driver compiles some things of its own with the first run of all.
    pollster::block_on(Runner::new(&gpu, &one_kernel())).unwrap().run().unwrap();
    let runner = pollster::block_on(Runner::new(&gpu, &step())).unwrap();
    let before = files(Path::new(&dir));
    runner.run().unwrap();
    let after = files(Path::new(&dir));
    let distinct: std::collections::HashSet<_> = runner.plan().kernels().collect();
    let verdict = match compiles_late(&gpu) {
        false => "another driver".into(),
        true if before == after && before.len() >= distinct.len() => "nothing".into(),
        true => format!("{} files became {}, for {} kernels", before.len(), after.len(), distinct.len()),
    };
    std::fs::write(results, verdict).unwrap();
}

#[test]
fn all_kernels_are_in_the_cache_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    // A file for each kernel, as older drivers have it anyway.
    let variables = [("MESA_SHADER_CACHE_DIR", path), ("MESA_DISK_CACHE_MULTI_FILE", "1")];
    let verdict = String::from_utf8(case("what_the_first_step_adds_to_the_cache", &variables)).unwrap();
    assert!(["nothing", "another driver"].contains(&&*verdict), "{verdict}");
}

/// Cold, warm, without a cache, and with one that cannot be written.
#[test]
fn the_cache_does_not_change_a_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let file = dir.path().join("a file");
    std::fs::write(&file, "not a folder").unwrap();
    let cold = case("a_step", &[("MESA_SHADER_CACHE_DIR", path)]);
    assert!(cold.chunks_exact(4).all(|word| f32::from_le_bytes(word.try_into().unwrap()).is_finite()));
    let warm = case("a_step", &[("MESA_SHADER_CACHE_DIR", path)]);
    let none = case("a_step", &[("MESA_SHADER_CACHE_DISABLE", "true")]);
    let broken = case("a_step", &[("MESA_SHADER_CACHE_DIR", file.to_str().unwrap())]);
    assert!(cold == warm && cold == none && cold == broken);
}
