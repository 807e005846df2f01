//! One run on one device: its memory, its pipelines, and their replay.

mod state;

use super::Settings;
use super::checkpoint::AVERAGE;
use super::evaluation::{Evaluation, Tally};
use super::objective::CLASS_WEIGHTS;
use super::room::suggestions;
use super::run_plan::{LOSS_SCALE, LOSS_SCALE_HISTORY, RunPlan};
use super::window::{Window, room};
use crate::data::{Dataset, Part};
use crate::gpu::{Executable, Gpu, Memory, Staging, StepNumbers};
use crate::graph::Value;
use crate::nn::Model;
use crate::plan::{Arena, LossScale, Plan, RECORD_BYTES, Region, Role, SLOTS, STEP_BYTES};
use crate::{Error, Result};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

/// Loss, correct rows and rows of one batch.
pub type StepRecord = [f32; 3];

/// A run's plans, memory and pipelines.
pub struct Session {
    gpu: Gpu,
    train: Plan,
    eval: Plan,
    buffers: BTreeMap<Role, u64>,
    memory: Memory,
    train_step: Executable,
    eval_step: Executable,
    logits: Value,
    rings: VecDeque<Staging>,
    download: Staging,
    batch: usize,
    test_samples: usize,
    test_labels: Vec<u32>,
    /// What is kept for each trained parameter, and under which name.
    states: Vec<(Arena, &'static str)>,
    /// Whether the loss is scaled.
    scaled: bool,
    /// Of the training and of the test images, where they are not resident.
    windows: [Option<Window>; 2],
}

impl Session {
    /// Plans the run and allocates what it needs; `dataset` must fit the model.
    pub async fn new(gpu: &Gpu, model: &Model, dataset: &Dataset, settings: &Settings) -> Result<Self> {
        let plan = RunPlan::new(model, dataset, settings, gpu.target())?;
        let smaller = |have| suggestions(model, dataset, settings, gpu.target(), have);
        gpu.check_room("this run", plan.bytes(), |have| smaller(Some(have)))?;
        let RunPlan { train, eval, buffers, logits } = plan;
        let is_staging = |role: &Role| matches!(role, Role::Staging(_));
        let (staging, resident): (BTreeMap<Role, u64>, BTreeMap<Role, u64>) =
            buffers.clone().into_iter().partition(|(role, _)| is_staging(role));
        let memory = Memory::new(gpu, &resident).await.map_err(|error| match error {
            Error::OutOfMemory { adapter, what, .. } => Error::OutOfMemory { adapter, what, hint: smaller(None) },
            error => error,
        })?;
        let mut rings = VecDeque::new();
        for (role, size) in &staging {
            rings.push_back(Staging::new(gpu, &role.to_string(), *size).await?);
        }
        // Roles are in order of their names: downloads come before results.
        let download = rings.pop_front().expect("a run has staging memory");
        let whole = |role: Role| Region { size: buffers.get(&role).copied().unwrap_or(0), role, offset: 0 };
        let mut windows = [None, None];
        for (window, part) in windows.iter_mut().zip([Part::Train, Part::Test]) {
            let (name, images) = (part.name(), dataset.part(part));
            let least = if part == Part::Train { settings.accumulate } else { 1 };
            let room = room(dataset, part, settings.batch_size, least, gpu.target());
            if room.window {
                let identity: Vec<u32> = (0..room.rows as u32).collect();
                memory.write(gpu, &whole(Role::Input(format!("{name}.order"))), bytemuck::cast_slice(&identity))?;
                *window = Some(Window::new(dataset, part, settings.batch_size, room.rows)?);
                continue;
            }
            memory.write(gpu, &whole(Role::Input(format!("{name}.images"))), &dataset.pixels(part)?)?;
            memory.write(gpu, &whole(Role::Input(format!("{name}.labels"))), bytemuck::cast_slice(&images.labels))?;
        }
        if windows[1].is_none() {
            let order: Vec<u32> = (0..dataset.test.len() as u32).collect();
            memory.write(gpu, &whole(Role::Input("test.order".into())), bytemuck::cast_slice(&order))?;
        }
        if let Some(weights) = settings.class_weights.numbers(dataset)? {
            memory.write(gpu, &whole(Role::Input(CLASS_WEIGHTS.into())), bytemuck::cast_slice(&weights))?;
        }
        if settings.amp {
            memory.write(gpu, &whole(Role::Input(LOSS_SCALE.into())), bytemuck::bytes_of(&LossScale::FIRST))?;
            memory.write(gpu, &whole(Role::Input(LOSS_SCALE_HISTORY.into())), &[0; 8])?;
        }
        let train_step = Executable::new(gpu, &train, &memory).await?;
        let eval_step = Executable::new(gpu, &eval, &memory).await?;
        let names = settings.optimizer.state_names().iter().enumerate();
        let states = names
            .map(|(index, &name)| (Arena::State(index), name))
            .chain(settings.average.map(|_| (Arena::Average, AVERAGE)))
            .collect();
        Ok(Self {
            gpu: gpu.clone(),
            buffers,
            memory,
            train_step,
            eval_step,
            logits,
            rings,
            download,
            batch: settings.batch_size,
            test_samples: dataset.test.len(),
            test_labels: dataset.test.labels.clone(),
            states,
            scaled: settings.amp,
            train,
            eval,
            windows,
        })
    }

    /// The batches that one submit of training may have.
    pub fn most_batches(&self) -> usize {
        self.windows[0].as_ref().map_or(SLOTS, Window::steps)
    }

    /// The plan of a training step.
    pub fn plan(&self) -> &Plan {
        &self.train
    }

    /// The plan of a forward pass on test images, with loss.
    pub fn eval_plan(&self) -> &Plan {
        &self.eval
    }

    /// Bytes of every buffer of the run.
    pub fn buffers(&self) -> &BTreeMap<Role, u64> {
        &self.buffers
    }

    /// The number of test samples.
    pub fn test_samples(&self) -> usize {
        self.test_samples
    }

    /// Sets the order in which the following steps visit the training samples.
    pub fn set_order(&mut self, order: &[u32]) -> Result<()> {
        if let [Some(window), _] = &mut self.windows {
            window.set_order(order);
            return Ok(());
        }
        let role = Role::Input("train.order".into());
        self.memory.write(
            &self.gpu,
            &Region { role, offset: 0, size: 4 * order.len() as u64 },
            bytemuck::cast_slice(order),
        )
    }

    /// Submits the batches of training steps, at most [`Session::most_batches`]. Yields the records of an earlier submit
    /// where the limit of submits in flight makes it wait.
    pub async fn train(&mut self, steps: &[StepNumbers]) -> Result<Option<Vec<StepRecord>>> {
        let earlier = if self.is_full() { self.finish_one().await? } else { None };
        self.submit(steps, false)?;
        Ok(earlier)
    }

    /// Waits for the oldest submit that has not been read; `None` if there is none.
    pub async fn finish_one(&mut self) -> Result<Option<Vec<StepRecord>>> {
        let numbers = self.read_one().await?;
        Ok(numbers.map(|numbers| numbers.chunks_exact(4).map(|record| [record[0], record[1], record[2]]).collect()))
    }

    fn is_full(&self) -> bool {
        self.rings.iter().all(Staging::is_pending)
    }

    async fn read_one(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(index) = self.rings.iter().position(Staging::is_pending) else { return Ok(None) };
        let bytes = self.rings[index].read(&self.gpu).await?;
        // What has been read goes to the back, so that the oldest pending one stays in front.
        self.rings.rotate_left(index + 1);
        Ok(Some(floats(&bytes)))
    }

    /// Submits batches; of an evaluation a single one, whose logits are read back behind its record.
    fn submit(&mut self, steps: &[StepNumbers], eval: bool) -> Result<()> {
        let mut placed = None;
        if let Some(window) = &self.windows[usize::from(eval)] {
            let ((pixels, labels), steps) = window.view(steps)?;
            let part = if eval { "test" } else { "train" };
            let whole = |name: &str, size: usize| {
                let role = Role::Input(format!("{part}.{name}"));
                Region { role, offset: 0, size: size as u64 }
            };
            self.memory.write(&self.gpu, &whole("images", pixels.len()), &pixels)?;
            self.memory.write(&self.gpu, &whole("labels", 4 * labels.len()), bytemuck::cast_slice(&labels))?;
            placed = Some(steps);
        }
        let steps = placed.as_deref().unwrap_or(steps);
        let mut table = vec![0; STEP_BYTES as usize * steps.len()];
        for (slot, (entry, step)) in table.chunks_exact_mut(STEP_BYTES as usize).zip(steps).enumerate() {
            let bytes = StepNumbers { slot: slot as u32, ..*step }.to_bytes();
            entry[..bytes.len()].copy_from_slice(&bytes);
        }
        self.memory.write(&self.gpu, &Region { role: Role::Steps, offset: 0, size: table.len() as u64 }, &table)?;
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let step = if eval { &self.eval_step } else { &self.train_step };
        step.encode_batches(&mut encoder, steps.iter().map(|step| !step.partial).enumerate());
        let records = self.memory.get(&Role::Records)?;
        let free = self.rings.iter_mut().find(|ring| !ring.is_pending()).expect("one was just read");
        let mut ranges = vec![(records, 0, RECORD_BYTES * steps.len() as u64)];
        if eval {
            let Region { role, offset, size } = &self.eval.regions[&self.logits];
            ranges.push((self.memory.get(role)?, *offset, *size));
        }
        free.submit(&self.gpu, encoder, &ranges);
        Ok(())
    }

    fn test_batches(&self) -> Vec<StepNumbers> {
        let batch = |first: usize| StepNumbers {
            first: first as u32,
            valid: self.batch.min(self.test_samples - first) as u32,
            ..StepNumbers::default()
        };
        (0..self.test_samples).step_by(self.batch).map(batch).collect()
    }

    /// Evaluates these batches of test samples and waits for them, for the sake of the time that takes.
    pub async fn replay_evaluation(&mut self, batches: &[StepNumbers]) -> Result<()> {
        for batch in batches {
            if self.is_full() {
                self.read_one().await?;
            }
            self.submit(std::slice::from_ref(batch), true)?;
        }
        while self.read_one().await?.is_some() {}
        Ok(())
    }

    /// Evaluates all test samples; no training steps may be in flight. `None` if `stop` is set meanwhile.
    pub async fn evaluate(&mut self, classes: usize, stop: &AtomicBool) -> Result<Option<Evaluation>> {
        let batches = self.test_batches();
        let mut tally = Tally::new(classes);
        let (mut submitted, mut read) = (0, 0);
        while read < batches.len() {
            if submitted < batches.len() && !self.is_full() {
                if stop.load(Ordering::Relaxed) {
                    while self.read_one().await?.is_some() {}
                    return Ok(None);
                }
                self.submit(&batches[submitted..submitted + 1], true)?;
                submitted += 1;
            } else if let Some(numbers) = self.read_one().await? {
                let (record, logits) = numbers.split_at(RECORD_BYTES as usize / 4);
                let first = batches[read].first as usize;
                tally.add(record, logits, &self.test_labels[first..first + batches[read].valid as usize]);
                read += 1;
            }
        }
        Ok(Some(tally.result()))
    }
}

/// The numbers of a tensor that was read back.
fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}
