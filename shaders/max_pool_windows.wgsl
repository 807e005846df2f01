// Gradient of max pooling over windows side by side (stride = kernel, no padding): a window hands its gradient to its
// maximum and zero to its other pixels.
//
//   dx[p, oh * R + r, ow * S + s] = (r * S + s == argmax[p, oh, ow]) ? dy[p, oh, ow] * act'(mask there) : 0
//
//   dy [P, OH, OW],  argmax: bytes, four to a word,  dx [P, H, W] overwritten
//   mask [P, H, W], read if MASK; [P, OH, OW] if POOLED: the maxima, which are what their pixels hold
//
// An invocation takes one window, also the partial ones behind the last whole row and column, whose pixels get zero. The
// mask is read at one pixel of the window only.

const KERNEL_H: i32 = 2;
const KERNEL_W: i32 = 2;
const MASK: bool = false;
const POOLED: bool = false;

struct Dims {
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  windows_h: i32, // windows that cover all of x: H / KERNEL_H, rounded up
  windows_w: i32,
  count: i32,
  per_windows_w: f32, // 1 / windows_w
  per_windows_h: f32,
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

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let row = i32(divided(u32(index), u32(dims.windows_w), dims.per_windows_w));
  let plane = i32(divided(u32(row), u32(dims.windows_h), dims.per_windows_h));
  let ow = index - row * dims.windows_w;
  let oh = row - plane * dims.windows_h;
  let corner = (plane * dims.h + oh * KERNEL_H) * dims.w + ow * KERNEL_W;
  var grad = 0.0;
  var position = -1;
  if oh < dims.oh && ow < dims.ow {
    let at = (plane * dims.oh + oh) * dims.ow + ow;
    position = i32((argmax[at / 4] >> u32(8 * (at % 4))) & 255u);
    grad = dy[at];
    if MASK {
      grad *= derivative(mask[select(corner + position / KERNEL_W * dims.w + position % KERNEL_W, at, POOLED)]);
    }
  }
  // unroll
  for (var r = 0; r < KERNEL_H; r += 1) {
    // unroll
    for (var s = 0; s < KERNEL_W; s += 1) {
      if oh * KERNEL_H + r < dims.h && ow * KERNEL_W + s < dims.w {
        dx[corner + r * dims.w + s] = select(0.0, grad, r * KERNEL_W + s == position);
      }
    }
  }
}
