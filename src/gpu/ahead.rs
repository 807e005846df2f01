//! Making pipelines before the first step needs them.
//!
//! As many threads as there are processors make a plan's pipelines, the longest shaders first. For most drivers that is
//! all. Mesa's driver for processors, llvmpipe, does the better part of its work later: it compiles a kernel when that is
//! first dispatched, 15 to 900 ms each, one after the other, and keeps the result in a cache on disk. A dispatch of no
//! workgroups is enough for that. So each pipeline has one as soon as it is made; while the cache is warm, this loads
//! kernels from it beside the making of others. The first that takes too long for that shows that the cache is cold. Then
//! the other threads open devices of their own on the same adapter and compile what is left side by side with the first,
//! which finds their results in the cache.
//!
//! Where there is no cache (`MESA_SHADER_CACHE_DISABLE`, a file system that cannot be written to) the others stop as soon
//! as that shows. What goes wrong with a dispatch of no workgroups, or on a device that only helps, is of no account: the
//! first step compiles what is missing, as it would have without all this.

use super::executable::part;
use super::images::FORMATS;
use super::pipelines::{Binding, Job, Pipeline};
use super::run::STEP_BLOCK;
use super::{Buffer, Gpu, StepNumbers, block_on};
use crate::plan::{Plan, aligned};
use crate::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use wgpu::{BufferDescriptor, BufferUsages};

/// Loading a kernel from the cache takes 1 to 4 ms, compiling even a small one 15.
const SLOW: Duration = Duration::from_millis(10);
/// A thread of the driver writes the cache's files; after this time it has.
const WRITTEN: Duration = Duration::from_millis(20);
/// Bytes of the buffers that are bound where nothing runs; no kernel asks for more.
const BOUND: u64 = 4096;

/// Makes the pipelines of `plan` that `gpu` does not have yet.
pub(super) fn compile(gpu: &Gpu, plan: &Plan) -> Result<()> {
    let jobs = gpu.inner.pipelines.missing(gpu, plan)?;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    let state = State { stages: vec![Stage::Waiting; jobs.len()], makers: threads, ..State::default() };
    let work = Work { gpu, plan, jobs, next: AtomicUsize::new(0), state: Mutex::new(state), changed: Condvar::new() };
    thread::scope(|scope| {
        let run = |index| {
            let work = &work;
            move || {
                work.make();
                // One processor is busy with the first device.
                if index > 0 {
                    work.help();
                }
            }
        };
        let threads: Vec<_> = (0..threads).map(|index| scope.spawn(run(index))).collect();
        work.use_first();
        // A panic of one that made pipelines leaves some that are not made, see below.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
    let state = work.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failure {
        Some(error) => Err(error),
        None if state.stages.contains(&Stage::Waiting) => {
            Err(Error::Shader { kernel: "all".into(), message: "a compiling thread panicked".into() })
        }
        None => Ok(()),
    }
}

/// How far a kernel is.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// It has no pipeline yet.
    Waiting,
    /// It has one.
    Made,
    /// Another device compiles it.
    Helped,
    /// Another device compiled it, at this moment, in this time.
    Elsewhere(Instant, Duration),
    /// The first device has it, or never will.
    Done,
}

#[derive(Default)]
struct State {
    stages: Vec<Stage>,
    /// Threads that still make pipelines.
    makers: usize,
    failure: Option<Error>,
    /// Since when the first device has been at a kernel.
    waiting: Option<Instant>,
    /// Whether kernels have to be compiled, and others can help.
    cold: bool,
    /// Whether help is no longer wanted.
    over: bool,
}

struct Work<'a> {
    gpu: &'a Gpu,
    plan: &'a Plan,
    jobs: Vec<Job>,
    /// The next to be made.
    next: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Makes pipelines on the first device until there are no more to make.
    fn make(&self) {
        let _left = Last(|| self.change(|state| state.makers -= 1));
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(index) else { return };
            match block_on(self.gpu.inner.pipelines.make(self.gpu, job)) {
                Ok(_) => self.change(|state| state.stages[index] = Stage::Made),
                Err(error) => {
                    self.next.store(self.jobs.len(), Ordering::Relaxed);
                    return self.change(|state| state.failure = Some(error));
                }
            }
        }
    }

    /// Dispatches on the first device what is made, and what others have compiled.
    fn use_first(&self) {
        let _over = Last(|| self.change(|state| state.over = true));
        if !compiles_late(self.gpu) {
            return;
        }
        let Ok(first) = FirstUse::new(self.gpu, self.plan) else { return };
        while let Some((index, compiled)) = self.next_first() {
            let begin = Instant::now();
            let Some(pipeline) = self.gpu.inner.pipelines.find(&self.jobs[index].key) else { continue };
            let Ok(submission) = first.dispatch(&pipeline, &self.jobs[index]) else { continue };
            let waiting = Instant::now();
            self.change(|state| state.waiting = Some(waiting));
            first.done(&submission);
            self.change(|state| {
                state.waiting = None;
                state.cold |= waiting.elapsed() > SLOW;
            });
            // What another compiled in vain says that there is no cache.
            if compiled.is_some_and(|time| begin.elapsed() > time / 2) {
                self.change(|state| state.over = true);
            }
        }
    }

    /// The next kernel for the first device, and the time in which another compiled it; waits for one.
    fn next_first(&self) -> Option<(usize, Option<Duration>)> {
        let mut state = self.lock();
        loop {
            let loadable = |stage: &Stage| matches!(stage, Stage::Elsewhere(since, _) if since.elapsed() > WRITTEN);
            let find = |wanted: &dyn Fn(&Stage) -> bool| state.stages.iter().position(wanted);
            let index = find(&loadable).or_else(|| find(&|stage| *stage == Stage::Made));
            if let Some(index) = index {
                let stage = std::mem::replace(&mut state.stages[index], Stage::Done);
                let Stage::Elsewhere(_, time) = stage else { return Some((index, None)) };
                return Some((index, Some(time)));
            }
            let helped = |stage: &Stage| matches!(stage, Stage::Helped | Stage::Elsewhere(..));
            if state.makers == 0 && (state.over || !state.stages.iter().any(helped)) {
                return None;
            }
            state = self.wait(state, WRITTEN);
        }
    }

    /// Once kernels turn out to need it, compiles some on a device of this thread.
    fn help(&self) {
        let mut state = self.lock();
        while !state.over && !state.cold {
            state = self.wait(state, SLOW);
            state.cold |= state.waiting.is_some_and(|since| since.elapsed() > SLOW);
        }
        drop(state);
        // Two are left at least: one may be the first device's next.
        if self.lock().stages.iter().filter(|stage| **stage == Stage::Made).count() < 2 {
            return;
        }
        let Ok(gpu) = self.gpu.another() else { return };
        let Ok(first) = FirstUse::new(&gpu, self.plan) else { return };
        while let Some(index) = self.next_helped() {
            let begin = Instant::now();
            let job = &self.jobs[index];
            let compiled = block_on(gpu.inner.pipelines.make(&gpu, job))
                .and_then(|pipeline| first.dispatch(&pipeline, job))
                .is_ok_and(|submission| first.done(&submission));
            let stage = if compiled { Stage::Elsewhere(Instant::now(), begin.elapsed()) } else { Stage::Made };
            self.change(|state| state.stages[index] = stage);
            if !compiled {
                return;
            }
        }
    }

    fn next_helped(&self) -> Option<usize> {
        let mut state = self.lock();
        let index = state.stages.iter().position(|stage| *stage == Stage::Made).filter(|_| !state.over)?;
        state.stages[index] = Stage::Helped;
        Some(index)
    }
}

/// Whether kernels are compiled when they are first dispatched, and kept where other devices find them. Not on devices of
/// a host application, whose queue is its own.
fn compiles_late(gpu: &Gpu) -> bool {
    gpu.inner.adapter.is_some() && gpu.info().backend == wgpu::Backend::Vulkan && gpu.info().driver == "llvmpipe"
}

/// Runs something when it goes out of scope, be it by a panic.
struct Last<F: Fn()>(F);

impl<F: Fn()> Drop for Last<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Dispatches of no workgroups.
///
/// The uniforms are those of the plan: where a kernel branches or loops by some, the driver looks at their values, and
/// with others would compile something else. Storage buffers may be any.
struct FirstUse<'a> {
    gpu: &'a Gpu,
    dims: wgpu::Buffer,
    storage: Buffer,
    /// Where kernels read images: one of each format, of the same memory.
    images: Vec<(wgpu::TextureFormat, wgpu::TextureView)>,
    steps: wgpu::BindGroup,
}

impl<'a> FirstUse<'a> {
    fn new(gpu: &'a Gpu, plan: &Plan) -> Result<Self> {
        let buffer = |usage, size, content: &[u8]| {
            let usage = usage | BufferUsages::COPY_DST;
            let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            let buffer = gpu.device().create_buffer(&descriptor);
            gpu.queue().write_buffer(&buffer, 0, content);
            buffer
        };
        let storage = block_on(Buffer::uncounted(gpu, "what first dispatches bind", BOUND, BufferUsages::STORAGE))?;
        let image = |&(format, _): &(wgpu::TextureFormat, u64)| Ok((format, storage.image(gpu, 0, BOUND, format)?));
        let formats: &[_] = if gpu.target().images { &FORMATS } else { &[] };
        let images = formats.iter().map(image).collect::<Result<Vec<_>>>()?;
        block_on(gpu.guarded("preparing first dispatches", || {
            let dims = buffer(BufferUsages::UNIFORM, aligned(plan.dims.len() as u64), &plan.dims);
            // As many samples as any batch has.
            let step = StepNumbers { valid: 1 << 20, rates: [1e-3; 3], ..StepNumbers::once() };
            let steps = buffer(BufferUsages::UNIFORM, aligned(STEP_BLOCK), &step.to_bytes());
            let steps = group(gpu, gpu.inner.pipelines.steps(), [(0, part(&steps, 0, STEP_BLOCK))]);
            Self { gpu, dims, storage, images, steps }
        }))
    }

    fn dispatch(&self, pipeline: &Pipeline, job: &Job) -> Result<wgpu::SubmissionIndex> {
        let Self { gpu, dims, storage, images, steps } = self;
        block_on(gpu.guarded("a first dispatch", || {
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline.raw);
            pass.set_bind_group(1, steps, &[0]);
            for &(offset, size) in &job.dims {
                let resource = |binding: &Binding| {
                    let view = images.iter().find(|(format, _)| Some(*format) == binding.image);
                    let storage = || part(storage.raw(), 0, BOUND);
                    (binding.number, view.map_or_else(storage, |(_, view)| wgpu::BindingResource::TextureView(view)))
                };
                let bound = std::iter::once((0, part(dims, offset, size))).chain(job.bindings.iter().map(resource));
                pass.set_bind_group(0, &group(gpu, &pipeline.layout, bound), &[]);
                pass.dispatch_workgroups(0, 0, 0);
            }
            drop(pass);
            gpu.queue().submit([encoder.finish()])
        }))
    }

    /// Waits for it, and says whether that was possible. Never for a limited time: where such a wait ends early while another
    /// thread waits for the same device, wgpu 30 can panic (`maintain` takes the empty queue that the other leaves for its own).
    fn done(&self, submission: &wgpu::SubmissionIndex) -> bool {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: None };
        self.gpu.device().poll(wait).is_ok()
    }
}

fn group<'a>(
    gpu: &Gpu,
    layout: &wgpu::BindGroupLayout,
    bound: impl IntoIterator<Item = (u32, wgpu::BindingResource<'a>)>,
) -> wgpu::BindGroup {
    let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
    let entries: Vec<_> = bound.into_iter().map(entry).collect();
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}
