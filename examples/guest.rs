//! wgrad as a guest: inference on a device that another program owns, in a command encoder of that program's.

use wgrad::gpu::{Executable, Memory, StepNumbers};
use wgrad::plan::{Arena, Plan, Program, Region, Role};
use wgrad::prelude::*;
use wgrad::train::initial_state;

fn main() -> Result<()> {
    pollster::block_on(run())
}

async fn run() -> Result<()> {
    // The host's own start, with WebGPU's default limits and no features.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.expect("an adapter");
    let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await.expect("a device");

    let gpu = Gpu::from_wgpu(device.clone(), queue.clone());
    let network = models::lenet5(10).trace(1, [1, 28, 28])?;
    let weights = initial_state(&network.graph, 0);
    let plan = Plan::new(&Program::new("guest", network.graph, &[network.logits]), gpu.target())?;
    println!("{plan}");

    let memory = Memory::new(&gpu, &plan.buffers).await?;
    let executable = Executable::new(&gpu, &plan, &memory).await?;
    for (place, numbers) in plan.parameters.iter().zip(&weights) {
        memory.write_parts(&gpu, &place.regions(Arena::Parameters), bytemuck::cast_slice(numbers))?;
    }
    memory.write(&gpu, &Region { role: Role::Steps, offset: 0, size: 32 }, &StepNumbers::once().to_bytes())?;
    memory.write(&gpu, &plan.regions[&network.input], bytemuck::cast_slice(&[0.5_f32; 784]))?;

    // The host decides when to encode and to submit, and reads the result like any buffer of its own.
    let logits = &plan.regions[&network.logits];
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: logits.size, usage, mapped_at_creation: false };
    let readback = device.create_buffer(&descriptor);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    executable.encode(&mut encoder, 0..1);
    encoder.copy_buffer_to_buffer(memory.get(&logits.role)?, logits.offset, &readback, 0, Some(logits.size));
    queue.submit([encoder.finish()]);
    readback.slice(..).map_async(wgpu::MapMode::Read, |_| {});
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the device is alive");
    let view = readback.slice(..).get_mapped_range().expect("mapped");
    let numbers: &[f32] = bytemuck::cast_slice(&view);
    println!("{numbers:?}");
    assert!(numbers.iter().all(|number| number.is_finite()));
    Ok(())
}
