// A batch of a resident data set, normalised.
//
//   row i is sample order[step.first + i];  x[i, c, h, w] = (pixel / 255 - mean[c]) / std[c];  y[i] = labels[sample]
//
//   images: bytes [T, C, H, W], four to a word,  labels u32 [T],  order u32 [T]
//   x [N, C, H, W] and y u32 [N] overwritten; rows from step.valid on are zero

struct Dims {
  n: u32,
  pixels: u32, // C * H * W
  plane: u32, // H * W
  count: u32,
  per_image: f32, // 1 / pixels
  per_plane: f32, // 1 / plane
  unused_a: u32, // vectors lie at multiples of 16 bytes
  unused_b: u32,
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
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
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

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let row = divided(index, dims.pixels, dims.per_image);
  let pixel = index - row * dims.pixels;
  if row >= step.valid {
    x[index] = 0.0;
    if pixel == 0u {
      y[row] = 0u;
    }
    return;
  }
  let sample = order[step.first + row];
  let at = sample * dims.pixels + pixel;
  let value = f32((images[at / 4u] >> (8u * (at % 4u))) & 255u);
  let channel = divided(pixel, dims.plane, dims.per_plane);
  x[index] = (value / 255.0 - dims.mean[channel]) / dims.deviation[channel];
  if pixel == 0u {
    y[row] = labels[sample];
  }
}
