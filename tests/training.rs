//! Whole runs: what must not make a difference does not, to the last bit; and memory is what the plan said.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad::gpu::StepNumbers;
use wgrad::prelude::*;
use wgrad::train::{Checkpoint, Observer, Session, Start, StepMetrics, epoch_order};

fn settings() -> Settings {
    Settings { batch_size: 100, epochs: 2, optimizer: Adam::new(2e-3).into(), seed: 5, ..Settings::default() }
}

fn bytes(checkpoint: &Checkpoint) -> Vec<u8> {
    checkpoint.to_file().to_bytes().unwrap()
}

/// Remembers what it is told, and stops the run after a step.
#[derive(Clone, Default)]
struct Watch {
    planned: Rc<RefCell<u64>>,
    last: Rc<RefCell<Option<Checkpoint>>>,
    stop_after: u64,
    stop: Arc<AtomicBool>,
}

impl Observer for Watch {
    fn start(&mut self, start: &Start) -> Result<()> {
        *self.planned.borrow_mut() = start.buffers.values().sum();
        Ok(())
    }

    fn steps(&mut self, steps: &[StepMetrics]) -> Result<()> {
        if steps.iter().any(|step| step.step == self.stop_after) {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint, _best: bool) -> Result<()> {
        *self.last.borrow_mut() = Some(checkpoint.clone());
        Ok(())
    }
}

#[test]
fn equal_seeds_make_equal_runs_and_others_do_not() {
    let gpu = Gpu::new().unwrap();
    let digits = data::digits();
    let run = |seed| {
        let settings = Settings { seed, ..settings() };
        Trainer::new(&gpu, models::lenet5(10)).settings(settings).fit(&digits).unwrap()
    };
    let (a, b, c) = (run(5), run(5), run(6));
    assert_eq!(bytes(&a.last), bytes(&b.last));
    assert_eq!(a.confusion, b.confusion);
    assert_ne!(bytes(&a.last), bytes(&c.last));
    assert_eq!(a.steps.len(), 30);
    assert_eq!(a.confusion.iter().flatten().sum::<u64>(), 360);
    let right: u64 = (0..10).map(|class| a.confusion[class][class]).sum();
    assert!((a.accuracy() - right as f64 / 360.0).abs() < 1e-12);
}

#[test]
fn a_run_that_was_stopped_goes_on_as_if_it_had_not_been() {
    let gpu = Gpu::new().unwrap();
    let digits = data::digits();
    let trainer = || Trainer::new(&gpu, models::lenet5(10)).settings(settings());
    let whole = trainer().fit(&digits).unwrap();
    for stop_after in [1, 15, 20] {
        let watch = Watch { stop_after, ..Watch::default() };
        let part = trainer().observe(watch.clone()).stop_flag(watch.stop.clone()).fit(&digits).unwrap();
        assert!(part.interrupted && part.last.step >= stop_after && part.last.step < 30, "{}", part.last.step);
        let file = watch.last.borrow().clone().unwrap();
        assert_eq!(bytes(&file), bytes(&part.last));
        let rest = trainer().resume(file).fit(&digits).unwrap();
        assert_eq!(bytes(&rest.last), bytes(&whole.last), "stopped after {stop_after}");
        let losses = |report: &Report| report.steps.iter().map(|step| step.loss).collect::<Vec<f32>>();
        assert_eq!([losses(&part), losses(&rest)].concat(), losses(&whole));
    }
}

#[test]
fn one_submit_of_many_steps_equals_many_submits() {
    let gpu = Gpu::new().unwrap();
    let digits = data::digits();
    let model = models::tutorial(10);
    let digits = digits.fit(model.default_input()).unwrap();
    let settings = Settings { batch_size: 32, ..settings() };
    let network = model.trace(1, model.default_input()).unwrap();
    let run = |together: usize| {
        pollster::block_on(async {
            let mut session = Session::new(&gpu, &model, &digits, &settings).await.unwrap();
            session.initialize(&network.graph, 1).unwrap();
            session.set_order(&epoch_order(digits.train.len(), 1, 0, true)).unwrap();
            let steps: Vec<StepNumbers> = (0..12)
                .map(|step| StepNumbers {
                    index: step,
                    first: 32 * step,
                    valid: 32,
                    rates: settings.optimizer.step_numbers(1e-3, u64::from(step) + 1),
                    ..StepNumbers::default()
                })
                .collect();
            for steps in steps.chunks(together) {
                session.train(steps).await.unwrap();
            }
            while session.finish_one().await.unwrap().is_some() {}
            session.save_state().await.unwrap().to_bytes().unwrap()
        })
    };
    let together = run(12);
    assert_eq!(together, run(1));
    assert_eq!(together, run(5));
}

/// A short last batch counts for what it is: 1,437 samples in batches of 100 end with one of 37.
#[test]
fn a_short_batch_equals_a_smaller_batch() {
    let gpu = Gpu::new().unwrap();
    let digits = data::digits();
    let model = models::lenet5(10);
    let network = model.trace(1, [1, 28, 28]).unwrap();
    let losses = |batch_size: usize| {
        pollster::block_on(async {
            let settings = Settings { batch_size, optimizer: Sgd::new(0.1).into(), ..settings() };
            let mut session = Session::new(&gpu, &model, &digits, &settings).await.unwrap();
            session.initialize(&network.graph, 1).unwrap();
            session.set_order(&epoch_order(digits.train.len(), 1, 0, false)).unwrap();
            let step = StepNumbers { valid: 37, rates: [0.1, 0.0, 0.0], ..StepNumbers::default() };
            session.train(&[step, step, step]).await.unwrap();
            session.finish_one().await.unwrap().unwrap()
        })
    };
    for (short, whole) in losses(100).iter().zip(losses(37)) {
        assert_eq!((short[1], short[2]), (whole[1], whole[2]));
        let error = (short[0] - whole[0]).abs();
        assert!(error <= 1e-5, "{short:?} {whole:?}");
    }
}

#[test]
fn memory_is_what_was_planned_to_the_byte() {
    let gpu = Gpu::new().unwrap();
    let watch = Watch::default();
    let settings = Settings { epochs: 1, ..settings() };
    let report =
        Trainer::new(&gpu, models::lenet5(10)).settings(settings).observe(watch.clone()).fit(&data::digits()).unwrap();
    assert_eq!(*watch.planned.borrow(), report.peak_memory);
    assert_eq!(gpu.memory(), (0, report.peak_memory));
}

/// A device that a host application made with WebGPU's default limits and no features.
#[test]
fn a_guest_on_another_programs_device() {
    pollster::block_on(async {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::PRIMARY | wgpu::Backends::GL;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.unwrap();
        let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await.unwrap();
        let gpu = Gpu::from_wgpu(device.clone(), queue);
        assert_eq!(gpu.target().max_binding, 128 << 20);
        assert_eq!(gpu.target().lanes, None);
        let settings = Settings { steps: Some(20), ..settings() };
        let report =
            Trainer::new(&gpu, models::lenet5(10)).settings(settings).fit_async(&data::digits()).await.unwrap();
        assert!(report.steps[19].loss < report.steps[0].loss);
        // The host's device is alive and its own afterwards.
        let _alive = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
    });
}

#[test]
fn a_diverged_run_names_the_step() {
    let gpu = Gpu::new().unwrap();
    let settings = Settings { optimizer: Sgd::new(1e30).into(), schedule: Schedule::Constant, ..settings() };
    let trainer = Trainer::new(&gpu, models::lenet5(10)).settings(settings);
    let error = trainer.fit(&data::digits()).map(|report| report.accuracy()).unwrap_err();
    assert!(matches!(error, Error::NonFinite { step: 2..=3, .. }), "{error}");
}

#[test]
fn senseless_settings_are_refused() {
    let gpu = Gpu::new().unwrap();
    let refuse = |settings: Settings, word: &str| {
        let error =
            Trainer::new(&gpu, models::lenet5(10)).settings(settings).fit(&data::digits()).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains(word), "{error}");
    };
    refuse(Settings { batch_size: 0, ..settings() }, "batch-size");
    refuse(Settings { epochs: 0, ..settings() }, "epochs");
    refuse(Settings { optimizer: Sgd::new(f64::NAN).into(), ..settings() }, "lr");
    refuse(Settings { optimizer: Sgd::new(0.1).nesterov().into(), ..settings() }, "momentum");
    let error =
        Trainer::new(&gpu, models::lenet5(7)).settings(settings()).fit(&data::digits()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("7 classes"), "{error}");
}

/// Neither part fits into a binding of 256 KiB: batches pass through a window, and the numbers stay.
#[test]
fn a_data_set_that_does_not_fit_trains_alike() {
    let run = |limits: wgpu::Limits| {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let gpu = pollster::block_on(async {
            let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.unwrap();
            let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..wgpu::DeviceDescriptor::default() };
            let (device, queue) = adapter.request_device(&descriptor).await.unwrap();
            Gpu::from_wgpu(device, queue)
        });
        let augment = "crop:2,mixup:0.5".parse().unwrap();
        let settings = Settings { batch_size: 8, epochs: 1, steps: Some(120), augment, ..settings() };
        let report = Trainer::new(&gpu, models::lenet5(10)).settings(settings).fit(&data::digits()).unwrap();
        (report.last.to_file().to_bytes().unwrap(), report.evaluations.iter().map(|e| e.loss).collect::<Vec<_>>())
    };
    let small = wgpu::Limits { max_storage_buffer_binding_size: 256 << 10, ..wgpu::Limits::default() };
    assert_eq!(run(small), run(wgpu::Limits::default()));
}
