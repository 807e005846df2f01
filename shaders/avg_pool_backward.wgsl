// Gradient of average pooling: each pixel gathers its share from the windows that cover it.
//
//   dx[p, h, w] = act'(mask[p, h, w]) * sum over windows (oh, ow) that cover (h, w) of dy[p, oh, ow] / divisor(oh, ow)
//
//   dy [P, OH, OW],  mask [P, H, W] read if MASK,  dx [P, H, W] overwritten
//
// An invocation takes four pixels of a row, which share what they read of the windows that cover any of them: COVER_H
// by COVER_W at most, in row-major order. Nothing is scattered, so there are no atomics.

const KERNEL_H: i32 = 2;
const KERNEL_W: i32 = 2;
const STRIDE_H: i32 = 1;
const STRIDE_W: i32 = 1;
const COVER_H: i32 = 2; // (KERNEL_H - 1) / STRIDE_H + 1
const COVER_W: i32 = 5; // (KERNEL_W + 2) / STRIDE_W + 1
const MASK: bool = false;

struct Dims {
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  padding_h: i32,
  padding_w: i32,
  include_pad: i32,
  quads: u32, // W / 4, rounded up
  count: u32, // P * H * quads
  per_quads: f32, // 1 / quads
  per_h: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

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

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let line = divided(index, dims.quads, dims.per_quads);
  let plane = divided(line, u32(dims.h), dims.per_h);
  let left = 4 * i32(index - line * dims.quads);
  let row = i32(line) - i32(plane) * dims.h + dims.padding_h;
  let column = left + dims.padding_w;
  // The last windows that cover the row and the last pixel, counted from the edge of the padding.
  let last_h = i32(divided(u32(row), u32(STRIDE_H), 1.0 / f32(STRIDE_H)));
  let last_w = i32(divided(u32(column + 3), u32(STRIDE_W), 1.0 / f32(STRIDE_W)));
  let first = i32(plane) * dims.oh * dims.ow;
  let here = (i32(plane) * dims.h + row - dims.padding_h) * dims.w + left;
  let columns = vec4<i32>(column, column + 1, column + 2, column + 3);
  // What counts along an axis: the image, or with include_pad its padding too.
  let begin = select(vec2<i32>(dims.padding_h, dims.padding_w), vec2<i32>(0), dims.include_pad != 0);
  let end = vec2<i32>(dims.h + 2 * dims.padding_h, dims.w + 2 * dims.padding_w) - begin;
  var sum = vec4<f32>(0.0);
  for (var a = 0; a < COVER_H; a += 1) {
    for (var b = 0; b < COVER_W; b += 1) {
      let oh = last_h - (COVER_H - 1) + a;
      let ow = last_w - (COVER_W - 1) + b;
      let top = oh * STRIDE_H;
      let side = ow * STRIDE_W;
      let inside = oh >= 0 && oh < dims.oh && ow >= 0 && ow < dims.ow && row < top + KERNEL_H;
      let rows = min(top + KERNEL_H, end.x) - max(top, begin.x);
      let counted = rows * (min(side + KERNEL_W, end.y) - max(side, begin.y));
      let share = dy[select(0, first + oh * dims.ow + ow, inside)] / f32(counted);
      let hit = vec4<bool>(inside) & (columns >= vec4<i32>(side)) & (columns < vec4<i32>(side + KERNEL_W));
      sum += select(vec4<f32>(0.0), vec4<f32>(share), hit);
    }
  }
  // unroll
  for (var k = 0; k < 4; k += 1) {
    if left + k < dims.w {
      var grad = sum[k];
      if MASK {
        grad *= derivative(mask[here + k]);
      }
      dx[here + k] = grad;
    }
  }
}
