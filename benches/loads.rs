//! What a load or a store of one vector by one subgroup takes, by where it goes to.
//!
//! ```text
//! LP_NUM_THREADS=0 cargo bench --bench loads    # of Mesa's CPU driver, in one thread
//! ```
//!
//! Each kernel is a loop around eight accesses, 4096 in all for an invocation, by 200 workgroups of a subgroup each; the
//! time is that of the fastest of several submits, less nothing: the first row is the loop alone.

use std::time::{Duration, Instant};
use wgpu::{BindingResource, BufferUsages, TextureFormat, TextureUsages};
use wgrad::gpu::Gpu;
use wgrad::{Error, Result};

const ACCESSES: u32 = 4096;
const GROUPS: u32 = 200;
const REPEAT: usize = 7;
/// Texels of the image's sides.
const EXTENTS: [u32; 2] = [64, 16];

/// Binding 1 of a kernel.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    Nothing,
    Storage,
    Uniform,
    Image(TextureFormat),
}

/// Name, what is bound, its declaration, and an access in which `i` counts them.
type Case = (&'static str, Bound, &'static str, &'static str);

const WORDS: &str = "let v = b[at(i)]; acc += bitcast<vec4<f32>>(vec4<u32>(v) ^ vec4<u32>(v >> vec4<u32>(32u)));";
const CASES: [Case; 13] = [
    ("nothing", Bound::Nothing, "", "acc += vec4<f32>(f32(i));"),
    ("load f32, storage buffer", Bound::Storage, "var<storage, read_write> b: array<f32>;", "acc.x += b[at(i)];"),
    ("load vec4<f32>", Bound::Storage, "var<storage, read_write> b: array<vec4<f32>>;", "acc += b[at(i)];"),
    ("load vec4<u64>", Bound::Storage, "var<storage, read_write> b: array<vec4<u64>>;", WORDS),
    ("load vec4<f32>, uniform buffer", Bound::Uniform, "var<uniform> b: array<vec4<f32>, 1024>;", "acc += b[at(i)];"),
    (
        "load vec4<f32>, workgroup memory",
        Bound::Nothing,
        "var<workgroup> b: array<vec4<f32>, 1024>;",
        "acc += b[at(i)];",
    ),
    (
        "load f32, image",
        Bound::Image(TextureFormat::R32Float),
        "var b: texture_storage_2d<r32float, read>;",
        "acc.x += textureLoad(b, texel(i)).x;",
    ),
    (
        "load vec4<f32>, image",
        Bound::Image(TextureFormat::Rgba32Float),
        "var b: texture_storage_2d<rgba32float, read>;",
        "acc += textureLoad(b, texel(i));",
    ),
    (
        "load vec4<f32>, sampled texture",
        Bound::Image(TextureFormat::Rgba32Float),
        "var b: texture_2d<f32>;",
        "acc += textureLoad(b, texel(i), 0);",
    ),
    (
        "store f32, storage buffer",
        Bound::Storage,
        "var<storage, read_write> b: array<f32>;",
        "b[at(i)] = acc.x; acc.x += 1.0;",
    ),
    ("store vec4<f32>", Bound::Storage, "var<storage, read_write> b: array<vec4<f32>>;", "b[at(i)] = acc; acc += 1.0;"),
    (
        "store vec4<u64>",
        Bound::Storage,
        "var<storage, read_write> b: array<vec4<u64>>;",
        "b[at(i)] = vec4<u64>(bitcast<vec4<u32>>(acc)); acc += 1.0;",
    ),
    (
        "store vec4<f32>, image",
        Bound::Image(TextureFormat::Rgba32Float),
        "var b: texture_storage_2d<rgba32float, write>;",
        "textureStore(b, texel(i), acc); acc += 1.0;",
    ),
];

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    let lanes = gpu.info().subgroup_min_size.max(1);
    println!("{}, subgroups of {lanes}", gpu.describe());
    for case in CASES {
        if case.2.contains("u64") && !gpu.device().features().contains(wgpu::Features::SHADER_INT64) {
            println!("{:36} this adapter has no integers of 64 bits", case.0);
            continue;
        }
        let time = measure(&gpu, lanes, case)?;
        println!("{:36} {:6.1} ns", case.0, time.as_secs_f64() * 1e9 / f64::from(ACCESSES * GROUPS));
    }
    Ok(())
}

fn measure(gpu: &Gpu, lanes: u32, (name, bound, declaration, access): Case) -> Result<Duration> {
    let device = gpu.device();
    let declaration = match bound {
        Bound::Nothing => declaration.to_string(),
        _ => format!("@group(0) @binding(1) {declaration}"),
    };
    let body: String = (0..8).map(|k| format!("{{ let i = 8u * turn + {k}u; {access} }}\n")).collect();
    let [width, height] = EXTENTS;
    let text = format!(
        "{declaration}
@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
var<private> lane: u32;
fn at(i: u32) -> u32 {{ return (37u * lane + i) % 1024u; }}
fn texel(i: u32) -> vec2<u32> {{ return vec2<u32>(i % {width}u, lane % {height}u); }}
@compute @workgroup_size({lanes}) fn main(@builtin(local_invocation_index) index: u32) {{
  lane = index;
  var acc = vec4<f32>();
  for (var turn = 0u; turn < {}u; turn += 1u) {{ {body} }}
  y[lane] = acc;
}}",
        ACCESSES / 8
    );
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 32 << 10, usage, mapped_at_creation: false })
    };
    let [result, storage] = [0, 1].map(|_| buffer(BufferUsages::STORAGE));
    let uniform = buffer(BufferUsages::UNIFORM);
    let image = |format| {
        let descriptor = wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: TextureUsages::STORAGE_BINDING | TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        };
        device.create_texture(&descriptor).create_view(&wgpu::TextureViewDescriptor::default())
    };
    let view = if let Bound::Image(format) = bound { Some(image(format)) } else { None };
    let resource = match bound {
        Bound::Nothing => None,
        Bound::Storage => Some(storage.as_entire_binding()),
        Bound::Uniform => {
            let size = std::num::NonZeroU64::new(16 << 10);
            Some(BindingResource::Buffer(wgpu::BufferBinding { buffer: &uniform, offset: 0, size }))
        }
        Bound::Image(_) => view.as_ref().map(BindingResource::TextureView),
    };
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let source = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
    // SAFETY: indices are taken modulo the extents of what is bound.
    let module = unsafe { device.create_shader_module_trusted(source, wgpu::ShaderRuntimeChecks::unchecked()) };
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
    let bound = [(0, result.as_entire_binding())].into_iter().chain(resource.map(|resource| (1, resource)));
    let entries: Vec<_> = bound.map(entry).collect();
    let layout = &pipeline.get_bind_group_layout(0);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
    if let Some(error) = pollster::block_on(scope.pop()) {
        return Err(Error::Shader { kernel: name.into(), message: error.to_string() });
    }
    let mut least = Duration::MAX;
    // The first submit compiles.
    for round in 0..=REPEAT {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(GROUPS, 1, 1);
        drop(pass);
        let begin = Instant::now();
        gpu.wait(Some(gpu.queue().submit([encoder.finish()])))?;
        least = if round == 0 { least } else { least.min(begin.elapsed()) };
    }
    Ok(least)
}
