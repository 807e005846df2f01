// Gradients by columns (conv_columns) brought back to the image: each of its elements is the sum over the taps that saw it.
//
//   y[n, c, h, w] = act'(mask[n, c, h, w]) * sum over r, s of columns[(c, r, s), pixel (n, oh, ow)],
//   oh * stride_h + r * dilation_h - padding_h = h and likewise for w
//
//   columns     [C R S][pixels] of the samples from dims.first on
//   mask, y     [N, C, H, W]
//
// Dilated convolutions have stride 1 here. A workgroup takes those elements of a channel that lie at one remainder of the
// stride: all of them are seen by the same taps. Each is written once, its mask read before.

const SIZE: u32 = 64u; // invocations
const MASK: bool = false;
const EXACT: bool = false; // quotients are too large for a reciprocal

struct Dims {
  channels: i32,
  first: i32, // sample
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  pixels: i32, // of all samples at hand
  taps_h: i32,
  taps_w: i32,
  stride_h: i32,
  stride_w: i32,
  dilation_h: i32,
  dilation_w: i32,
  padding_h: i32,
  padding_w: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> columns: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn derivative(v: f32) -> f32 { return 1.0; }
fn load_mask(at: i32) -> f32 { return mask[at]; }
fn divided(i: u32, by: u32, reciprocal: f32) -> u32 {
  if EXACT {
    return i / by;
  }
  let q = u32(f32(i) * reciprocal);
  let rest = i32(i) - i32(q * by);
  return u32(i32(q) + select(0, 1, rest >= i32(by)) - select(0, 1, rest < 0));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let c = i32(workgroup.x);
  let n = i32(workgroup.y);
  let begin_h = i32(workgroup.z) / dims.stride_w;
  let begin_w = i32(workgroup.z) - begin_h * dims.stride_w;
  let across = (dims.w - begin_w + dims.stride_w - 1) / dims.stride_w;
  let all = (dims.h - begin_h + dims.stride_h - 1) / dims.stride_h * across;
  let reciprocal = 1.0 / f32(across);
  // The first tap, and the place that it has of the first element.
  let r0 = (begin_h + dims.padding_h) % dims.stride_h;
  let s0 = (begin_w + dims.padding_w) % dims.stride_w;
  let oh0 = (begin_h + dims.padding_h - r0) / dims.stride_h;
  let ow0 = (begin_w + dims.padding_w - s0) / dims.stride_w;
  let base = n * dims.oh;
  // Within loops, CPU drivers read a uniform once for each lane.
  let plane = (dims.first + n) * dims.channels + c;
  let h = dims.h;
  let w = dims.w;
  let oh_all = dims.oh;
  let ow_all = dims.ow;
  let pixels = dims.pixels;
  let taps_h = dims.taps_h;
  let taps_w = dims.taps_w;
  let stride_h = dims.stride_h;
  let stride_w = dims.stride_w;
  let dilation_h = dims.dilation_h;
  let dilation_w = dims.dilation_w;
  for (var i = i32(local); i < all; i += i32(SIZE)) {
    let row = i32(divided(u32(i), u32(across), reciprocal));
    let column = i - row * across;
    var sum = 0.0;
    var oh = oh0 + row;
    for (var r = r0; r < taps_h; r += stride_h) {
      let inside_h = oh >= 0 && oh < oh_all;
      var ow = ow0 + column;
      for (var s = s0; s < taps_w; s += stride_w) {
        let inside = inside_h && ow >= 0 && ow < ow_all;
        let line = ((c * taps_h + r) * taps_w + s) * pixels;
        let read = columns[select(0, line + (base + oh) * ow_all + ow, inside)];
        sum += select(0.0, read, inside);
        ow -= dilation_w;
      }
      oh -= dilation_h;
    }
    let at = (plane * h + begin_h + row * stride_h) * w + begin_w + column * stride_w;
    if MASK {
      sum *= derivative(load_mask(at));
    }
    y[at] = sum;
  }
}
