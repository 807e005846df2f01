// Gradients of a convolution by its weight and its bias.
//
//   dw[k, c, r, s] = sum over n, oh, ow of dy[n, k, oh, ow] * x[n, c, oh * stride + r * dilation - padding, ...]
//   db[k]          = sum over n, oh, ow of dy[n, k, oh, ow]
//
//   x   [N, C, H, W],  dy [N, K, OH, OW]
//   dw  [splits][K, C / groups, R, S],  db [splits][K], both overwritten; reduce_splits adds the splits up
//
// The sum is long and the result small, so the rows (n, oh) are cut into splits; no atomics, and a sum of short sums is
// more accurate too. An invocation takes KT output channels, one input channel, TAP_ROWS rows of the filter and one
// split, and walks along the rows COLS positions at a time: dy is read once for all taps, x once for all KT channels.

const TAP_ROWS: i32 = 3;
const TAP_COLS: i32 = 3;
const STRIDE_W: i32 = 1;
const DILATION_H: i32 = 1;
const DILATION_W: i32 = 1;
const COLS: i32 = 4;
const KT: i32 = 8;
const KV: i32 = 2; // KT / 4
const SPAN_W: i32 = 6; // (COLS - 1) * STRIDE_W + (TAP_COLS - 1) * DILATION_W + 1
const TILE: i32 = 18; // TAP_ROWS * TAP_COLS * KV
const BIAS: bool = false;
const EDGE: bool = true; // KT is more than K

struct Dims {
  n: i32,
  groups: i32,
  group_channels: i32,
  h: i32,
  w: i32,
  group_outputs: i32,
  tiles: i32,
  oh: i32,
  ow: i32,
  stride_h: i32,
  r: i32,
  tap_blocks: i32,
  padding_h: i32,
  padding_w: i32,
  rows_per_split: i32,
  first_split: i32, // of those of all blocks of samples
  invocations: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.invocations {
    return;
  }
  var rest = i32(index);
  let c = rest % dims.group_channels;
  rest /= dims.group_channels;
  let block = rest % dims.tap_blocks;
  rest /= dims.tap_blocks;
  let tile = rest % (dims.groups * dims.tiles);
  let part = rest / (dims.groups * dims.tiles);
  let group = tile / dims.tiles;
  // A tile that would reach behind the last channel is moved back: it writes again what its neighbour writes.
  let k0 = min((tile % dims.tiles) * KT, max(dims.group_outputs, KT) - KT);
  let channels = dims.groups * dims.group_channels;
  let outputs = dims.groups * dims.group_outputs;
  let k_base = group * dims.group_outputs + k0;

  let first_row = part * dims.rows_per_split;
  let last_row = min(first_row + dims.rows_per_split, dims.n * dims.oh);
  let blocks_w = (dims.ow + COLS - 1) / COLS;
  let steps = (last_row - first_row) * blocks_w;

  var acc: array<vec4<f32>, TILE>;
  var total: array<vec4<f32>, KV>;
  // unroll
  for (var i = 0; i < TILE; i += 1) {
    acc[i] = vec4<f32>(0.0);
  }
  // unroll
  for (var i = 0; i < KV; i += 1) {
    total[i] = vec4<f32>(0.0);
  }
  for (var step = 0; step < steps; step += 1) {
    let line = first_row + step / blocks_w;
    let ow0 = (step % blocks_w) * COLS;
    let n = line / dims.oh;
    let oh = line % dims.oh;

    var grads: array<vec4<f32>, COLS * KV>;
    // unroll
    for (var k = 0; k < KV; k += 1) {
      // unroll
      for (var j = 0; j < COLS; j += 1) {
        let at = ((n * outputs + k_base + 4 * k) * dims.oh + oh) * dims.ow + ow0 + j;
        let last = dims.group_outputs - k0 - 4 * k;
        let inside = vec4<i32>(0, 1, 2, 3) < vec4<i32>(select(0, last, ow0 + j < dims.ow));
        let sources = select(vec4<i32>(0), vec4<i32>(at) + vec4<i32>(0, 1, 2, 3) * dims.oh * dims.ow, inside);
        let v = select(vec4<f32>(0.0), vec4<f32>(dy[sources.x], dy[sources.y], dy[sources.z], dy[sources.w]), inside);
        grads[j * KV + k] = v;
        total[k] += v;
      }
    }
    let image = (n * channels + group * dims.group_channels + c) * dims.h;
    let ih0 = oh * dims.stride_h - dims.padding_h + block * TAP_ROWS * DILATION_H;
    let iw0 = ow0 * STRIDE_W - dims.padding_w;
    // unroll
    for (var r = 0; r < TAP_ROWS; r += 1) {
      let row = ih0 + r * DILATION_H;
      let row_inside = row >= 0 && row < dims.h;
      var pixels: array<f32, SPAN_W>;
      // unroll
      for (var j = 0; j < SPAN_W; j += 1) {
        let inside = row_inside && iw0 + j >= 0 && iw0 + j < dims.w;
        let pixel = x[select(0, (image + row) * dims.w + iw0 + j, inside)];
        pixels[j] = select(0.0, pixel, inside);
      }
      // unroll
      for (var s = 0; s < TAP_COLS; s += 1) {
        // unroll
        for (var k = 0; k < KV; k += 1) {
          // unroll
          for (var j = 0; j < COLS; j += 1) {
            acc[(r * TAP_COLS + s) * KV + k] += grads[j * KV + k] * pixels[j * STRIDE_W + s * DILATION_W];
          }
        }
      }
    }
  }

  // unroll
  for (var k = 0; k < KT; k += 1) {
    if !EDGE || k0 + k < dims.group_outputs {
      let first = ((((dims.first_split + part) * outputs + k_base + k) * dims.group_channels + c) * dims.r + block * TAP_ROWS) * TAP_COLS;
      // unroll
      for (var tap = 0; tap < TAP_ROWS * TAP_COLS; tap += 1) {
        dw[first + tap] = acc[tap * KV + k / 4][k % 4];
      }
      // Every input channel and every block of taps has the same sum.
      if BIAS {
        db[(dims.first_split + part) * outputs + k_base + k] = total[k / 4][k % 4];
      }
    }
  }
}
