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
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> argmax: array<u32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

fn derivative(v: f32) -> f32 { return 1.0; }

/// Positions in bin i of `bins` along an axis of `extent`.
fn size(i: u32, bins: u32, extent: u32) -> u32 {
  return ((i + 1u) * extent + bins - 1u) / bins - i * extent / bins;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let h = index / dims.w % dims.h;
  let w = index % dims.w;
  let plane = index / (dims.w * dims.h) * dims.oh * dims.ow;
  let last_h = ((h + 1u) * dims.oh + dims.h - 1u) / dims.h;
  let last_w = ((w + 1u) * dims.ow + dims.w - 1u) / dims.w;
  var sum = 0.0;
  for (var i = h * dims.oh / dims.h; i < last_h; i += 1u) {
    for (var j = w * dims.ow / dims.w; j < last_w; j += 1u) {
      let at = plane + i * dims.ow + j;
      if AVERAGE {
        sum += dy[at] / f32(size(i, dims.oh, dims.h) * size(j, dims.ow, dims.w));
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
