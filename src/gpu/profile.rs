//! How long each dispatch takes, by the adapter's own clock.

use super::{Executable, Gpu, Runner, Staging};
use crate::{Error, Result};

/// The time of one dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Begin, in nanoseconds from the begin of the first dispatch.
    pub start: f64,
    /// Duration in nanoseconds.
    pub duration: f64,
}

/// Runs the step in slot 0 once, each dispatch in a pass of its own between two timestamps.
pub(crate) async fn timings(gpu: &Gpu, executable: &Executable) -> Result<Vec<Timing>> {
    if !gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        return Err(Error::usage(format!("{} has no timestamps", gpu.describe())));
    }
    let count = 2 * executable.len() as u32;
    let size = 8 * u64::from(count);
    let mut ticks: Vec<u64> = Vec::new();
    // Query sets are limited to 4,096 entries.
    let descriptor = |count| wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count };
    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
    let resolved = super::Buffer::new(gpu, "timestamps", size.clamp(256, 8 * 4096), usage).await?;
    let mut staging = Staging::new(gpu, "timestamps", size.clamp(256, 8 * 4096)).await?;
    for first in (0..executable.len()).step_by(2048) {
        let part = (executable.len() - first).min(2048);
        let queries = gpu.device().create_query_set(&descriptor(2 * part as u32));
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for index in 0..part {
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(2 * index as u32),
                end_of_pass_write_index: Some(2 * index as u32 + 1),
            };
            executable.encode_one(&mut encoder, first + index, Some(writes));
        }
        encoder.resolve_query_set(&queries, 0..2 * part as u32, resolved.raw(), 0);
        staging.submit(gpu, encoder, &[(resolved.raw(), 0, 16 * part as u64)]);
        let bytes = staging.read(gpu).await?;
        ticks.extend(bytes.chunks_exact(8).map(|word| u64::from_le_bytes(std::array::from_fn(|i| word[i]))));
    }
    let period = f64::from(gpu.queue().get_timestamp_period());
    let origin = ticks.first().copied().unwrap_or(0);
    let timing = |pair: &[u64]| Timing {
        start: pair[0].wrapping_sub(origin) as f64 * period,
        duration: pair[1].saturating_sub(pair[0]) as f64 * period,
    };
    Ok(ticks.chunks_exact(2).map(timing).collect())
}

impl Runner {
    /// The time of each dispatch of the plan, in its order; an error where the adapter has no timestamps.
    pub async fn timings(&self) -> Result<Vec<Timing>> {
        timings(&self.gpu, &self.executable).await
    }
}
