// Convolution as in conv, for CPU drivers: one subgroup to a workgroup, weights spread over its lanes.
//
//   y[n, k, oh, ow] = act(bias[k] + sum over c, r, s of w[k, c, r, s] * x[n, c, ih, iw]) * act'(mask[n, k, oh, ow])
//
//   x, bias, mask, y  as in conv; KT is at most K, ROWS at most OH, COLS at most OW
//   w                 packed by conv_pack: [K tiles][C / groups][TAP_VECTORS vectors: R, S, KT, then zeros]
//
// On such drivers a load costs as much as a dozen multiplications, whatever its width and address. All lanes of a
// workgroup work on the same KT channels, so each loads a part of the weights, and a shuffle from a known lane, which is
// one instruction, brings them to all. Each lane has ROWS x COLS positions of its own.
//
// Branches are dear as well, to run and to compile. Tiles that would reach behind an edge are moved back onto it: they
// write again what their neighbour writes, the same bits, and no store needs a condition.

enable subgroups;

const LANES: u32 = 8u;
const TAP_ROWS: i32 = 3;
const TAP_COLS: i32 = 3;
const TAP_BLOCKS: i32 = 1; // R / TAP_ROWS; a constant, because drivers divide lane by lane
const CHANNELS: i32 = 1; // input channels of a step; more than one only where there is a single tap
const STRIDE_H: i32 = 1;
const STRIDE_W: i32 = 1;
const DILATION_H: i32 = 1;
const DILATION_W: i32 = 1;
const ROWS: i32 = 2;
const COLS: i32 = 4; // at most 4; that many of four are kept
const KT: i32 = 8;
const SPAN_H: i32 = 4; // (ROWS - 1) * STRIDE_H + (TAP_ROWS - 1) * DILATION_H + 1
const OFFSET: i32 = 0; // pixels before the window, so that it begins with a whole vector
const VECTORS: i32 = 6; // OFFSET + 3 * STRIDE_W + (TAP_COLS - 1) * DILATION_W + 1, in vectors of x, rounded up
const WIDTH: i32 = 6; // VECTORS * IN
const PLANE: i32 = 24; // SPAN_H * WIDTH
const WINDOW: i32 = 24; // CHANNELS * PLANE
const TILE: i32 = 16; // ROWS * KT
const TAP_VECTORS: i32 = 18; // vectors of weights per step: CHANNELS * TAP_ROWS * TAP_COLS * KT / 4, rounded up
const LOADS: i32 = 3; // vectors per lane: TAP_VECTORS / LANES, rounded up
const MASK: bool = false;
const HALO_ROWS: i32 = 0; // SPAN_H where the result is as wide as x, in whole vectors: lanes share pixels
const PAD: i32 = 0; // then: pixels beside the four of a lane, at most four
const EDGES: bool = false; // then: rows are longer than lanes reach, or do not divide among them
const IN: i32 = 1; // pixels to a vector of x, a divisor of W
alias X = f32;
alias Y = f32; // of y and mask, as many as divide OW

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
fn four(v: X) -> vec4<f32> { return vec4<f32>(v); }
fn load_mask(at: i32) -> vec4<f32> { return vec4<f32>(mask[at], 0.0, 0.0, 0.0); }
fn store(at: i32, v: vec4<f32>) { y[at] = v.x; }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let unit = workgroup.x + workgroup.y * workgroups.x;
  let tile = min(i32(unit / dims.blocks), dims.groups * dims.tiles - 1);
  let position = i32(unit % dims.blocks * LANES + lane);
  let tiles_w = (dims.ow + COLS - 1) / COLS;
  let tiles_h = (dims.oh + ROWS - 1) / ROWS;
  let ow0 = min(position % tiles_w * COLS, dims.ow - COLS);
  let oh0 = min(position / tiles_w % tiles_h * ROWS, dims.oh - ROWS);
  let n = min(position / (tiles_w * tiles_h), dims.n - 1);
  let group = tile / dims.tiles;
  let k0 = min((tile % dims.tiles) * KT, dims.group_outputs - KT);

  let first = (n * dims.groups + group) * dims.group_channels * dims.h * dims.w;
  let ih0 = oh0 * STRIDE_H - dims.padding_h;
  let iw0 = ow0 * STRIDE_W - dims.padding_w - OFFSET;
  let steps = dims.group_channels / CHANNELS * TAP_BLOCKS;
  let step_out = select(4, -4, lane == 0u);
  let beyond = (lane == 0u && ow0 > 0) || (lane == LANES - 1u && ow0 + 4 < dims.w);

  var acc: array<vec4<f32>, TILE>;
  // unroll
  for (var i = 0; i < TILE; i += 1) {
    acc[i] = vec4<f32>(0.0);
  }
  for (var step = 0; step < steps; step += 1) {
    let block = first + step / TAP_BLOCKS * CHANNELS * dims.h * dims.w;
    let ih = ih0 + step % TAP_BLOCKS * (TAP_ROWS * DILATION_H);
    let taps = (tile * steps + step) * TAP_VECTORS;
    var weights: array<vec4<f32>, LOADS>;
    // unroll
    for (var i = 0; i < LOADS; i += 1) {
      weights[i] = w[taps + min(i * i32(LANES) + i32(lane), TAP_VECTORS - 1)];
    }
    var pixels: array<f32, WINDOW>;
    // unroll
    for (var c = 0; c < CHANNELS; c += 1) {
      let plane = block + c * dims.h * dims.w;
      // unroll
      for (var i = 0; i < HALO_ROWS; i += 1) {
        let row = ih + i;
        let inside = row >= 0 && row < dims.h;
        let at = plane + row * dims.w + ow0;
        let own = select(vec4<f32>(0.0), four(x[select(0, at, inside) / IN]), inside);
        var outer = vec4<f32>(0.0);
        if EDGES {
          // The first lane has no neighbour to ask, nor has the last.
          if inside && beyond {
            outer = four(x[(at + step_out) / IN]);
          }
        }
        // unroll
        for (var j = 0; j < PAD; j += 1) {
          let left = select(subgroupShuffleUp(own[4 - PAD + j], 1u), outer[4 - PAD + j], lane == 0u);
          pixels[c * PLANE + i * WIDTH + j] = select(0.0, left, ow0 > 0);
          let right = select(subgroupShuffleDown(own[j], 1u), outer[j], lane == LANES - 1u);
          pixels[c * PLANE + i * WIDTH + 4 + PAD + j] = select(0.0, right, ow0 + 4 < dims.w);
        }
        // unroll
        for (var j = 0; j < 4; j += 1) {
          pixels[c * PLANE + i * WIDTH + PAD + j] = own[j];
        }
      }
      // unroll
      for (var i = 0; i < SPAN_H; i += 1) {
        let row = ih + i;
        let row_inside = row >= 0 && row < dims.h;
        // unroll
        for (var j = 0; j < VECTORS; j += 1) {
          let inside = row_inside && iw0 + j * IN >= 0 && iw0 + j * IN < dims.w;
          let read = x[select(0, plane + row * dims.w + iw0 + j * IN, inside) / IN];
          // unroll
          for (var e = 0; e < IN; e += 1) {
            pixels[c * PLANE + i * WIDTH + j * IN + e] = select(0.0, part(read, e), inside);
          }
        }
      }
    }
    // All taps of a channel before the next: its sums stay in registers, as do the pixels.
    // unroll
    for (var k = 0; k < KT; k += 1) {
      // unroll
      for (var c = 0; c < CHANNELS; c += 1) {
        // unroll
        for (var r = 0; r < TAP_ROWS; r += 1) {
          // unroll
          for (var s = 0; s < TAP_COLS; s += 1) {
            let at = ((c * TAP_ROWS + r) * TAP_COLS + s) * KT + k;
            let weight = subgroupShuffle(weights[at / 4 / i32(LANES)][at % 4], u32(at / 4) % LANES);
            // unroll
            for (var i = 0; i < ROWS; i += 1) {
              let corner = c * PLANE + (i * STRIDE_H + r * DILATION_H) * WIDTH + OFFSET + s * DILATION_W;
              acc[i * KT + k] += weight * vec4<f32>(pixels[corner], pixels[corner + STRIDE_W], pixels[corner + 2 * STRIDE_W], pixels[corner + 3 * STRIDE_W]);
            }
          }
        }
      }
    }
  }

  // unroll
  for (var k = 0; k < KT; k += 1) {
    let channel = group * dims.group_outputs + k0 + k;
    let offset = select(0.0, bias[select(0, channel, dims.bias != 0u)], dims.bias != 0u);
    // unroll
    for (var i = 0; i < ROWS; i += 1) {
      let row = (oh0 + i) * dims.out_stride_h + dims.out_offset_h;
      let line = ((n * dims.groups * dims.group_outputs + channel) * dims.yh + row) * dims.yw + dims.out_offset_w;
      let at = line + ow0 * dims.out_stride_w;
      var v = activate(acc[i * KT + k] + offset);
      if MASK {
        v *= derivative(load_mask(at));
      }
      store(at, v);
    }
  }
}
