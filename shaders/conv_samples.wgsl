// Convolution as in conv_lanes, for CPU drivers: a lane for each sample, which computes COLS neighbours of a row.
//
//   y[n, k, oh, ow] = act(bias[k] + sum over c, r, s of w[k, c, r, s] * x[n, c, ih, iw]) * act'(mask[n, k, oh, ow])
//
//   x, bias, mask, y  as in conv; KT is at most K, COLS at most OW, LANES at most N
//   w                 packed by conv_pack: [K tiles][C / groups][R][TAP_VECTORS vectors: S, KT, then zeros]
//
// The lanes of conv_lanes stand side by side in an image, so that each must take part in whatever one of them needs. Here
// all are at the same place of their images: rows of the filter that lie beside the image are skipped, and where COLS are
// the whole row, so are its columns. A pixel is read once for all the windows of its row. Small images gain by it, and
// gradients by the input most, whose windows reach far over the edge.
//
// Samples, columns and channels that would reach beyond the last are moved back, and written again, the same bits.

enable subgroups;

const LANES: u32 = 8u;
const TAP_COLS: i32 = 3;
const STRIDE_W: i32 = 1;
const DILATION_W: i32 = 1;
const COLS: i32 = 8;
const FOURS: i32 = 2; // COLS / 4, rounded up
const KT: i32 = 8;
const TILE: i32 = 64; // 4 * FOURS * KT
const WHOLE: bool = true; // whether COLS are the whole row, and the window is that of x
const LEFT: i32 = 1; // columns of the filter before the window: its padding where the row is whole; else not above zero
const VECTORS: i32 = 8; // of x in the window
const WIDTH: i32 = 8; // VECTORS * IN
const TAP_VECTORS: i32 = 6; // vectors of weights per step: TAP_COLS * KT / 4, rounded up
const LOADS: i32 = 1; // vectors per lane: TAP_VECTORS / LANES, rounded up
const MASK: bool = false;
const IN: i32 = 1; // pixels to a vector of x, a divisor of W
alias X = f32;
alias Y = f32; // of y and mask, as many as divide OW and COLS

struct Dims {
  n: i32,
  groups: i32,
  group_channels: i32,
  h: i32,
  w: i32,
  group_outputs: i32,
  tiles: i32, // of KT channels, per group
  oh: i32,
  ow: i32,
  taps_h: i32,
  stride_h: i32,
  dilation_h: i32,
  padding_h: i32,
  padding_w: i32,
  yh: i32,
  yw: i32,
  out_stride_h: i32,
  out_stride_w: i32,
  out_offset_h: i32,
  out_offset_w: i32,
  blocks: u32, // workgroups per channel tile
  bias: u32,
  relu: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<Y>;
@group(0) @binding(5) var<storage, read_write> y: array<Y>; // read before it is written

fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
fn part(v: X, i: i32) -> f32 { return v; }

// Up to four neighbours: their count is a constant wherever these are called.
fn load_mask(at: i32, count: i32) -> vec4<f32> { return vec4<f32>(mask[at], 0.0, 0.0, 0.0); }
fn store(at: i32, v: vec4<f32>, count: i32) { y[at] = v.x; }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let unit = workgroup.x + workgroup.y * workgroups.x;
  let tile = min(i32(unit / dims.blocks), dims.groups * dims.tiles - 1);
  let position = i32(unit % dims.blocks);
  let tiles_w = (dims.ow + COLS - 1) / COLS;
  let ow0 = min(position % tiles_w * COLS, dims.ow - COLS);
  let oh = position / tiles_w % dims.oh;
  let n = min(position / (tiles_w * dims.oh) * i32(LANES), dims.n - i32(LANES)) + i32(lane);
  let group = tile / dims.tiles;
  let k0 = min((tile % dims.tiles) * KT, dims.group_outputs - KT);

  let ih0 = oh * dims.stride_h - dims.padding_h;
  let iw0 = select(ow0 * STRIDE_W - dims.padding_w + LEFT, 0, WHOLE);
  let first_tap = (max(-ih0, 0) + dims.dilation_h - 1) / dims.dilation_h;
  let last_tap = min((max(dims.h - ih0, 0) + dims.dilation_h - 1) / dims.dilation_h, dims.taps_h);
  let line_step = dims.dilation_h * dims.w;
  var plane = ((n * dims.groups + group) * dims.group_channels * dims.h + ih0 + first_tap * dims.dilation_h) * dims.w + iw0;
  var taps = (tile * dims.group_channels * dims.taps_h + first_tap) * TAP_VECTORS;

  var acc: array<f32, TILE>;
  // unroll
  for (var i = 0; i < TILE; i += 1) {
    acc[i] = 0.0;
  }
  for (var c = 0; c < dims.group_channels; c += 1) {
    var at = plane;
    var vectors = taps;
    for (var r = first_tap; r < last_tap; r += 1) {
      var weights: array<vec4<f32>, LOADS>;
      // unroll
      for (var i = 0; i < LOADS; i += 1) {
        weights[i] = w[vectors + min(i * i32(LANES) + i32(lane), TAP_VECTORS - 1)];
      }
      var pixels: array<f32, WIDTH>;
      // unroll
      for (var j = 0; j < VECTORS; j += 1) {
        let inside = WHOLE || (iw0 + j * IN >= 0 && iw0 + j * IN < dims.w);
        let read = x[select(0, at + j * IN, inside) / IN];
        // unroll
        for (var e = 0; e < IN; e += 1) {
          pixels[j * IN + e] = select(0.0, part(read, e), inside);
        }
      }
      // All taps of a channel before the next: its sums stay in registers.
      // unroll
      for (var k = 0; k < KT; k += 1) {
        // unroll
        for (var s = 0; s < TAP_COLS; s += 1) {
          let tap = s * KT + k;
          let weight = subgroupShuffle(weights[tap / 4 / i32(LANES)][tap % 4], u32(tap / 4) % LANES);
          // unroll
          for (var j = max((LEFT - s * DILATION_W + STRIDE_W - 1) / STRIDE_W, 0); j < min((WIDTH - 1 + LEFT - s * DILATION_W) / STRIDE_W + 1, COLS); j += 1) {
            acc[k * 4 * FOURS + j] += weight * pixels[j * STRIDE_W + s * DILATION_W - LEFT];
          }
        }
      }
      at += line_step;
      vectors += TAP_VECTORS;
    }
    plane += dims.h * dims.w;
    taps += dims.taps_h * TAP_VECTORS;
  }

  let row = oh * dims.out_stride_h + dims.out_offset_h;
  // unroll
  for (var k = 0; k < KT; k += 1) {
    let channel = group * dims.group_outputs + k0 + k;
    let offset = select(0.0, bias[select(0, channel, dims.bias != 0u)], dims.bias != 0u);
    let line = ((n * dims.groups * dims.group_outputs + channel) * dims.yh + row) * dims.yw + dims.out_offset_w;
    // unroll
    for (var f = 0; f < FOURS; f += 1) {
      let first = (k * FOURS + f) * 4;
      let at = line + (ow0 + 4 * f) * dims.out_stride_w;
      var v = activate(vec4<f32>(acc[first], acc[first + 1], acc[first + 2], acc[first + 3]) + offset);
      if MASK {
        v *= derivative(load_mask(at, COLS - 4 * f));
      }
      store(at, v, COLS - 4 * f);
    }
  }
}
