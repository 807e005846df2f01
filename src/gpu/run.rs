//! Running a graph once: for tests, the self test, and whoever wants a graph's values without a training loop.

use super::{Executable, Gpu, Memory, Staging};
use crate::graph::{DType, Op, Value};
use crate::plan::{Arena, Launch, Plan, Program, Region, Role, Target};
use crate::{Error, Result};
use half::f16;
use std::collections::HashSet;

/// Bytes of the uniform block of step numbers.
pub(crate) const STEP_BLOCK: u64 = 64;

/// What changes from step to step, as kernels read it (`struct Step` in the shaders).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepNumbers {
    /// The step, counted from 0 at the start of the run.
    pub index: u32,
    /// Its slot in the ring of records.
    pub slot: u32,
    /// Where its batch begins in the order of samples.
    pub first: u32,
    /// The number of samples in its batch.
    pub valid: u32,
    /// Learning rate, and what the optimizer derives from it.
    pub rates: [f32; 3],
    /// Whether the batch is the first of its step, where steps are made of several.
    pub fresh: bool,
    /// Its part of the step's samples.
    pub share: f32,
    /// What the parameters after the step count for in their averages; 1 at the first step.
    pub average: f32,
    /// Whether more batches of the step follow, and its update is left to them. Kernels do not see this.
    pub partial: bool,
    /// The weight of a mixup, see [`Augment::lambda`](crate::graph::Augment::lambda).
    pub lambda: f32,
}

impl Default for StepNumbers {
    /// A step of one batch without samples.
    fn default() -> Self {
        let [index, slot, first, valid] = [0; 4];
        Self {
            index,
            slot,
            first,
            valid,
            rates: [0.0; 3],
            fresh: true,
            share: 1.0,
            average: 1.0,
            partial: false,
            lambda: 0.0,
        }
    }
}

impl StepNumbers {
    /// A step on a full batch, outside of any run.
    pub fn once() -> Self {
        Self { valid: u32::MAX, ..Self::default() }
    }

    /// The bytes of the uniform block.
    pub fn to_bytes(self) -> [u8; STEP_BLOCK as usize] {
        let [a, b, c] = self.rates.map(f32::to_bits);
        let mut words = [0; STEP_BLOCK as usize / 4];
        words[..7].copy_from_slice(&[self.index, self.slot, self.first, self.valid, a, b, c]);
        words[7..10].copy_from_slice(&[self.fresh.into(), self.share.to_bits(), self.average.to_bits()]);
        words[10] = self.lambda.to_bits();
        bytemuck::cast(words)
    }
}

/// A plan with memory of its own.
pub struct Runner {
    pub(super) gpu: Gpu,
    plan: Plan,
    memory: Memory,
    pub(super) executable: Executable,
    staging: Staging,
}

impl Runner {
    /// Plans `program` for `gpu` and makes it ready to run.
    pub async fn new(gpu: &Gpu, program: &Program) -> Result<Self> {
        Self::on(gpu, program, gpu.target()).await
    }

    /// [`Runner::new`] with kernels chosen for `target`, which may ask for less than the adapter has.
    pub async fn on(gpu: &Gpu, program: &Program, target: &Target) -> Result<Self> {
        let runner = Self::of(gpu, Plan::new(program, target)?).await?;
        let mixup = program.graph.nodes().iter().find_map(|node| match &node.op {
            Op::Gather(gather) => Some(gather.augment.lambda(gather.seed, 0)),
            _ => None,
        });
        let lambda = mixup.unwrap_or_default();
        runner.set_step(StepNumbers { lambda, ..StepNumbers::once() })?;
        Ok(runner)
    }

    /// Makes `plan`, which was made for `gpu`, ready to run.
    pub async fn of(gpu: &Gpu, plan: Plan) -> Result<Self> {
        let memory = Memory::new(gpu, &plan.buffers).await?;
        let executable = Executable::new(gpu, &plan, &memory).await?;
        let staging = Staging::new(gpu, "results", 4 << 20).await?;
        let runner = Self { gpu: gpu.clone(), plan, memory, executable, staging };
        runner.set_step(StepNumbers::once())?;
        Ok(runner)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sets an input or parameter from its bytes.
    pub fn feed(&self, value: Value, bytes: &[u8]) -> Result<()> {
        let place = self.plan.parameters.find(value).map(|place| place.regions(Arena::Parameters));
        let input = || self.plan.regions.get(&value).map(|region| vec![region.clone()]);
        let regions = place.or_else(input).ok_or_else(|| self.unknown(value))?;
        let size: u64 = regions.iter().map(|region| region.size).sum();
        if bytes.len() as u64 != size {
            let message = format!("{} wants {size} bytes, got {}", regions[0].role, bytes.len());
            return Err(Error::shape("feed", message));
        }
        self.memory.write_parts(&self.gpu, &regions, bytes)
    }

    /// Sets the numbers of the step to run.
    pub fn set_step(&self, step: StepNumbers) -> Result<()> {
        self.memory.write(&self.gpu, &Region { role: Role::Steps, offset: 0, size: STEP_BLOCK }, &step.to_bytes())
    }

    /// Runs all dispatches once.
    pub fn run(&self) -> Result<()> {
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.executable.encode(&mut encoder, 0..1);
        let submission = self.gpu.queue().submit([encoder.finish()]);
        self.gpu.wait(Some(submission))
    }

    /// Runs all dispatches once, each tensor filled with NaN (of 32 bits and of 16) before the first dispatch that writes it:
    /// an element that no kernel writes is found out.
    pub async fn run_poisoned(&self) -> Result<()> {
        let largest = self.plan.buffers.values().copied().max().unwrap_or(4).min(16 << 20);
        let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let poison = super::Buffer::new(&self.gpu, "poison", largest, usage).await?;
        let words = vec![0x7fff_7fff_u32; largest as usize / 4];
        self.gpu.queue().write_buffer(poison.raw(), 0, bytemuck::cast_slice(&words));
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut written = HashSet::new();
        for (index, dispatch) in self.plan.dispatches.iter().enumerate() {
            let overwritten = overwritten(&dispatch.launch);
            let bindings = dispatch.bindings.iter().zip(&dispatch.launch.operands).zip(overwritten);
            for ((region, operand), overwritten) in bindings {
                let results = matches!(region.role, Role::Activations(_) | Role::Arena(Arena::Gradients, _));
                if overwritten && results && written.insert(operand) {
                    let buffer = self.memory.get(&region.role)?;
                    let mut done = 0;
                    while done < region.size.min(buffer.size() - region.offset) {
                        let size = largest.min(region.size - done).min(buffer.size() - region.offset - done);
                        encoder.copy_buffer_to_buffer(poison.raw(), 0, buffer, region.offset + done, Some(size));
                        done += size;
                    }
                }
            }
            self.executable.encode_one(&mut encoder, index, None);
        }
        let submission = self.gpu.queue().submit([encoder.finish()]);
        self.gpu.wait(Some(submission))
    }

    /// Reads an output, or a parameter's numbers or gradient, as bytes.
    pub async fn read(&mut self, value: Value) -> Result<Vec<u8>> {
        let region = self.plan.regions.get(&value).cloned().ok_or_else(|| self.unknown(value))?;
        self.read_region(&region).await
    }

    /// Reads any region of the plan's memory.
    pub async fn read_region(&mut self, region: &Region) -> Result<Vec<u8>> {
        let buffer = self.memory.get(&region.role)?;
        let padded = region.size.next_multiple_of(4);
        let mut bytes = self.staging.download(&self.gpu, buffer, region.offset, padded).await?;
        bytes.truncate(region.size as usize);
        Ok(bytes)
    }

    fn unknown(&self, value: Value) -> Error {
        Error::shape(
            "run",
            format!("value {} is neither an input nor an output of plan {}", value.index(), self.plan.name),
        )
    }
}

/// For each storage binding of a launch whether it is only written: declared writable where reading is not its purpose.
/// Of a chain's bindings its body tells.
fn overwritten(launch: &Launch) -> Vec<bool> {
    let source = crate::kernels::source(launch.kernel.name);
    let bindings = source.lines().filter(|line| line.contains("var<storage"));
    if let Some((_, body)) = launch.kernel.defines.iter().find(|(name, _)| *name == "chain") {
        let written = |k| body.contains(&format!("b{k}[i] = ")) && !body.contains(&format!("= b{k}[i]"));
        return (0..bindings.count()).map(written).collect();
    }
    let updated = launch.in_place || source.contains("updated in place");
    bindings.map(|line| line.contains("read_write") && !updated).collect()
}

/// Numbers as the bytes that a tensor of `dtype` holds.
pub(crate) fn encode(dtype: DType, numbers: &[f64]) -> Vec<u8> {
    match dtype {
        DType::F32 => numbers.iter().flat_map(|&number| (number as f32).to_le_bytes()).collect(),
        DType::F16 => numbers.iter().flat_map(|&number| f16::from_f64(number).to_le_bytes()).collect(),
        DType::U32 => numbers.iter().flat_map(|&number| (number as u32).to_le_bytes()).collect(),
        DType::U8 => numbers.iter().map(|&number| number as u8).collect(),
    }
}

/// The numbers of a tensor's bytes.
pub(crate) fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let words = || bytes.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
    match dtype {
        DType::F32 => words().map(|word| f32::from_le_bytes(word).into()).collect(),
        DType::F16 => bytes.chunks_exact(2).map(|half| f16::from_le_bytes([half[0], half[1]]).into()).collect(),
        DType::U32 => words().map(|word| u32::from_le_bytes(word).into()).collect(),
        DType::U8 => bytes.iter().map(|&byte| byte.into()).collect(),
    }
}
