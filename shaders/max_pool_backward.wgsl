// Gradient of max pooling: each pixel gathers from the windows of which it is the maximum.
//
//   dx[p, h, w] = act'(mask[p, h, w]) * sum over windows (oh, ow) that cover (h, w) with argmax there of dy[p, oh, ow]
//
//   dy [P, OH, OW],  argmax: bytes, four to a word,  dx [P, H, W] overwritten
//   mask [P, H, W], read if MASK; [P, OH, OW] if POOLED: the maxima, which are what their pixels hold
//
// Windows are added in row-major order. Nothing is scattered, so there are no atomics.

const KERNEL_H: i32 = 2;
const KERNEL_W: i32 = 2;
const MASK: bool = false;
const POOLED: bool = false;

struct Dims {
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  stride_h: i32,
  stride_w: i32,
  padding_h: i32,
  padding_w: i32,
  count: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> argmax: array<u32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

fn derivative(v: f32) -> f32 { return 1.0; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let column = index % dims.w + dims.padding_w;
  let row = index / dims.w % dims.h + dims.padding_h;
  let plane = index / (dims.w * dims.h) * dims.oh * dims.ow;
  // Windows oh with oh * stride <= row < oh * stride + kernel.
  let first_h = max(0, (row - KERNEL_H + dims.stride_h) / dims.stride_h);
  let first_w = max(0, (column - KERNEL_W + dims.stride_w) / dims.stride_w);
  let last_h = min(dims.oh - 1, row / dims.stride_h);
  let last_w = min(dims.ow - 1, column / dims.stride_w);
  var sum = 0.0;
  var source = select(index, -1, POOLED);
  for (var oh = first_h; oh <= last_h; oh += 1) {
    for (var ow = first_w; ow <= last_w; ow += 1) {
      let at = plane + oh * dims.ow + ow;
      let position = i32((argmax[at / 4] >> u32(8 * (at % 4))) & 255u);
      if position == (row - oh * dims.stride_h) * KERNEL_W + column - ow * dims.stride_w {
        sum += dy[at];
        source = select(source, at, POOLED);
      }
    }
  }
  // A pixel that is no maximum has no pooled value, and no gradient.
  if MASK && source >= 0 {
    sum *= derivative(mask[source]);
  }
  dx[index] = sum;
}
