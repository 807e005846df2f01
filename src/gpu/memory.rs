//! Buffers, and the account of them.

use super::Gpu;
use super::faults;
use super::images::Shared;
use crate::plan::{Region, Role};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of all buffers of a device.
#[derive(Default)]
pub(super) struct Tracker {
    current: AtomicU64,
    peak: AtomicU64,
}

impl Tracker {
    pub fn current_and_peak(&self) -> (u64, u64) {
        (self.current.load(Ordering::Relaxed), self.peak.load(Ordering::Relaxed))
    }
}

/// A buffer that is counted while it lives.
pub struct Buffer {
    raw: wgpu::Buffer,
    /// Its memory, where kernels read it as images.
    shared: Option<Arc<Shared>>,
    /// `None` if it does not count.
    tracker: Option<Arc<Tracker>>,
}

impl Buffer {
    /// Allocates; the content is zero.
    pub async fn new(gpu: &Gpu, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<Self> {
        let mut buffer = Self::uncounted(gpu, label, size, usage).await?;
        let tracker = gpu.inner.tracker.clone();
        let current = tracker.current.fetch_add(size, Ordering::Relaxed) + size;
        tracker.peak.fetch_max(current, Ordering::Relaxed);
        buffer.tracker = Some(tracker);
        Ok(buffer)
    }

    /// One that is needed for so short a time that nobody asks what it takes.
    pub(super) async fn uncounted(gpu: &Gpu, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<Self> {
        let limit = gpu.device().limits().max_buffer_size;
        if size > limit {
            let hint = "use a smaller --batch-size or a smaller data set".into();
            return Err(Error::Limit { what: label.into(), need: size, have: limit, hint });
        }
        let what = format!("allocating {size} bytes for {label}");
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let (raw, shared) = if gpu.target().images && usage.contains(wgpu::BufferUsages::STORAGE) {
            let made = gpu.guarded(&what, || Shared::new(gpu, &descriptor)).await?;
            let (raw, shared) = made.ok_or_else(|| faults::out_of_memory(gpu, &what))?;
            (raw, Some(shared))
        } else {
            (gpu.guarded(&what, || gpu.device().create_buffer(&descriptor)).await?, None)
        };
        Ok(Self { raw, shared, tracker: None })
    }

    /// The wgpu buffer.
    pub fn raw(&self) -> &wgpu::Buffer {
        &self.raw
    }

    /// A range of bytes as an image.
    pub(super) fn image(
        &self,
        gpu: &Gpu,
        offset: u64,
        size: u64,
        format: wgpu::TextureFormat,
    ) -> Result<wgpu::TextureView> {
        let view = self.shared.as_ref().and_then(|shared| shared.image(gpu, offset, size, format));
        view.ok_or_else(|| faults::out_of_memory(gpu, &format!("making an image of {size} bytes")))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(tracker) = &self.tracker {
            tracker.current.fetch_sub(self.raw.size(), Ordering::Relaxed);
        }
    }
}

/// The buffers of one run, by role.
pub struct Memory {
    buffers: BTreeMap<Role, Buffer>,
}

impl Memory {
    /// Allocates what `sizes` asks for; see [`crate::plan::shared_buffers`].
    pub async fn new(gpu: &Gpu, sizes: &BTreeMap<Role, u64>) -> Result<Self> {
        gpu.check_room("this plan", sizes.values().sum(), |_| "use a smaller --batch-size".into())?;
        let mut buffers = BTreeMap::new();
        for (role, &size) in sizes {
            let usage = match role {
                Role::Dimensions(_) | Role::Steps => wgpu::BufferUsages::UNIFORM,
                _ => wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            };
            let usage = usage | wgpu::BufferUsages::COPY_DST;
            buffers.insert(role.clone(), Buffer::new(gpu, &role.to_string(), size, usage).await?);
        }
        Ok(Self { buffers })
    }

    /// The buffer of a role.
    pub fn get(&self, role: &Role) -> Result<&wgpu::Buffer> {
        self.buffer(role).map(Buffer::raw)
    }

    pub(super) fn buffer(&self, role: &Role) -> Result<&Buffer> {
        let missing = || Error::shape("memory", format!("this run has no buffer for {role}"));
        self.buffers.get(role).ok_or_else(missing)
    }

    /// Writes `bytes` into `regions`, one after the other.
    pub fn write_parts(&self, gpu: &Gpu, regions: &[Region], bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        for region in regions {
            let (part, behind) = rest.split_at(rest.len().min(region.size as usize));
            self.write(gpu, region, part)?;
            rest = behind;
        }
        Ok(())
    }

    /// Writes `bytes` at the start of `region` before the next submit; the last word is filled up with zeros.
    pub fn write(&self, gpu: &Gpu, region: &Region, bytes: &[u8]) -> Result<()> {
        let buffer = self.get(&region.role)?;
        let whole = bytes.len() / 4 * 4;
        // In pieces, because wgpu holds a copy of each write until the next submit.
        for (index, piece) in bytes[..whole].chunks(8 << 20).enumerate() {
            gpu.queue().write_buffer(buffer, region.offset + ((8 << 20) * index) as u64, piece);
            if index > 0 {
                gpu.queue().submit([]);
            }
        }
        if whole < bytes.len() {
            let mut word = [0; 4];
            word[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            gpu.queue().write_buffer(buffer, region.offset + whole as u64, &word);
        }
        Ok(())
    }
}
