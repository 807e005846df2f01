// Average over windows.
//
//   y[p, oh, ow] = (sum over the window's elements inside x) / divisor
//
// The divisor is the number of elements inside x, or with include_pad those inside x and its padding (PyTorch).
//
//   x [P, H, W] with P = N * C,  y [P, OH, OW] overwritten

const KERNEL_H: i32 = 2;
const KERNEL_W: i32 = 2;

struct Dims {
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  stride_h: i32,
  stride_w: i32,
  padding_h: i32,
  padding_w: i32,
  include_pad: i32,
  count: i32,
  per_ow: f32, // 1 / OW
  per_oh: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let row = i32(divided(u32(index), u32(dims.ow), dims.per_ow));
  let number = i32(divided(u32(row), u32(dims.oh), dims.per_oh));
  let plane = number * dims.h * dims.w;
  let top = (row - number * dims.oh) * dims.stride_h - dims.padding_h;
  let left = (index - row * dims.ow) * dims.stride_w - dims.padding_w;
  let bottom = min(top + KERNEL_H, dims.h);
  let right = min(left + KERNEL_W, dims.w);
  var sum = 0.0;
  // unroll
  for (var r = 0; r < KERNEL_H; r += 1) {
    // unroll
    for (var s = 0; s < KERNEL_W; s += 1) {
      let inside = top + r >= 0 && top + r < dims.h && left + s >= 0 && left + s < dims.w;
      let v = x[select(0, plane + (top + r) * dims.w + left + s, inside)];
      sum += select(0.0, v, inside);
    }
  }
  var divisor = (bottom - max(0, top)) * (right - max(0, left));
  if dims.include_pad != 0 {
    let padded_bottom = min(top + KERNEL_H, dims.h + dims.padding_h);
    let padded_right = min(left + KERNEL_W, dims.w + dims.padding_w);
    divisor = (padded_bottom - top) * (padded_right - left);
  }
  y[index] = sum / f32(divisor);
}
