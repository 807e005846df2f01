//! Compiled pipelines as a file, one for each adapter and driver.
//!
//! Most drivers of desktops keep what they compile on disk by themselves; those of phones and some others leave that to
//! programs. On Vulkan wgpu hands out what a driver wants kept. It lies as `pipelines/ADAPTER.bin` beside the tables of
//! `wgrad tune`: a line that says whose it is, with a checksum, then the driver's bytes. It is read when a device is opened and
//! replaced once the pipelines of a plan are made, if there are new ones among them. `WGRAD_PIPELINES` names another file, or
//! with `0` switches this off. Files that are of another driver or damaged are passed over, and nothing that goes wrong here
//! is an error: pipelines are compiled then, as they would have been anyway. Guests on a host application's device have none.

use super::tuning::{configuration, name};
use super::{Gpu, environment};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The most bytes of a file. Drivers only ever add to theirs: one that is larger is begun anew.
const MOST: usize = 64 << 20;

/// The pipelines that a driver keeps.
pub(super) struct Cache {
    object: wgpu::PipelineCache,
    path: PathBuf,
    /// Bytes of what lies in the file; what drivers add makes them more.
    saved: Mutex<usize>,
}

/// The file for an adapter, whether it exists or not; `None` where it is switched off or the user has no home, or where
/// there is nothing to keep.
fn file(info: &wgpu::AdapterInfo) -> Option<PathBuf> {
    wgpu::util::pipeline_cache_key(info)?;
    match environment("WGRAD_PIPELINES") {
        Some(off) if off == "0" => None,
        Some(path) => Some(path.into()),
        None => Some(configuration()?.join("wgrad").join("pipelines").join(format!("{}.bin", name(info)))),
    }
}

impl Cache {
    /// That of a device of this program's own.
    pub async fn open(gpu: &Gpu) -> Option<Self> {
        Self::at(gpu, file(gpu.info())?).await
    }

    async fn at(gpu: &Gpu, path: PathBuf) -> Option<Self> {
        if !gpu.device().features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let known = read(&path, gpu.info());
        let data = known.as_deref();
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data, fallback: true };
        // SAFETY: by its first line the data came from this driver, and is as it came; wgpu asks the same of its header.
        let create = || unsafe { gpu.device().create_pipeline_cache(&descriptor) };
        let object = gpu.guarded("opening the pipelines of earlier runs", create).await.ok()?;
        Some(Self { object, path, saved: Mutex::new(data.map_or(0, <[u8]>::len)) })
    }

    /// What pipelines are made with.
    pub fn object(&self) -> &wgpu::PipelineCache {
        &self.object
    }

    /// Writes what the driver has, if that is more than the file has.
    pub fn save(&self, info: &wgpu::AdapterInfo) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(data) = self.object.get_data().filter(|data| data.len() != *saved && data.len() <= MOST) else {
            return;
        };
        *saved = data.len();
        let bytes = [head(&data, info).as_bytes(), &data].concat();
        // Where nothing can be written, the next run compiles as this one did.
        let _ = crate::io::write_atomic(&self.path, &bytes);
    }
}

/// The data of a file, if it is of this adapter and driver and whole.
fn read(path: &Path, info: &wgpu::AdapterInfo) -> Option<Vec<u8>> {
    let small = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() < MOST as u64);
    let mut bytes = small.then(|| std::fs::read(path)).and_then(|read| read.ok())?;
    let end = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let data = bytes.split_off(end);
    (bytes == head(&data, info).as_bytes()).then_some(data)
}

/// The first line of the file for `data`.
fn head(data: &[u8], info: &wgpu::AdapterInfo) -> String {
    let wgpu::AdapterInfo { name, vendor, device, driver, driver_info, .. } = info;
    // FNV-1a.
    let sum =
        data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let line = format!("pipelines of {name} {vendor:x}:{device:x} {driver} {driver_info}, {sum:016x}");
    line.replace('\n', " ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::block_on;
    use super::super::pipelines::Pipelines;
    use super::*;
    use crate::graph::{DType, Graph};
    use crate::plan::{Plan, Program};

    /// Makes the pipelines of a plan with the file at `path`, and says what lies there then.
    fn make(gpu: &Gpu, path: &Path) -> Option<Vec<u8>> {
        let mut graph = Graph::new();
        let x = graph.input("x", &[64], DType::F32).unwrap();
        let y = graph.tanh(x).unwrap();
        let plan = Plan::new(&Program::new("tanh", graph, &[y]), gpu.target()).unwrap();
        let pipelines = Pipelines::new(gpu.device(), false);
        pipelines.use_cache(block_on(Cache::at(gpu, path.into())).unwrap());
        for job in pipelines.missing(gpu, &plan).unwrap() {
            block_on(pipelines.make(gpu, &job)).unwrap();
        }
        pipelines.save(gpu);
        // Nothing new, nothing written.
        let written = std::fs::read(path).ok();
        let _ = std::fs::remove_file(path);
        pipelines.save(gpu);
        assert!(!path.is_file());
        written
    }

    /// A device whose driver hands out what it keeps.
    fn device() -> Option<Gpu> {
        let gpu = Gpu::new().unwrap();
        let keeps = gpu.device().features().contains(wgpu::Features::PIPELINE_CACHE);
        if !keeps {
            eprintln!("{} hands out no pipelines", gpu.describe());
        }
        keeps.then_some(gpu)
    }

    #[test]
    fn what_a_driver_keeps_comes_back() {
        let Some(gpu) = device() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("pipelines.bin");
        let written = make(&gpu, &path).unwrap();
        std::fs::write(&path, &written).unwrap();
        let data = read(&path, gpu.info()).unwrap();
        assert!(data.starts_with(b"WGPU") && written.ends_with(&data));
        // The file has all that there is, and is not written again.
        let known = block_on(Cache::at(&gpu, path.clone())).unwrap();
        assert_eq!(*known.saved.lock().unwrap(), data.len());
        std::fs::remove_file(&path).unwrap();
        known.save(gpu.info());
        assert!(!path.exists());
    }

    #[test]
    fn foreign_and_damaged_files_are_passed_over_and_replaced() {
        let Some(gpu) = device() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipelines.bin");
        let written = make(&gpu, &path).unwrap();
        let other = wgpu::AdapterInfo { driver_info: "another".into(), ..gpu.info().clone() };
        let data = &written[written.iter().position(|&byte| byte == b'\n').unwrap() + 1..];
        let mut damaged = written.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let foreign = [head(data, &other).as_bytes(), data].concat();
        // By its first line it is ours, by its content not even wgpu's: wgpu begins an empty one.
        let forged = [head(b"WGPU", gpu.info()).as_bytes(), b"WGPU"].concat();
        for bytes in [&damaged, &foreign, &written[..written.len() - 1], b"", b"\n", b"pipelines", &forged] {
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path, gpu.info()).is_none() || *bytes == forged);
            assert_eq!(make(&gpu, &path), Some(written.clone()));
        }
        let large = vec![0; MOST];
        std::fs::write(&path, [head(&large, gpu.info()).as_bytes(), &large].concat()).unwrap();
        assert!(read(&path, gpu.info()).is_none());
    }

    #[test]
    fn where_nothing_can_be_written_pipelines_are_made() {
        let Some(gpu) = device() else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "in the way").unwrap();
        assert_eq!(make(&gpu, &file.join("pipelines.bin")), None);
        // A folder where the file should be.
        assert_eq!(make(&gpu, folder.path()), None);
        assert_eq!(std::fs::read(&file).unwrap(), b"in the way");
    }
}
