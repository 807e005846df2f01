//! Compute pipelines, compiled once per kernel and shared by all plans of a device.

use super::Gpu;
use crate::kernels::{Dim, Kernel, assemble};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A kernel with the dimensions that are baked into it, if any.
type Key = (Kernel, Option<Vec<u32>>);

/// The most storage buffers that a kernel binds.
const MOST_BINDINGS: usize = 8;

pub(super) struct Pipelines {
    checked: bool,
    done: Mutex<HashMap<Key, Arc<wgpu::ComputePipeline>>>,
    /// By number of storage buffers.
    layouts: Vec<wgpu::BindGroupLayout>,
    steps: wgpu::BindGroupLayout,
}

impl Pipelines {
    pub fn new(device: &wgpu::Device, checked: bool) -> Self {
        let entry = |binding, ty, dynamic| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: dynamic, min_binding_size: None },
            count: None,
        };
        let storage = wgpu::BufferBindingType::Storage { read_only: false };
        let layout = |storages: usize| {
            let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform, false)];
            entries.extend((1..=storages).map(|binding| entry(binding as u32, storage, false)));
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
        };
        let steps = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("steps"),
            entries: &[entry(0, wgpu::BufferBindingType::Uniform, true)],
        });
        Self { checked, done: Mutex::default(), layouts: (0..=MOST_BINDINGS).map(layout).collect(), steps }
    }

    /// The layout of group 0 with this many storage buffers.
    pub fn layout(&self, storages: usize) -> &wgpu::BindGroupLayout {
        &self.layouts[storages]
    }

    /// The layout of group 1.
    pub fn steps(&self) -> &wgpu::BindGroupLayout {
        &self.steps
    }

    fn find(&self, key: &Key) -> Option<Arc<wgpu::ComputePipeline>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The pipeline of a kernel that binds `storages` buffers.
    pub async fn get(
        &self,
        gpu: &Gpu,
        kernel: &Kernel,
        dims: &[Dim],
        storages: usize,
    ) -> Result<Arc<wgpu::ComputePipeline>> {
        let baked = gpu.target().bake.then_some(dims);
        let key = (kernel.clone(), baked.map(|dims| dims.iter().map(|dim| dim.bits()).collect()));
        if let Some(pipeline) = self.find(&key) {
            return Ok(pipeline);
        }
        let text = assemble(kernel, baked)?;
        let what = format!("compiling {}", kernel.name);
        let compiled = gpu.guarded(&what, || self.compile(gpu.device(), kernel.name, &text, storages)).await;
        let pipeline = Arc::new(compiled.map_err(|error| match error {
            Error::Device { message, .. } => Error::Shader { kernel: kernel.name.into(), message },
            other => other,
        })?);
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn compile(&self, device: &wgpu::Device, name: &str, text: &str, storages: usize) -> wgpu::ComputePipeline {
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
        let module = if self.checked {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: the shaders are this crate's own; they guard every access by the extents in their dimensions, and
            // the suite runs all of them with the checks on as well.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let groups = [Some(&self.layouts[storages]), Some(&self.steps)];
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &groups,
            ..Default::default()
        });
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        })
    }
}
