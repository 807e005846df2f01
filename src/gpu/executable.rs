//! A plan on a device: pipelines and bind groups made once, replayed any number of times.

use super::pipelines::{Binding, Pipeline};
use super::run::STEP_BLOCK;
use super::{Gpu, Memory};
use crate::Result;
use crate::plan::{Dispatch, Plan, Region, Role, STEP_BYTES};
use std::ops::Range;
use std::sync::Arc;

/// A plan with everything that a replay needs.
pub struct Executable {
    entries: Vec<Entry>,
    update: usize,
    steps: wgpu::BindGroup,
}

struct Entry {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

impl Executable {
    /// Compiles the kernels of `plan`, several at a time where threads are to be had, and binds its regions in `memory`.
    pub async fn new(gpu: &Gpu, plan: &Plan, memory: &Memory) -> Result<Self> {
        #[cfg(not(target_arch = "wasm32"))]
        super::ahead::compile(gpu, plan)?;
        let role = Role::Dimensions(plan.name.clone());
        memory.write(gpu, &Region { role: role.clone(), offset: 0, size: plan.dims.len() as u64 }, &plan.dims)?;
        let dims = memory.get(&role)?;
        let mut entries = Vec::with_capacity(plan.dispatches.len());
        for dispatch in &plan.dispatches {
            let launch = &dispatch.launch;
            let pipeline = gpu.inner.pipelines.get(gpu, dispatch).await?;
            let images = images(gpu, dispatch, &pipeline, memory)?;
            let mut all = vec![(0, part(dims, dispatch.dims_offset, dispatch.dims_size()))];
            for (binding, image) in pipeline.bindings.iter().zip(&images) {
                let region = &dispatch.bindings[binding.operand];
                let resource = match image {
                    Some(view) => wgpu::BindingResource::TextureView(view),
                    None => part(memory.get(&region.role)?, region.offset, region.size),
                };
                all.push((binding.number, resource));
            }
            let group = bind_group(gpu, &pipeline.layout, launch.kernel.name, all).await?;
            entries.push(Entry { pipeline, group, workgroups: launch.workgroups });
        }
        gpu.inner.pipelines.save(gpu);
        let table = memory.get(&Role::Steps)?;
        let steps = bind_group(gpu, gpu.inner.pipelines.steps(), "steps", [(0, part(table, 0, STEP_BLOCK))]).await?;
        Ok(Self { entries, update: plan.update, steps })
    }

    /// Records the steps whose numbers lie in these slots of the table, in one compute pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, slots: Range<usize>) {
        self.encode_batches(encoder, slots.map(|slot| (slot, true)));
    }

    /// Records batches by their slots in the table, in one compute pass: each with the update that ends a step, or
    /// without.
    pub fn encode_batches(&self, encoder: &mut wgpu::CommandEncoder, batches: impl Iterator<Item = (usize, bool)>) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (slot, update) in batches {
            pass.set_bind_group(1, &self.steps, &[slot as u32 * STEP_BYTES as u32]);
            let end = if update { self.entries.len() } else { self.update };
            self.entries[..end].iter().for_each(|entry| entry.record(&mut pass));
        }
    }

    /// Records a single dispatch of the first slot's step, in a pass of its own with these timestamps.
    pub(super) fn encode_one(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        index: usize,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites>,
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        pass.set_bind_group(1, &self.steps, &[0]);
        self.entries[index].record(&mut pass);
    }

    /// The number of dispatches.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn record(&self, pass: &mut wgpu::ComputePass) {
        let [x, y, z] = self.workgroups;
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// What the pipeline reads as images.
fn images(
    gpu: &Gpu,
    dispatch: &Dispatch,
    pipeline: &Pipeline,
    memory: &Memory,
) -> Result<Vec<Option<wgpu::TextureView>>> {
    let image = |binding: &Binding| {
        let (Some(format), region) = (binding.image, &dispatch.bindings[binding.operand]) else { return Ok(None) };
        memory.buffer(&region.role)?.image(gpu, region.offset, region.size, format).map(Some)
    };
    pipeline.bindings.iter().map(image).collect()
}

/// A range of a buffer, as far as there is one.
pub(super) fn part(buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindingResource<'_> {
    let size = std::num::NonZeroU64::new(size.min(buffer.size() - offset));
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
}

async fn bind_group(
    gpu: &Gpu,
    layout: &wgpu::BindGroupLayout,
    label: &str,
    bound: impl IntoIterator<Item = (u32, wgpu::BindingResource<'_>)>,
) -> Result<wgpu::BindGroup> {
    let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
    let entries: Vec<wgpu::BindGroupEntry> = bound.into_iter().map(entry).collect();
    let descriptor = wgpu::BindGroupDescriptor { label: Some(label), layout, entries: &entries };
    gpu.guarded(&format!("binding {label}"), || gpu.device().create_bind_group(&descriptor)).await
}
