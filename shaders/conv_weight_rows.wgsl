// Gradients of a convolution by weight and bias as in conv_weight_lanes, where rows of the result are as long as those of
// x: stride and dilation 1 along them, and windows that reach equally far to either side.
//
//   dw[k, c, r, s] = sum over n, oh, iw of x[n, c, oh * stride + r * dilation - padding, iw] * dy[n, k, oh, iw + PAD - s]
//   db[k]          = sum over n, oh, ow of dy[n, k, oh, ow]
//
//   x   [N, C, H, W],  dy [N, K, OH, W]
//   dw  [splits][K, C / groups, R, S],  db [splits][K], both overwritten; reduce_splits adds the splits up
//
// A load costs CPU drivers as much as a hundred multiplications, and hardly more for four numbers than for one. So the walk
// is along the rows of x: POS of its columns are whole vectors, which the lanes share out among themselves and bring to all
// by shuffles from known lanes. The columns of dy that they meet are one lane's own, KL channels, and only the few beside
// them are read one by one. Each of the sums, KL * CT for each tap, is touched once for all POS columns.
//
// As in conv_lanes, what would reach behind an edge is moved back onto it and writes the same bits again.

enable subgroups;

const LANES: u32 = 8u;
const TAP_ROWS: i32 = 3;
const TAP_COLS: i32 = 3;
const PAD: i32 = 1; // (TAP_COLS - 1) / 2
const DILATION_H: i32 = 1;
const POS: i32 = 4; // columns of x at a time
const KL: i32 = 1;
const CT: i32 = 1;
const IN: i32 = 1; // numbers to a vector of x and dy, a divisor of W and POS
const VECTORS: i32 = 4; // POS / IN
const WINDOW: i32 = 12; // CT * TAP_ROWS * VECTORS
const LOADS: i32 = 2; // vectors per lane: WINDOW / LANES, rounded up
const SPAN: i32 = 6; // POS + 2 * PAD
const GRADS: i32 = 6; // KL * SPAN
const TILE: i32 = 9; // TAP_ROWS * TAP_COLS * CT * KL
const BESIDE: i32 = 1; // PAD, or 0 where rows are no longer than POS: then there is nothing beside them
const BIAS: bool = false;
alias X = f32;

struct Dims {
  n: i32,
  groups: i32,
  group_channels: i32,
  h: i32,
  w: i32,
  group_outputs: i32,
  tiles: i32, // of KL * LANES output channels, per group
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
@group(0) @binding(2) var<storage, read> dy: array<X>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

fn part(v: X, i: i32) -> f32 { return v; }
fn single(at: i32) -> f32 { return dy[at]; }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  var rest = min(i32(workgroup.x + workgroup.y * workgroups.x), dims.units - 1);
  let c0 = min(rest % dims.channel_tiles * CT, dims.group_channels - CT);
  rest /= dims.channel_tiles;
  let tile = rest % (dims.groups * dims.tiles);
  let split = rest / (dims.groups * dims.tiles);
  let group = tile / dims.tiles;
  let k0 = group * dims.group_outputs;
  let channels = dims.groups * dims.group_channels;
  let outputs = dims.groups * dims.group_outputs;
  let plane = dims.oh * dims.w;
  var output: array<i32, KL>;
  // unroll
  for (var k = 0; k < KL; k += 1) {
    output[k] = k0 + min((tile % dims.tiles * KL + k) * i32(LANES) + i32(lane), dims.group_outputs - 1);
  }

  let first_row = split * dims.rows_per_split;
  let last_row = min(first_row + dims.rows_per_split, dims.n * dims.oh);
  let blocks_w = (dims.w + POS - 1) / POS;
  let steps = (last_row - first_row) * blocks_w;

  // The vectors that this lane loads: channel, row and column in the window.
  var window_c: array<i32, LOADS>;
  var window_r: array<i32, LOADS>;
  var window_j: array<i32, LOADS>;
  // unroll
  for (var i = 0; i < LOADS; i += 1) {
    let at = min(i * i32(LANES) + i32(lane), WINDOW - 1);
    window_c[i] = (group * dims.group_channels + c0 + at / (TAP_ROWS * VECTORS)) * dims.h;
    window_r[i] = at / VECTORS % TAP_ROWS * DILATION_H - dims.padding_h;
    window_j[i] = at % VECTORS * IN;
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
  var column = 0;
  let stride_h = dims.stride_h;
  for (var step = 0; step < steps; step += 1) {
    let image = n * channels * dims.h;
    var pixels: array<X, LOADS>;
    // unroll
    for (var i = 0; i < LOADS; i += 1) {
      let row = oh * stride_h + window_r[i];
      let inside = row >= 0 && row < dims.h && column + window_j[i] < dims.w;
      let pixel = x[select(0, (image + window_c[i] + row) * dims.w + column + window_j[i], inside) / IN];
      pixels[i] = select(X(), pixel, inside);
    }
    // Columns of dy from PAD before those of x to PAD behind them; zero outside of the row.
    var grads: array<f32, GRADS>;
    // unroll
    for (var k = 0; k < KL; k += 1) {
      let line = (n * outputs + output[k]) * plane + oh * dims.w + column;
      // unroll
      for (var j = 0; j < PAD; j += 1) {
        grads[k * SPAN + j] = 0.0;
        grads[k * SPAN + PAD + POS + j] = 0.0;
      }
      // unroll
      for (var j = 0; j < BESIDE; j += 1) {
        let before = column > 0;
        grads[k * SPAN + j] = select(0.0, single(select(0, line - PAD + j, before)), before);
        let behind = column + POS + j < dims.w;
        grads[k * SPAN + PAD + POS + j] = select(0.0, single(select(0, line + POS + j, behind)), behind);
      }
      // unroll
      for (var j = 0; j < VECTORS; j += 1) {
        let inside = column + j * IN < dims.w;
        let read = select(X(), dy[select(0, line + j * IN, inside) / IN], inside);
        // unroll
        for (var e = 0; e < IN; e += 1) {
          let number = part(read, e);
          grads[k * SPAN + PAD + j * IN + e] = number;
          total[k] += number;
        }
      }
    }
    // unroll
    for (var c = 0; c < CT; c += 1) {
      // unroll
      for (var r = 0; r < TAP_ROWS; r += 1) {
        var values: array<f32, POS>;
        // unroll
        for (var j = 0; j < POS; j += 1) {
          let at = (c * TAP_ROWS + r) * VECTORS + j / IN;
          values[j] = subgroupShuffle(part(pixels[at / i32(LANES)], j % IN), u32(at) % LANES);
        }
        // unroll
        for (var s = 0; s < TAP_COLS; s += 1) {
          // unroll
          for (var k = 0; k < KL; k += 1) {
            var sum = values[0] * grads[k * SPAN + 2 * PAD - s];
            // unroll
            for (var j = 1; j < POS; j += 1) {
              sum += values[j] * grads[k * SPAN + 2 * PAD - s + j];
            }
            acc[((c * TAP_ROWS + r) * TAP_COLS + s) * KL + k] += sum;
          }
        }
      }
    }
    let line_done = column + POS >= dims.w;
    column = select(column + POS, 0, line_done);
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
      let first = ((base + output[k]) * dims.group_channels + c0 + c) * (TAP_ROWS * TAP_COLS);
      // unroll
      for (var tap = 0; tap < TAP_ROWS * TAP_COLS; tap += 1) {
        dw[first + tap] = acc[(c * TAP_ROWS * TAP_COLS + tap) * KL + k];
      }
    }
    // Every tile of input channels has the same sum.
    if BIAS {
      db[base + output[k]] = total[k];
    }
  }
}
