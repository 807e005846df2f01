//! Compute pipelines, compiled once per kernel and shared by all plans of a device.

use super::cache::Cache;
use super::{Gpu, images};
use crate::kernels::{Dim, IMAGES_BESIDE, Kernel, assemble, declared_image};
use crate::plan::{Dispatch, Plan};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A kernel with the dimensions that are baked into it, if any.
pub(super) type Key = (Kernel, Option<Vec<u32>>);

/// The most storage buffers, and images of them, that a kernel binds.
pub(super) const MOST_BINDINGS: usize = 8;

/// A binding of group 0, behind the dimensions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Binding {
    pub number: u32,
    /// Which of a dispatch's.
    pub operand: usize,
    /// As an image of this format, or as a storage buffer.
    pub image: Option<wgpu::TextureFormat>,
}

pub(super) type Bindings = Vec<Binding>;

/// A pipeline to be made.
pub(super) struct Job {
    pub key: Key,
    pub bindings: Bindings,
    /// Where different dimensions lie that it runs with, and their bytes.
    pub dims: Vec<(u64, u64)>,
    text: String,
}

/// A pipeline with what it binds.
pub(super) struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub bindings: Bindings,
    /// Of group 0.
    pub layout: wgpu::BindGroupLayout,
}

pub(super) struct Pipelines {
    checked: bool,
    done: Mutex<HashMap<Key, Arc<Pipeline>>>,
    layouts: Mutex<HashMap<Bindings, wgpu::BindGroupLayout>>,
    steps: wgpu::BindGroupLayout,
    /// Those of earlier runs.
    cache: OnceLock<Cache>,
}

impl Pipelines {
    pub fn new(device: &wgpu::Device, checked: bool) -> Self {
        let steps = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("steps"),
            entries: &[entry(0, buffer(wgpu::BufferBindingType::Uniform, true))],
        });
        Self { checked, done: Mutex::default(), layouts: Mutex::default(), steps, cache: OnceLock::new() }
    }

    /// Makes pipelines with those of earlier runs from now on.
    pub fn use_cache(&self, cache: Cache) {
        // There is one already.
        let _ = self.cache.set(cache);
    }

    /// Keeps the pipelines made so far for later runs.
    pub fn save(&self, gpu: &Gpu) {
        if let Some(cache) = self.cache.get() {
            cache.save(gpu.info());
        }
    }

    /// The layout of group 0 with these bindings.
    fn layout(&self, device: &wgpu::Device, bindings: &Bindings) -> wgpu::BindGroupLayout {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let kind = |binding: &Binding| match binding.image {
                None => entry(binding.number, buffer(wgpu::BufferBindingType::Storage { read_only: false }, false)),
                Some(format) => {
                    let (access, view_dimension) =
                        (wgpu::StorageTextureAccess::ReadOnly, wgpu::TextureViewDimension::D2);
                    entry(binding.number, wgpu::BindingType::StorageTexture { access, format, view_dimension })
                }
            };
            let dims = entry(0, buffer(wgpu::BufferBindingType::Uniform, false));
            let entries: Vec<_> = std::iter::once(dims).chain(bindings.iter().map(kind)).collect();
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
        };
        layouts.entry(bindings.clone()).or_insert_with(make).clone()
    }

    /// The layout of group 1.
    pub fn steps(&self) -> &wgpu::BindGroupLayout {
        &self.steps
    }

    /// Whether wgpu's run-time checks stay in the kernels.
    pub fn checked(&self) -> bool {
        self.checked
    }

    pub fn find(&self, key: &Key) -> Option<Arc<Pipeline>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// What `plan` needs and is not there yet, the longest first: text is what making a pipeline takes its time for.
    pub fn missing(&self, gpu: &Gpu, plan: &Plan) -> Result<Vec<Job>> {
        let mut found: HashMap<Key, usize> = HashMap::new();
        let (mut jobs, mut seen) = (Vec::new(), HashSet::new());
        for dispatch in &plan.dispatches {
            let key = key(gpu, dispatch);
            if self.find(&key).is_some() {
                continue;
            }
            let index = match found.get(&key) {
                Some(&index) => index,
                None => {
                    jobs.push(job(gpu, dispatch, key.clone())?);
                    found.insert(key, jobs.len() - 1);
                    jobs.len() - 1
                }
            };
            let bits: Vec<u32> = dispatch.launch.dims.iter().map(|dim| dim.bits()).collect();
            if seen.insert((index, bits)) {
                jobs[index].dims.push((dispatch.dims_offset, dispatch.dims_size()));
            }
        }
        jobs.sort_by_key(|job| std::cmp::Reverse(job.text.len()));
        Ok(jobs)
    }

    /// The pipeline of a dispatch.
    pub async fn get(&self, gpu: &Gpu, dispatch: &Dispatch) -> Result<Arc<Pipeline>> {
        let key = key(gpu, dispatch);
        match self.find(&key) {
            Some(pipeline) => Ok(pipeline),
            None => self.make(gpu, &job(gpu, dispatch, key)?).await,
        }
    }

    /// Makes a pipeline.
    pub async fn make(&self, gpu: &Gpu, job: &Job) -> Result<Arc<Pipeline>> {
        let name = job.key.0.name;
        let what = format!("compiling {name}");
        let compiled = gpu.guarded(&what, || self.compile(gpu.device(), job)).await;
        let pipeline = Arc::new(compiled.map_err(|error| match error {
            Error::Device { message, .. } => Error::Shader { kernel: name.into(), message },
            other => other,
        })?);
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(job.key.clone(), pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, device: &wgpu::Device, job: &Job) -> Pipeline {
        let (name, text) = (job.key.0.name, job.text.as_str());
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
        let module = if self.checked {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: the shaders are this crate's own; they guard every access by the extents in their dimensions, and
            // the suite runs all of them with the checks on as well.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let bindings = job.bindings.clone();
        let group = self.layout(device, &bindings);
        let groups = [Some(&group), Some(&self.steps)];
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &groups,
            ..Default::default()
        });
        let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: self.cache.get().map(Cache::object),
        });
        Pipeline { raw, bindings, layout: group }
    }
}

fn key(gpu: &Gpu, dispatch: &Dispatch) -> Key {
    let launch = &dispatch.launch;
    let baked = gpu.target().bake.then(|| launch.dims.iter().map(|dim| dim.bits()).collect());
    (launch.kernel.clone(), baked)
}

fn job(gpu: &Gpu, dispatch: &Dispatch, key: Key) -> Result<Job> {
    let launch = &dispatch.launch;
    let dims: Option<&[Dim]> = gpu.target().bake.then_some(&launch.dims);
    let text = assemble(&launch.kernel, dims, gpu.target().images)?;
    let buffer = |operand| Binding { number: operand as u32 + 1, operand, image: None };
    let mut bindings: Bindings = (0..dispatch.bindings.len()).map(buffer).collect();
    for (number, format) in text.lines().filter_map(declared_image) {
        let image = images::format(format);
        match number.checked_sub(IMAGES_BESIDE + 1) {
            Some(operand) => bindings.push(Binding { number: number as u32, operand, image }),
            None => bindings[number - 1].image = image,
        }
    }
    Ok(Job { key, bindings, dims: vec![], text })
}

fn entry(binding: u32, ty: wgpu::BindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None }
}

fn buffer(ty: wgpu::BufferBindingType, dynamic: bool) -> wgpu::BindingType {
    wgpu::BindingType::Buffer { ty, has_dynamic_offset: dynamic, min_binding_size: None }
}
