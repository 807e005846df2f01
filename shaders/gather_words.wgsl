// A batch of a resident data set, normalised, where the pixels of a channel come in fours.
//
//   row i is sample order[step.first + i];  x[i, c, h, w] = (pixel / 255 - mean[c]) / std[c];  y[i] = labels[sample]
//
//   images: bytes [T, C, H, W], four to a word,  labels u32 [T],  order u32 [T]
//   x [N, C, H, W] in vectors and y u32 [N] overwritten; rows from step.valid on are zero
//
// What gather computes. An invocation takes a word of pixels: one load in place of four, and no division but the one
// that finds its row.

struct Dims {
  words: u32, // C * H * W / 4
  plane: u32, // H * W / 4
  count: u32, // N * words
  per_image: f32, // 1 / words
  mean: vec4<f32>,
  deviation: vec4<f32>,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> images: array<u32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<u32>;
@group(1) @binding(0) var<uniform> step: Step;

const EXACT: bool = false;

// i / by, from a reciprocal and mended by one: drivers divide lane by lane. EXACT where that may not be enough.
fn divided(i: u32, by: u32, reciprocal: f32) -> u32 {
  if EXACT {
    return i / by;
  }
  let q = u32(f32(i) * reciprocal);
  let rest = i32(i) - i32(q * by);
  return u32(i32(q) + select(0, 1, rest >= i32(by)) - select(0, 1, rest < 0));
}

fn of_channel(numbers: vec4<f32>, place: u32) -> f32 {
  let later = select(numbers.z, numbers.w, place >= 3u * dims.plane);
  return select(select(numbers.x, numbers.y, place >= dims.plane), later, place >= 2u * dims.plane);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let row = divided(index, dims.words, dims.per_image);
  let place = index - row * dims.words;
  var label = 0u;
  var value = vec4<f32>(0.0);
  if row < step.valid {
    let sample = order[step.first + row];
    let word = images[sample * dims.words + place];
    let bytes = vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) & vec4<u32>(255u);
    let mean = vec4<f32>(of_channel(dims.mean, place));
    value = (vec4<f32>(bytes) / 255.0 - mean) / of_channel(dims.deviation, place);
    if place == 0u {
      label = labels[sample];
    }
  }
  x[index] = value;
  if place == 0u {
    y[row] = label;
  }
}
