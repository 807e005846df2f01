// Dropout, and its gradient: which elements are kept is computed, not stored.
//
//   y[i] = keep(i) ? x[i] * scale : 0
//
//   x, y [count], count in vectors of four (tensors are padded to whole vectors); y overwritten
//
// keep(i): word i % 4 of Philox4x32-10 (Salmon et al. 2011) with the seed as key and the counter [i / 4, 0, step, layer]
// is at least threshold.

struct Dims {
  count: u32,
  first: u32, // vector of the whole tensor with which x begins
  scale: f32,
  threshold: u32,
  seed_low: u32,
  seed_high: u32,
  layer: u32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> step: Step;

// The upper 32 bits of each product, by halves of 16 bits.
fn mul_high(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = (a & vec2<u32>(0xffffu)) * (b & vec2<u32>(0xffffu));
  let middle = (a >> vec2<u32>(16u)) * (b & vec2<u32>(0xffffu)) + (low >> vec2<u32>(16u));
  let other = (a & vec2<u32>(0xffffu)) * (b >> vec2<u32>(16u)) + (middle & vec2<u32>(0xffffu));
  return (a >> vec2<u32>(16u)) * (b >> vec2<u32>(16u)) + (middle >> vec2<u32>(16u)) + (other >> vec2<u32>(16u));
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
  let factors = vec2<u32>(0xd2511f53u, 0xcd9e8d57u);
  var c = counter;
  var key = seed;
  for (var round = 0; round < 10; round += 1) {
    let high = mul_high(factors, c.xz);
    let low = factors * c.xz;
    c = vec4<u32>(high.y ^ c.y ^ key.x, low.y, high.x ^ c.w ^ key.y, low.x);
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i < dims.count {
    let words = philox(vec4<u32>(dims.first + i, 0u, step.index, dims.layer), vec2<u32>(dims.seed_low, dims.seed_high));
    y[i] = select(vec4<f32>(0.0), x[i] * dims.scale, words >= vec4<u32>(dims.threshold));
  }
}
