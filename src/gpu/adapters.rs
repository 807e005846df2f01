//! Finding adapters and choosing one.

use super::{Room, class, environment, images, room};
use crate::plan::{Class, Cooperative};
use crate::{Error, Result};

/// An adapter as `wgrad devices` lists it.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// Its name, driver, backend and kind.
    pub info: wgpu::AdapterInfo,
    /// Its class.
    pub class: Class,
    /// Its limits.
    pub limits: wgpu::Limits,
    /// How much all buffers together may take, if it is known.
    pub room: Option<Room>,
    /// Its features.
    pub features: wgpu::Features,
    /// The matrices that its subgroups can multiply, the best first.
    pub cooperative: Vec<Cooperative>,
    /// Whether kernels read images of the memory of buffers, see [`Target::images`](crate::plan::Target::images).
    pub images: bool,
    /// Whether it would be used.
    pub chosen: bool,
    /// Why, or why not.
    pub reason: String,
}

/// The backends of one instance: those that are asked first, and GL, whose start costs time and whose adapters are
/// mostly the same hardware once more.
const FIRST: wgpu::Backends = wgpu::Backends::PRIMARY.difference(wgpu::Backends::NOOP);
const LAST: wgpu::Backends = wgpu::Backends::GL;

fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // Validation layers are for debugging this crate (WGPU_VALIDATION=1), not for its users.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    wgpu::Instance::new(descriptor)
}

/// Backends that `WGPU_BACKEND` allows.
fn allowed() -> wgpu::Backends {
    wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all())
}

async fn adapters(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let backends = backends & allowed();
    if backends.is_empty() || (wgpu::Instance::enabled_backend_features() & backends).is_empty() {
        return vec![];
    }
    let instance = instance(backends);
    let found = instance.enumerate_adapters(backends).await;
    if !found.is_empty() || !cfg!(target_arch = "wasm32") {
        return found.into_iter().filter(usable).collect();
    }
    // Browsers answer requests only.
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance.request_adapter(&options).await.into_iter().collect()
}

/// Whether kernels can run at all: compute shaders with enough bindings.
fn usable(adapter: &wgpu::Adapter) -> bool {
    let limits = adapter.limits();
    let compute = adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    compute && limits.max_storage_buffers_per_shader_stage >= 8 && limits.max_compute_invocations_per_workgroup >= 64
}

/// Higher is better: GPUs with memory of their own, then other GPUs, then processors; GL after all else.
fn rank(info: &wgpu::AdapterInfo) -> u8 {
    let class = match class(info) {
        Class::Discrete => 6,
        Class::Integrated => 4,
        Class::Other => 2,
        Class::Cpu => 0,
    };
    class + u8::from(info.backend != wgpu::Backend::Gl)
}

fn best(adapters: &[wgpu::Adapter]) -> Option<usize> {
    (0..adapters.len()).rev().max_by_key(|&index| rank(&adapters[index].get_info()))
}

/// The adapter meant by `wanted`, or the best one.
pub(super) async fn choose(wanted: Option<&str>) -> Result<wgpu::Adapter> {
    let mut found = adapters(FIRST).await;
    // GL is asked only where nothing else is there or it may be meant: starting it takes as long as all else.
    if found.is_empty() || wanted.is_some_and(|wanted| matching(&found, wanted).is_none()) {
        found.extend(adapters(LAST).await);
    }
    let index = match wanted {
        None => best(&found),
        Some(wanted) => matching(&found, wanted),
    };
    match index {
        Some(index) => Ok(found.swap_remove(index)),
        None => Err(none(wanted, &found)),
    }
}

/// The adapter with this index, else the best of this backend, else the best whose name contains `wanted`.
fn matching(found: &[wgpu::Adapter], wanted: &str) -> Option<usize> {
    if let Ok(index) = wanted.parse::<usize>() {
        return (index < found.len()).then_some(index);
    }
    let wanted = wanted.to_lowercase();
    let backend = |info: &wgpu::AdapterInfo| info.backend.to_str() == wanted;
    let name = |info: &wgpu::AdapterInfo| info.name.to_lowercase().contains(&wanted);
    let best_of = |fits: &dyn Fn(&wgpu::AdapterInfo) -> bool| {
        let indices = (0..found.len()).rev().filter(|&index| fits(&found[index].get_info()));
        indices.max_by_key(|&index| rank(&found[index].get_info()))
    };
    best_of(&backend).or_else(|| best_of(&name))
}

fn none(wanted: Option<&str>, found: &[wgpu::Adapter]) -> Error {
    let names: Vec<String> = found
        .iter()
        .enumerate()
        .map(|(index, adapter)| (index, adapter.get_info()))
        .map(|(index, info)| format!("{index}: {} ({})", info.name, info.backend.to_str()))
        .collect();
    let found = match names.is_empty() {
        true => "There is no Vulkan, Metal, DX12 or GL driver with compute shaders; on Debian or Ubuntu `sudo apt-get \
                 install mesa-vulkan-drivers` brings one that runs on any processor"
            .into(),
        false => format!("There are {}", names.join(", ")),
    };
    let wanted = match wanted {
        Some(wanted) => format!("nothing matches {wanted:?} (an index, a backend, or part of a name)"),
        None => "none was found".into(),
    };
    Error::NoAdapter { wanted, found }
}

/// The matrices that subgroups of `adapter` can multiply and kernels can make use of, the best first. None with
/// `WGRAD_COOPERATIVE=0`.
pub(super) fn cooperative(adapter: &wgpu::Adapter) -> Vec<Cooperative> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let wanted = environment("WGRAD_COOPERATIVE").is_none_or(|value| value != "0");
    // wgpu says 4 to 64 of Metal. Its GPUs that have matrices have subgroups of 32.
    let lanes = if info.backend == wgpu::Backend::Metal { 32 } else { info.subgroup_max_size as usize };
    let suits = wanted
        && features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
        && [8, 16, 32, 64].contains(&lanes)
        && limits.max_compute_workgroup_storage_size >= Cooperative::MEMORY
        && limits.max_compute_invocations_per_workgroup >= 256;
    let half = features.contains(wgpu::Features::SHADER_F16);
    let forms = adapter.cooperative_matrix_properties().into_iter().filter(|form| {
        let square = form.m_size == form.n_size && form.n_size == form.k_size;
        square && form.cr_type == F32 && (form.ab_type == F32 || form.ab_type == F16 && half)
    });
    let form = |form: wgpu::CooperativeMatrixProperties| Cooperative {
        size: form.m_size as usize,
        half: form.ab_type == F16,
        lanes,
    };
    let mut forms: Vec<Cooperative> = forms.filter(|_| suits).map(form).collect();
    forms.sort_by_key(|form| std::cmp::Reverse((form.half, form.size)));
    forms
}

/// All adapters, the one that would be used marked.
#[cfg(not(target_arch = "wasm32"))]
pub fn list(wanted: Option<&str>) -> Vec<AdapterSummary> {
    super::block_on(list_async(wanted))
}

/// [`list`] for programs that may not block.
pub async fn list_async(wanted: Option<&str>) -> Vec<AdapterSummary> {
    let mut found = adapters(FIRST).await;
    found.extend(adapters(LAST).await);
    let wanted = wanted.map(str::to_string).or_else(|| environment("WGRAD_ADAPTER"));
    let chosen = match &wanted {
        Some(wanted) => matching(&found, wanted),
        None => best(&found),
    };
    let reason = |index: usize| match (&wanted, chosen == Some(index)) {
        (Some(wanted), true) => format!("matches {wanted:?}"),
        (Some(wanted), false) => format!("another matches {wanted:?}"),
        (None, true) if found.len() == 1 => "the only one".into(),
        (None, true) => "the best: discrete before integrated before CPU, GL last".into(),
        (None, false) => "another ranks higher".into(),
    };
    let summary = |(index, adapter): (usize, &wgpu::Adapter)| AdapterSummary {
        class: class(&adapter.get_info()),
        info: adapter.get_info(),
        limits: adapter.limits(),
        room: Room::of(class(&adapter.get_info()), room::from_environment().unwrap_or(None), 0),
        features: adapter.features(),
        cooperative: cooperative(adapter),
        images: images::offered(&adapter.get_info(), &adapter.limits()),
        chosen: chosen == Some(index),
        reason: reason(index),
    };
    found.iter().enumerate().map(summary).collect()
}
