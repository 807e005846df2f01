// What a step does to each row of its batch: drawn once per row here, applied to each pixel by gather_augmented.
//
//   row i is sample order[step.first + i] and draws words = philox([0, i, step.index, 0], key)
//
//   rows [N] of 8 words: sample (2^32 - 1 behind the end of the batch), where the image begins in the padded one minus the
//   padding (row, column; i32), 1 if flipped, where the hole begins (row, column; i32), brightness, contrast (f32)
//   y u32 [N] the labels, partner_y u32 [N] those of the rows before, lambda [1] = step.lambda; all overwritten

struct Dims {
  n: u32,
  height: u32,
  width: u32,
  key_low: u32,
  key_high: u32,
  crop: u32,
  flip: u32,
  cutout: u32,
  brightness_low: f32,
  brightness_span: f32,
  contrast_low: f32,
  contrast_span: f32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
  lr: f32,
  step_size: f32,
  root_correction: f32,
  fresh: u32,
  share: f32,
  average: f32,
  lambda: f32,
}

// Without mixup there are no partners and no weight.
const MIXUP: u32 = 1u;

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;
@group(0) @binding(5) var<storage, read_write> partner_y: array<u32>;
@group(0) @binding(6) var<storage, read_write> lambda: array<f32>;
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

// A whole number below n from half a word.
fn below(n: u32, half: u32) -> i32 {
  return i32((n * half) >> 16u);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = id.x + id.y * groups.x * 64u;
  if row >= dims.n {
    return;
  }
  let batch = min(step.valid, dims.n);
  let valid = row < batch;
  let sample = order[select(0u, step.first + row, valid)];
  y[row] = select(0u, labels[sample], valid);
  if MIXUP == 1u {
    let before = select(row, batch, row == 0u) - 1u;
    partner_y[row] = select(0u, labels[order[select(0u, step.first + before, valid)]], valid);
    if row == 0u {
      lambda[0] = step.lambda;
    }
  }

  let words = philox(vec4<u32>(0u, row, step.index, 0u), vec2<u32>(dims.key_low, dims.key_high));
  let upper = words >> vec4<u32>(16u);
  let lower = words & vec4<u32>(0xFFFFu);
  let places = 2u * dims.crop + 1u;
  let top = below(places, upper.x) - i32(dims.crop);
  let left = below(places, lower.x) - i32(dims.crop);
  let flipped = dims.flip & (words.y >> 31u);
  let hole_top = below(dims.height, upper.z) - i32(dims.cutout / 2u);
  let hole_left = below(dims.width, lower.z) - i32(dims.cutout / 2u);
  let brightness = dims.brightness_low + dims.brightness_span * f32(upper.w) / 65536.0;
  let contrast = dims.contrast_low + dims.contrast_span * f32(lower.w) / 65536.0;
  rows[2u * row] = vec4<u32>(select(0xFFFFFFFFu, sample, valid), bitcast<u32>(top), bitcast<u32>(left), flipped);
  rows[2u * row + 1u] =
    vec4<u32>(bitcast<u32>(hole_top), bitcast<u32>(hole_left), bitcast<u32>(brightness), bitcast<u32>(contrast));
}
