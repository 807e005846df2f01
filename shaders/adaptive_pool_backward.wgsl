// Gradient of adaptive pooling: each pixel gathers from the bins that cover it.
//
//   dx[p, h, w] = act'(mask[p, h, w]) * sum over bins (i, j) that cover (h, w) of dy[p, i, j] * share
//
//   share is 1 / (the bin's size) if AVERAGE, otherwise 1 where argmax[p, i, j] is h * W + w and 0 elsewhere
//
//   dy, argmax [P, OH, OW],  mask [P, H, W] read if MASK,  dx [P, H, W] overwritten
//
// Row h lies in bins floor(h OH / H) to ceil((h + 1) OH / H) - 1. Bins are added in row-major order.

const AVERAGE: bool = false;
const MASK: bool = false;

struct Dims {
  h: u32,
  w: u32,
  oh: u32,
  ow: u32,
  count: u32,
  per_oh: f32, // 1 / OH
  per_ow: f32,
  per_h: f32,
  per_w: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> argmax: array<u32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

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

fn derivative(v: f32) -> f32 { return 1.0; }

// Positions in bin i of `bins` along an axis of `extent`.
fn size(i: u32, bins: u32, extent: u32, per_bins: f32) -> u32 {
  return divided((i + 1u) * extent + bins - 1u, bins, per_bins) - divided(i * extent, bins, per_bins);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let row = divided(index, dims.w, dims.per_w);
  let number = divided(row, dims.h, dims.per_h);
  let h = row - number * dims.h;
  let w = index - row * dims.w;
  let plane = number * dims.oh * dims.ow;
  let first_h = divided(h * dims.oh, dims.h, dims.per_h);
  let first_w = divided(w * dims.ow, dims.w, dims.per_w);
  let last_h = divided((h + 1u) * dims.oh + dims.h - 1u, dims.h, dims.per_h);
  let last_w = divided((w + 1u) * dims.ow + dims.w - 1u, dims.w, dims.per_w);
  var sum = 0.0;
  for (var i = first_h; i < last_h; i += 1u) {
    for (var j = first_w; j < last_w; j += 1u) {
      let at = plane + i * dims.ow + j;
      if AVERAGE {
        let positions = size(i, dims.oh, dims.h, dims.per_oh) * size(j, dims.ow, dims.w, dims.per_ow);
        sum += dy[at] / f32(positions);
      } else {
        sum += select(0.0, dy[at], argmax[at] == h * dims.w + w);
      }
    }
  }
  if MASK {
    sum *= derivative(mask[index]);
  }
  dx[index] = sum;
}
