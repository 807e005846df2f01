//! A device, and plans on it.
//!
//! [`Gpu`] opens an adapter or takes a host application's device; [`Memory`] holds the buffers of a run;
//! [`Executable`] is a plan with pipelines and bind groups, ready to be encoded any number of times; [`Staging`] brings
//! results back. Adapter and device requests and mapping are asynchronous, as browsers want them; native programs have
//! blocking forms and need no runtime.

mod adapters;
#[cfg(not(target_arch = "wasm32"))]
mod ahead;
mod cache;
mod ceilings;
mod executable;
mod faults;
mod images;
mod memory;
mod pipelines;
mod profile;
mod room;
mod run;
mod staging;
mod tuning;

#[cfg(not(target_arch = "wasm32"))]
pub use adapters::list;
pub use adapters::{AdapterSummary, list_async};
pub use ceilings::Ceilings;
pub use executable::Executable;
pub use memory::{Buffer, Memory};
pub use profile::Timing;
pub use room::Room;
pub use run::{Runner, StepNumbers};
pub(crate) use run::{decode, encode};
pub use staging::Staging;
pub use tuning::{save_tuning, tuning_file};

use crate::plan::{Choices, Class, Target};
use crate::{Error, Result};
use faults::Faults;
use memory::Tracker;
use pipelines::Pipelines;
use std::sync::Arc;

/// What kind of device to open.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Which adapter: its index in `wgrad devices`, a backend (`vulkan`, `gl`, `metal`, `dx12`), or part of its name.
    /// The environment variable `WGRAD_ADAPTER` if `None`, and the best adapter if that is not set either.
    pub adapter: Option<String>,
    /// Keep wgpu's run-time checks (array bounds, endless loops) in the kernels. They never fire unless a kernel is wrong,
    /// and cost up to half of the speed. Also `WGRAD_CHECKED=1`.
    pub checked: bool,
    /// Sum convolutions as they are defined, product by product. Otherwise those with 3x3 filters and stride 1 are computed
    /// by Winograd's algorithms where these are faster: F(2x2,3x3), which loses less than the definition's sum does, or
    /// F(4x4,3x3), which loses up to twice as much with few channels and no more with many. Relative to the largest result,
    /// sum, F(2x2) and F(4x4) are off by 5e-7, 2e-7 and 1e-6 at 16 channels, by 4e-6, 9e-7 and 3e-6 at 512;
    /// `tests/winograd.rs` bounds all three. Cooperative matrices are left out too: how they round is up to the hardware. Also
    /// `WGRAD_EXACT=1`.
    pub exact: bool,
    /// Plan as for an adapter of this class, whatever the adapter is: how the kernels of GPUs are tested without one.
    /// The environment variable `WGRAD_CLASS` if `None`, and the adapter's own class if that is not set either.
    pub class: Option<Class>,
}

/// What of [`GpuOptions`] outlives the choice of an adapter.
#[derive(Clone, Copy, Default)]
struct Checks {
    checked: bool,
    exact: bool,
    class: Option<Class>,
}

/// An open device. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` for the device of a host application.
    adapter: Option<wgpu::Adapter>,
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    target: Target,
    faults: Arc<Faults>,
    tracker: Arc<Tracker>,
    /// What `WGRAD_MEMORY` allows.
    memory: Option<u64>,
    pipelines: Pipelines,
}

impl Gpu {
    /// Opens the best adapter, or the one named by `WGRAD_ADAPTER`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new() -> Result<Self> {
        Self::open(&GpuOptions::default())
    }

    /// Opens the adapter that `options` ask for.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(options: &GpuOptions) -> Result<Self> {
        block_on(Self::request(options))
    }

    /// [`Gpu::open`] for programs that may not block.
    pub async fn request(options: &GpuOptions) -> Result<Self> {
        let memory = room::from_environment()?;
        let class = options.class.map_or_else(class_from_environment, |class| Ok(Some(class)))?;
        let wanted = options.adapter.clone().or_else(|| environment("WGRAD_ADAPTER"));
        let adapter = adapters::choose(wanted.as_deref()).await?;
        let info = adapter.get_info();
        let choices = Arc::new(tuning::load(&info)?);
        let checked = options.checked || environment("WGRAD_CHECKED").is_some_and(|value| value != "0");
        let exact = options.exact || environment("WGRAD_EXACT").is_some_and(|value| value != "0");
        let gpu = Self::on(adapter, Checks { checked, exact, class }, memory, choices).await?;
        if let Some(cache) = cache::Cache::open(&gpu).await {
            gpu.inner.pipelines.use_cache(cache);
        }
        Ok(gpu)
    }

    /// Opens a device of `adapter`.
    async fn on(adapter: wgpu::Adapter, checks: Checks, memory: Option<u64>, choices: Arc<Choices>) -> Result<Self> {
        let info = adapter.get_info();
        let mut wanted = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::SHADER_F16
            | wgpu::Features::PIPELINE_CACHE;
        // Shaders of a device that has this are compiled for another memory model, so it is only had where it is used.
        let class = checks.class.unwrap_or(class(&info));
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        if !checks.exact && class != Class::Cpu && !adapters::cooperative(&adapter).is_empty() {
            wanted |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            // SAFETY: wgpu does not check that matrices lie within their memory and that subgroups are whole and in step;
            // `tiles_cooperative` sees to both. It has no part in kernels without matrices.
            experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            experimental_features,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::Device { adapter: info.name.clone(), message: error.to_string() })?;
        let faults = Faults::watch(&device, &info.name);
        Ok(Self::with_faults(Some(adapter), device, queue, faults, checks, memory, choices))
    }

    /// Another device of the same adapter, which makes the same pipelines.
    #[cfg(not(target_arch = "wasm32"))]
    fn another(&self) -> Result<Self> {
        let Inner { adapter, target, pipelines, memory, .. } = &*self.inner;
        let adapter = adapter.clone().ok_or_else(|| Error::usage("a host application's device has no second"))?;
        let checks = Checks { checked: pipelines.checked(), exact: target.exact, class: Some(target.class) };
        block_on(Self::on(adapter, checks, *memory, target.choices.clone()))
    }

    /// Takes a host application's device. Its limits and features are used as they are, its error handlers are left alone.
    /// A device does not tell which cooperative matrices there are, so none are used.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let faults = Faults::unwatched(&device.adapter_info().name);
        let memory = room::from_environment().unwrap_or(None);
        let checks = Checks { class: class_from_environment().unwrap_or(None), ..Checks::default() };
        Self::with_faults(None, device, queue, faults, checks, memory, Arc::default())
    }

    fn with_faults(
        adapter: Option<wgpu::Adapter>,
        device: wgpu::Device,
        queue: wgpu::Queue,
        faults: Arc<Faults>,
        Checks { checked, exact, class: wanted }: Checks,
        memory: Option<u64>,
        choices: Arc<Choices>,
    ) -> Self {
        let info = device.adapter_info();
        let class = wanted.unwrap_or(class(&info));
        let has_matrices = device.features().contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
        let cooperative = adapter.as_ref().filter(|_| has_matrices).map(adapters::cooperative).unwrap_or_default();
        let images = images::supported(&device, &info);
        let target =
            Target { exact, choices, cooperative, images, ..target(class, &info, &device.limits(), device.features()) };
        let pipelines = Pipelines::new(&device, checked);
        Self {
            inner: Arc::new(Inner {
                adapter,
                device,
                queue,
                info,
                target,
                faults,
                tracker: Arc::default(),
                memory,
                pipelines,
            }),
        }
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The adapter as wgpu describes it.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.inner.info
    }

    /// The adapter as planning sees it.
    pub fn target(&self) -> &Target {
        &self.inner.target
    }

    /// `name (backend, class)`.
    pub fn describe(&self) -> String {
        let info = self.info();
        format!("{} ({:?}, {})", info.name, info.backend, self.target().class.name())
    }

    /// Bytes of the buffers that are alive, and the most that ever were.
    pub fn memory(&self) -> (u64, u64) {
        self.inner.tracker.current_and_peak()
    }

    /// The first error that the device reported since it was opened, if any.
    pub fn check(&self) -> Result<()> {
        self.inner.faults.check()
    }

    /// Waits until `submission` is done, and reports what went wrong on the way. Returns at once in a browser, where
    /// mapping is what one waits for.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index: submission, timeout: None };
        let polled = self.device().poll(poll);
        self.check()?;
        polled
            .map(drop)
            .map_err(|error| Error::Device { adapter: self.info().name.clone(), message: error.to_string() })
    }

    /// Runs `create` and turns what wgpu reports about it into an error; `what` says what is being made, with its size.
    pub(crate) async fn guarded<T>(&self, what: &str, create: impl FnOnce() -> T) -> Result<T> {
        let memory = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device().push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let created = create();
        let reports = [validation.pop().await, internal.pop().await, memory.pop().await];
        match reports.into_iter().flatten().next() {
            None => Ok(created),
            Some(error) => Err(faults::translate(&self.info().name, what, error)),
        }
    }
}

/// Runs a future to its end on this thread.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The class of an adapter.
fn class(info: &wgpu::AdapterInfo) -> Class {
    match info.device_type {
        wgpu::DeviceType::Cpu => Class::Cpu,
        wgpu::DeviceType::IntegratedGpu => Class::Integrated,
        wgpu::DeviceType::DiscreteGpu => Class::Discrete,
        _ if ["llvmpipe", "SwiftShader", "softpipe"].iter().any(|name| info.name.contains(name)) => Class::Cpu,
        _ => Class::Other,
    }
}

fn class_from_environment() -> Result<Option<Class>> {
    let Some(name) = environment("WGRAD_CLASS") else { return Ok(None) };
    let unknown = || Error::usage(format!("WGRAD_CLASS={name} is none of cpu, integrated, discrete and other"));
    Class::named(&name).map(Some).ok_or_else(unknown)
}

fn target(class: Class, info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Target {
    // Whoever wants to see the kernels that run without subgroups, as in browsers and on GL, can have them.
    let wanted = environment("WGRAD_SUBGROUPS").is_none_or(|value| value != "0");
    let subgroups = class == Class::Cpu && features.contains(wgpu::Features::SUBGROUP) && wanted;
    let same = info.subgroup_min_size == info.subgroup_max_size && [4, 8, 16].contains(&info.subgroup_min_size);
    Target {
        lanes: (subgroups && same).then_some(info.subgroup_min_size),
        half: features.contains(wgpu::Features::SHADER_F16),
        wide: subgroups && features.contains(wgpu::Features::SHADER_INT64),
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        ..Target::portable(class)
    }
}
