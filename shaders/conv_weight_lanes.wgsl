// Gradients of a convolution by weight and bias as in conv_weight, for CPU drivers: one subgroup to a workgroup, its
// lanes on neighbouring output channels.
//
//   dw[k, c, r, s] = sum over n, oh, ow of dy[n, k, oh, ow] * x[n, c, oh * stride + r * dilation - padding, ...]
//   db[k]          = sum over n, oh, ow of dy[n, k, oh, ow]
//
//   x   [N, C, H, W],  dy [N, K, OH, OW]
//   dw  [splits][K, C / groups, R, S],  db [splits][K], both overwritten; reduce_splits adds the splits up
//
// A lane has KL channels k (lane, lane + LANES, ...), CT input channels, TAP_ROWS rows of the filter and one split of the
// rows (n, oh); it walks along them POS positions at a time, whole rows where they are short: reads cost more than
// multiplications, and of the window of many positions less is read again. The pixels are the same for all lanes: each loads
// a part of them, and shuffles from known lanes bring them to all. As in conv_lanes, channels that would reach behind an
// edge are moved back onto it and write the same bits again. Where groups have one input channel (DEPTHWISE), lanes are on
// neighbouring outputs of all groups, KL and CT are 1, and each lane loads its own pixels.

enable subgroups;

const LANES: u32 = 8u;
const TAP_ROWS: i32 = 3;
const TAP_COLS: i32 = 3;
const STRIDE_W: i32 = 1;
const DILATION_H: i32 = 1;
const DILATION_W: i32 = 1;
const KL: i32 = 1;
const CT: i32 = 1;
const POS: i32 = 4;
const OFFSET: i32 = 0; // pixels before the window, so that it begins with a whole vector
const VECTORS: i32 = 6; // OFFSET + (POS - 1) * STRIDE_W + (TAP_COLS - 1) * DILATION_W + 1, in vectors of x, rounded up
const SPAN_W: i32 = 6; // VECTORS * IN
const WINDOW: i32 = 18; // CT * TAP_ROWS * VECTORS
const SHARERS: i32 = 8; // LANES, or 1 if DEPTHWISE
const LOADS: i32 = 3; // vectors per lane: WINDOW / SHARERS, rounded up
const TILE: i32 = 9; // TAP_ROWS * TAP_COLS * CT * KL
const GRADS: i32 = 4; // KL * POS
const DEPTHWISE: bool = false;
const EVEN: bool = false; // whether POS divides OW
const BIAS: bool = false;
const IN: i32 = 1; // pixels to a vector of x, a divisor of W
const WIDE: i32 = 1; // numbers to a vector of dy, a divisor of OW and of POS
alias X = f32;
alias DY = f32;

struct Dims {
  n: i32,
  groups: i32,
  group_channels: i32,
  h: i32,
  w: i32,
  group_outputs: i32,
  tiles: i32, // of KL * LANES output channels, per group; of all groups together if DEPTHWISE
  channel_tiles: i32, // of CT input channels, per group
  oh: i32,
  ow: i32,
  stride_h: i32,
  r: i32,
  tap_blocks: i32,
  padding_h: i32,
  padding_w: i32,
  rows_per_split: i32,
  first_split: i32, // of those of all blocks of samples
  units: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read> dy: array<DY>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

fn part(v: X, i: i32) -> f32 { return v; }
fn single(v: DY, i: i32) -> f32 { return v; }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  var rest = min(i32(workgroup.x + workgroup.y * workgroups.x), dims.units - 1);
  let c0 = min(rest % dims.channel_tiles * CT, dims.group_channels - CT);
  rest /= dims.channel_tiles;
  let block = rest % dims.tap_blocks;
  rest /= dims.tap_blocks;
  let tiles = select(dims.groups * dims.tiles, dims.tiles, DEPTHWISE);
  let tile = rest % tiles;
  let split = rest / tiles;
  let group = tile / dims.tiles;
  let k0 = group * dims.group_outputs;
  let channels = dims.groups * dims.group_channels;
  let outputs = dims.groups * dims.group_outputs;
  let plane = dims.oh * dims.ow;
  var output: array<i32, KL>;
  // unroll
  for (var k = 0; k < KL; k += 1) {
    output[k] = k0 + min((tile % dims.tiles * KL + k) * i32(LANES) + i32(lane), select(dims.group_outputs, outputs, DEPTHWISE) - 1);
  }

  let first_row = split * dims.rows_per_split;
  let last_row = min(first_row + dims.rows_per_split, dims.n * dims.oh);
  let blocks_w = (dims.ow + POS - 1) / POS;
  let steps = (last_row - first_row) * blocks_w;

  // The vectors of pixels that this lane loads: channel, row and first column in the window.
  var window_c: array<i32, LOADS>;
  var window_r: array<i32, LOADS>;
  var window_j: array<i32, LOADS>;
  // unroll
  for (var i = 0; i < LOADS; i += 1) {
    let at = min(i * SHARERS + i32(lane) % SHARERS, WINDOW - 1);
    let channel = select(group * dims.group_channels + c0 + at / (TAP_ROWS * VECTORS), output[0] / dims.group_outputs, DEPTHWISE);
    window_c[i] = channel * dims.h;
    window_r[i] = (block * TAP_ROWS + at / VECTORS % TAP_ROWS) * DILATION_H - dims.padding_h;
    window_j[i] = at % VECTORS * IN - OFFSET - dims.padding_w;
  }

  var acc: array<f32, TILE>;
  var total: array<f32, KL>;
  // unroll
  for (var i = 0; i < TILE; i += 1) {
    acc[i] = 0.0;
  }
  // unroll
  for (var k = 0; k < KL; k += 1) {
    total[k] = 0.0;
  }
  // Counted, because drivers divide lane by lane.
  var n = first_row / dims.oh;
  var oh = first_row % dims.oh;
  var ow0 = 0;
  let stride_h = dims.stride_h;
  for (var step = 0; step < steps; step += 1) {
    let image = n * channels * dims.h;
    var pixels: array<X, LOADS>;
    // unroll
    for (var i = 0; i < LOADS; i += 1) {
      let row = oh * stride_h + window_r[i];
      let column = ow0 * STRIDE_W + window_j[i];
      let inside = row >= 0 && row < dims.h && column >= 0 && column < dims.w;
      let read = x[select(0, (image + window_c[i] + row) * dims.w + column, inside) / IN];
      pixels[i] = select(X(), read, inside);
    }
    var grads: array<f32, GRADS>;
    // unroll
    for (var k = 0; k < KL; k += 1) {
      let line = (n * outputs + output[k]) * plane + oh * dims.ow + ow0;
      // unroll
      for (var j = 0; j < POS; j += WIDE) {
        let inside = EVEN || ow0 + j < dims.ow;
        let read = dy[select(0, line + j, inside) / WIDE];
        // unroll
        for (var e = 0; e < WIDE; e += 1) {
          grads[k * POS + j + e] = select(0.0, single(read, e), inside);
          total[k] += grads[k * POS + j + e];
        }
      }
    }
    // unroll
    for (var c = 0; c < CT; c += 1) {
      // unroll
      for (var r = 0; r < TAP_ROWS; r += 1) {
        var values: array<f32, SPAN_W>;
        // unroll
        for (var j = 0; j < VECTORS; j += 1) {
          let at = (c * TAP_ROWS + r) * VECTORS + j;
          let read = pixels[at / SHARERS];
          // unroll
          for (var e = 0; e < IN; e += 1) {
            values[j * IN + e] = part(read, e);
            if !DEPTHWISE {
              values[j * IN + e] = subgroupShuffle(part(read, e), u32(at) % LANES);
            }
          }
        }
        // unroll
        for (var s = 0; s < TAP_COLS; s += 1) {
          // unroll
          for (var k = 0; k < KL; k += 1) {
            let sum = ((c * TAP_ROWS + r) * TAP_COLS + s) * KL + k;
            // unroll
            for (var j = 0; j < POS; j += 1) {
              acc[sum] += grads[k * POS + j] * values[OFFSET + s * DILATION_W + j * STRIDE_W];
            }
          }
        }
      }
    }
    let line_done = ow0 + POS >= dims.ow;
    ow0 = select(ow0 + POS, 0, line_done);
    oh += select(0, 1, line_done);
    let image_done = oh >= dims.oh;
    oh = select(oh, 0, image_done);
    n += select(0, 1, image_done);
  }

  let base = (dims.first_split + split) * outputs;
  // unroll
  for (var k = 0; k < KL; k += 1) {
    // unroll
    for (var c = 0; c < CT; c += 1) {
      let first = (((base + output[k]) * dims.group_channels + c0 + c) * dims.r + block * TAP_ROWS) * TAP_COLS;
      // unroll
      for (var tap = 0; tap < TAP_ROWS * TAP_COLS; tap += 1) {
        dw[first + tap] = acc[(c * TAP_ROWS * TAP_COLS + tap) * KL + k];
      }
    }
    // Every tile of input channels and every block of taps has the same sum.
    if BIAS {
      db[base + output[k]] = total[k];
    }
  }
}
