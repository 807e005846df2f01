//! From the device to the host.

use super::{Buffer, Gpu};
use crate::{Error, Result};
use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

/// A buffer through which results reach the host.
pub struct Staging {
    buffer: Buffer,
    pending: Option<Pending>,
}

struct Pending {
    size: u64,
    submission: wgpu::SubmissionIndex,
    mapped: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Staging {
    /// Room for `size` bytes.
    pub async fn new(gpu: &Gpu, label: &str, size: u64) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        Ok(Self { buffer: Buffer::new(gpu, label, size, usage).await?, pending: None })
    }

    /// Submits `encoder` with copies of these ranges (buffer, offset, size) at its end, one after the other, and begins to
    /// map them.
    pub fn submit(&mut self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder, ranges: &[(&wgpu::Buffer, u64, u64)]) {
        let mut size = 0;
        for &(from, offset, bytes) in ranges {
            let bytes = bytes.next_multiple_of(4);
            encoder.copy_buffer_to_buffer(from, offset, self.buffer.raw(), size, Some(bytes));
            size += bytes;
        }
        let submission = gpu.queue().submit([encoder.finish()]);
        let (sender, mapped) = oneshot_channel();
        self.buffer.raw().slice(..size).map_async(wgpu::MapMode::Read, move |result| drop(sender.send(result)));
        self.pending = Some(Pending { size, submission, mapped });
    }

    /// Whether a submit has not been read yet.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Waits for the copy and hands it out.
    pub async fn read(&mut self, gpu: &Gpu) -> Result<Vec<u8>> {
        let fail = |message: String| Error::Device { adapter: gpu.info().name.clone(), message };
        let Some(pending) = self.pending.take() else { return Ok(vec![]) };
        gpu.wait(Some(pending.submission))?;
        let mapped = pending.mapped.receive().await;
        gpu.check()?;
        mapped.and_then(|result| result.ok()).ok_or_else(|| fail("the results could not be mapped".into()))?;
        let view =
            self.buffer.raw().slice(..pending.size).get_mapped_range().map_err(|error| fail(error.to_string()))?;
        let bytes = view.to_vec();
        drop(view);
        self.buffer.raw().unmap();
        Ok(bytes)
    }

    /// Copies a range of any size to the host, as many pieces as it takes.
    pub async fn download(&mut self, gpu: &Gpu, from: &wgpu::Buffer, offset: u64, size: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(size as usize);
        let room = self.buffer.raw().size();
        while (bytes.len() as u64) < size {
            let done = bytes.len() as u64;
            let encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.submit(gpu, encoder, &[(from, offset + done, room.min(size - done))]);
            bytes.extend(self.read(gpu).await?);
        }
        bytes.truncate(size as usize);
        Ok(bytes)
    }
}
