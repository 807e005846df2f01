//! What an adapter can do at most: arithmetic without memory, and memory without arithmetic.
//!
//! A dispatch of F operations on B bytes takes at least `max(F / flops, B / bytes)` seconds. What it takes beyond that is
//! what its kernel loses; only algorithms that need fewer operations than the definition counts can do better.

use super::{Gpu, Runner};
use crate::Result;
use crate::kernels::{Dim, Kernel};
use crate::plan::{
    ALIGNMENT, Dispatch, Launch, ParameterLayout, Plan, RECORD_BYTES, Region, Role, STEP_BYTES, aligned,
};
use std::collections::{BTreeMap, BTreeSet};

/// The measured ceilings of an adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Floating-point operations per second, a multiplication and an addition counting as two.
    pub flops: f64,
    /// Bytes per second that a copy reads and writes, together.
    pub bytes: f64,
}

/// Operations of an invocation of `peak` in a round: 16 turns of 3 vectors of 4 numbers, each multiplied and added to.
const ROUND: u64 = 16 * 3 * 4 * 2;
const ROUNDS: u32 = 1024;
/// How often each is measured; the best counts.
const REPEAT: usize = 9;

impl Ceilings {
    /// Measures `gpu`; takes up to a second.
    pub async fn measure(gpu: &Gpu) -> Result<Self> {
        let target = gpu.target();
        let invocations = 8 * target.busy();
        let dims = vec![Dim::I(ROUNDS as i32), Dim::F(0.999), Dim::F(0.001)];
        let flops = invocations * u64::from(ROUNDS) * ROUND;
        let peak = fastest(gpu, "peak", (dims, 64), invocations, &[16 * invocations]).await?;

        let bytes = (target.busy() << 16).min(target.max_binding).min(256 << 20) / ALIGNMENT * ALIGNMENT;
        let vectors = bytes / 16;
        let copy = fastest(gpu, "copy", (vec![Dim::U(vectors as u32)], 256), vectors, &[bytes, bytes]).await?;
        Ok(Self { flops: flops as f64 / peak, bytes: 2.0 * bytes as f64 / copy })
    }

    /// The least seconds that so much work can take.
    pub fn least(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 / self.flops).max(bytes as f64 / self.bytes)
    }
}

/// The least seconds of a dispatch of so many invocations of `kernel`, which binds a buffer of each of these sizes.
async fn fastest(
    gpu: &Gpu,
    kernel: &'static str,
    (dims, group): (Vec<Dim>, u64),
    invocations: u64,
    sizes: &[u64],
) -> Result<f64> {
    let runner = Runner::of(gpu, plan(gpu, kernel, dims, invocations.div_ceil(group), sizes)).await?;
    let mut least = f64::INFINITY;
    // The first run compiles.
    runner.run()?;
    for _ in 0..REPEAT {
        let seconds = if gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            runner.timings().await?.iter().map(|timing| timing.duration / 1e9).sum()
        } else {
            let begin = crate::clock::Instant::now();
            runner.run()?;
            begin.elapsed().as_secs_f64()
        };
        least = least.min(seconds);
    }
    Ok(least.max(1e-9))
}

/// A plan of one dispatch, each of whose bindings is a buffer of its own.
fn plan(gpu: &Gpu, kernel: &'static str, dims: Vec<Dim>, groups: u64, sizes: &[u64]) -> Plan {
    let rows = groups.div_ceil(u64::from(gpu.target().max_workgroups));
    let bindings: Vec<Region> = sizes
        .iter()
        .enumerate()
        .map(|(index, &size)| Region { role: Role::Activations(index), offset: 0, size })
        .collect();
    let mut bytes: Vec<u8> = dims.iter().flat_map(|dim| dim.bits().to_le_bytes()).collect();
    bytes.resize(aligned(bytes.len() as u64) as usize, 0);
    let mut buffers = BTreeMap::from([
        (Role::Dimensions(kernel.into()), bytes.len() as u64),
        (Role::Steps, STEP_BYTES),
        (Role::Records, RECORD_BYTES),
    ]);
    buffers.extend(bindings.iter().map(|region| (region.role.clone(), aligned(region.size))));
    let launch = Launch {
        kernel: Kernel::new(kernel),
        dims,
        operands: vec![],
        workgroups: [groups.div_ceil(rows) as u32, rows as u32, 1],
        flops: 0,
        layer: "ceiling".into(),
        note: String::new(),
        in_place: false,
        reread: 0,
        untouched: 0,
        first_row: None,
        questions: vec![],
    };
    Plan {
        name: kernel.into(),
        dispatches: vec![Dispatch { launch, dims_offset: 0, bindings, bytes: sizes.iter().sum() }],
        update: 1,
        buffers,
        dims: bytes,
        regions: BTreeMap::new(),
        halves: BTreeSet::new(),
        parameters: ParameterLayout::default(),
        lower_bound: sizes.iter().sum(),
        questions: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearer_of_arithmetic_and_memory_counts() {
        let ceilings = Ceilings { flops: 1e9, bytes: 1e8 };
        assert_eq!(ceilings.least(2_000_000_000, 50_000_000), 2.0);
        assert_eq!(ceilings.least(1_000_000_000, 300_000_000), 3.0);
    }
}
