// A batch of a resident data set, changed as the kernel augment drew it, and normalised.
//
//   x[i, c, h, w] = lambda v(i, c, h, w) + (1 - lambda) v(i - 1, c, h, w), where row 0 comes after the last, and
//   v = (contrast(brightness(pixel / 255)) - mean[c]) / std[c] of the cropped and flipped image, 0 in its hole
//
//   images: bytes [T, C, H, W], four to a word;  rows [N] of 8 words, see augment
//   x [N, C, H, W] overwritten; rows behind the end of the batch are zero

struct Dims {
  n: u32,
  pixels: u32, // C * H * W
  height: u32,
  width: u32,
  count: u32,
  cutout: u32,
  per_image: f32, // 1 / pixels
  per_width: f32,
  per_height: f32,
  unused_a: u32, // vectors lie at multiples of 16 bytes
  unused_b: u32,
  unused_c: u32,
  mean: vec4<f32>,
  deviation: vec4<f32>,
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

const MIXUP: u32 = 1u;

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> images: array<u32>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;
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

// The pixel at (h, w) of channel `channel` in row `row`; zero behind the end of the batch.
fn augmented(row: u32, channel: u32, h: i32, w: i32) -> f32 {
  let place = rows[2u * row];
  let hole = rows[2u * row + 1u];
  let height = i32(dims.height);
  let width = i32(dims.width);
  let valid = place.x != 0xFFFFFFFFu;
  let source_h = h + bitcast<i32>(place.y);
  let source_w = select(w, width - 1 - w, place.w == 1u) + bitcast<i32>(place.z);
  let inside = valid && source_h >= 0 && source_h < height && source_w >= 0 && source_w < width;
  let plane = select(0u, place.x * dims.pixels, valid) + channel * dims.height * dims.width;
  let at = plane + u32(clamp(source_h, 0, height - 1) * width + clamp(source_w, 0, width - 1));
  let byte = (images[at / 4u] >> (8u * (at % 4u))) & 255u;
  let pixel = f32(select(0u, byte, inside)) / 255.0;
  let mean = dims.mean[channel];
  let bright = clamp(pixel * bitcast<f32>(hole.z), 0.0, 1.0);
  let value = clamp(mean + (bright - mean) * bitcast<f32>(hole.w), 0.0, 1.0);
  let hole_h = h - bitcast<i32>(hole.x);
  let hole_w = w - bitcast<i32>(hole.y);
  let size = i32(dims.cutout);
  let cut = hole_h >= 0 && hole_h < size && hole_w >= 0 && hole_w < size;
  return select((value - mean) / dims.deviation[channel], 0.0, cut || !valid);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let row = divided(index, dims.pixels, dims.per_image);
  let pixel = index - row * dims.pixels;
  let line = divided(pixel, dims.width, dims.per_width);
  let channel = divided(line, dims.height, dims.per_height);
  let h = i32(line - channel * dims.height);
  let w = i32(pixel - line * dims.width);
  var value = augmented(row, channel, h, w);
  if MIXUP == 1u {
    let before = select(row, min(step.valid, dims.n), row == 0u) - 1u;
    let mixed = step.lambda * value + (1.0 - step.lambda) * augmented(before, channel, h, w);
    value = select(mixed, 0.0, row >= step.valid);
  }
  x[index] = value;
}
