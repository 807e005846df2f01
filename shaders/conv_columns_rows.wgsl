// As conv_columns_sum, where rows are whole vectors: an invocation takes UNIT neighbours of each remainder of the stride along
// a row, UNIT * STRIDE_W elements side by side.
//
//   columns     [C R S][pixels] of the samples from dims.first on, OW a multiple of UNIT
//   mask, y     [N, C, H, W], W a multiple of UNIT * STRIDE_W, which is a multiple of four
//
// Tap s reaches every STRIDE_W-th element from FIRST on, and those from the pixel at SHIFT on. Of the pixels before and
// behind the UNIT that lie below, compilers leave out what no tap asks for.

const SIZE: u32 = 64u; // invocations
const UNIT: u32 = 4u;
const TAP_COLS: u32 = 3u;
const STRIDE_W: u32 = 2u;
const DILATION_W: u32 = 1u;
const PADDING_W: u32 = 1u;
const WHOLE: u32 = 8u; // a multiple of STRIDE_W, at least the padding and TAP_COLS * DILATION_W
const OUT: u32 = 8u; // UNIT * STRIDE_W
const FOURS: u32 = 2u; // OUT / 4
const NEAR: u32 = 12u; // 3 * UNIT
const MASK: bool = false;
const EXACT: bool = false;
alias In = vec4<f32>; // UNIT numbers

struct Dims {
  channels: i32,
  first: i32, // sample
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  pixels: i32, // of all samples at hand
  taps_h: i32,
  stride_h: i32,
  dilation_h: i32,
  padding_h: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> columns: array<In>;
@group(0) @binding(2) var<storage, read> mask: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
fn load_mask(at: i32) -> vec4<f32> { return mask[at]; }
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
  let begin = i32(workgroup.z);
  let across = dims.w / i32(OUT);
  let all = (dims.h - begin + dims.stride_h - 1) / dims.stride_h * across;
  let reciprocal = 1.0 / f32(across);
  // The first tap, and the place that it has of the first element.
  let r0 = (begin + dims.padding_h) % dims.stride_h;
  let oh0 = (begin + dims.padding_h - r0) / dims.stride_h;
  // Within loops, CPU drivers read a uniform once for each lane.
  let plane = (dims.first + n) * dims.channels + c;
  let h = dims.h;
  let w = dims.w;
  let oh_all = dims.oh;
  let ow_all = dims.ow;
  let pixels = dims.pixels;
  let taps_h = dims.taps_h;
  let stride_h = dims.stride_h;
  let dilation_h = dims.dilation_h;
  for (var i = i32(local); i < all; i += i32(SIZE)) {
    let row = i32(divided(u32(i), u32(across), reciprocal));
    let column = (i - row * across) * i32(UNIT);
    var sums: array<f32, OUT>;
    // unroll
    for (var e = 0u; e < OUT; e += 1u) {
      sums[e] = 0.0;
    }
    var oh = oh0 + row;
    for (var r = r0; r < taps_h; r += stride_h) {
      let inside_h = oh >= 0 && oh < oh_all;
      let line = (c * taps_h + r) * i32(TAP_COLS) * pixels + (n * oh_all + oh) * ow_all;
      // unroll
      for (var s = 0u; s < TAP_COLS; s += 1u) {
        let first = (WHOLE + s * DILATION_W - PADDING_W) % STRIDE_W;
        let shift = UNIT + (first + PADDING_W + WHOLE - s * DILATION_W) / STRIDE_W - WHOLE / STRIDE_W;
        var near: array<f32, NEAR>;
        // unroll
        for (var b = 0u; b < 3u; b += 1u) {
          let ow = column + (i32(b) - 1) * i32(UNIT);
          let inside = inside_h && ow >= 0 && ow < ow_all;
          let read = columns[select(0, line + i32(s) * pixels + ow, inside) / i32(UNIT)];
          // unroll
          for (var j = 0u; j < UNIT; j += 1u) {
            near[b * UNIT + j] = select(0.0, read[j], inside);
          }
        }
        // unroll
        for (var j = 0u; j < UNIT; j += 1u) {
          sums[first + j * STRIDE_W] += near[shift + j];
        }
      }
      oh -= dilation_h;
    }
    let at = ((plane * h + begin + row * stride_h) * w + column * i32(STRIDE_W)) / 4;
    // unroll
    for (var q = 0u; q < FOURS; q += 1u) {
      var sum = vec4<f32>(sums[4u * q], sums[4u * q + 1u], sums[4u * q + 2u], sums[4u * q + 3u]);
      if MASK {
        sum *= derivative(load_mask(at + i32(q)));
      }
      y[at + i32(q)] = sum;
    }
  }
}
