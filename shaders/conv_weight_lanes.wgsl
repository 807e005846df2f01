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
// rows (n, oh); it walks along them four positions at a time. The pixels are the same for all lanes: each loads a part of
// them, and shuffles from known lanes bring them to all. As in conv_lanes, what would reach behind an edge is moved back
// onto it and writes the same bits again.

enable subgroups;

const LANES: u32 = 8u;
const TAP_ROWS: i32 = 3;
const TAP_COLS: i32 = 3;
const STRIDE_W: i32 = 1;
const DILATION_H: i32 = 1;
const DILATION_W: i32 = 1;
const KL: i32 = 1;
const CT: i32 = 1;
const SPAN_W: i32 = 6; // 3 * STRIDE_W + (TAP_COLS - 1) * DILATION_W + 1
const WINDOW: i32 = 18; // CT * TAP_ROWS * SPAN_W
const LOADS: i32 = 3; // pixels per lane: WINDOW / LANES, rounded up
const TILE: i32 = 9; // TAP_ROWS * TAP_COLS * CT * KL
const BIAS: bool = false;
alias DY = f32; // of dy, as many as divide OW

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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<DY>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

// Four neighbours of dy; those from the end of their line on are zero.
fn load_dy(at: i32, room: i32) -> vec4<f32> { let inside = vec4<i32>(0, 1, 2, 3) < vec4<i32>(room); let i = select(vec4<i32>(0), vec4<i32>(at) + vec4<i32>(0, 1, 2, 3), inside); return select(vec4<f32>(0.0), vec4<f32>(dy[i.x], dy[i.y], dy[i.z], dy[i.w]), inside); }

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
  let tile = rest % (dims.groups * dims.tiles);
  let part = rest / (dims.groups * dims.tiles);
  let group = tile / dims.tiles;
  let k0 = group * dims.group_outputs;
  let channels = dims.groups * dims.group_channels;
  let outputs = dims.groups * dims.group_outputs;
  let plane = dims.oh * dims.ow;
  var output: array<i32, KL>;
  // unroll
  for (var k = 0; k < KL; k += 1) {
    output[k] = k0 + min((tile % dims.tiles * KL + k) * i32(LANES) + i32(lane), dims.group_outputs - 1);
  }

  let first_row = part * dims.rows_per_split;
  let last_row = min(first_row + dims.rows_per_split, dims.n * dims.oh);
  let blocks_w = (dims.ow + 3) / 4;
  let steps = (last_row - first_row) * blocks_w;

  // The pixels that this lane loads: channel, row and column in the window.
  var window_c: array<i32, LOADS>;
  var window_r: array<i32, LOADS>;
  var window_j: array<i32, LOADS>;
  // unroll
  for (var i = 0; i < LOADS; i += 1) {
    let at = min(i * i32(LANES) + i32(lane), WINDOW - 1);
    window_c[i] = (group * dims.group_channels + c0 + at / (TAP_ROWS * SPAN_W)) * dims.h;
    window_r[i] = (block * TAP_ROWS + at / SPAN_W % TAP_ROWS) * DILATION_H - dims.padding_h;
    window_j[i] = at % SPAN_W - dims.padding_w;
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
  for (var step = 0; step < steps; step += 1) {
    let image = n * channels * dims.h;
    var pixels: array<f32, LOADS>;
    // unroll
    for (var i = 0; i < LOADS; i += 1) {
      let row = oh * dims.stride_h + window_r[i];
      let column = ow0 * STRIDE_W + window_j[i];
      let inside = row >= 0 && row < dims.h && column >= 0 && column < dims.w;
      let pixel = x[select(0, (image + window_c[i] + row) * dims.w + column, inside)];
      pixels[i] = select(0.0, pixel, inside);
    }
    var grads: array<vec4<f32>, KL>;
    // unroll
    for (var k = 0; k < KL; k += 1) {
      let v = load_dy((n * outputs + output[k]) * plane + oh * dims.ow + ow0, dims.ow - ow0);
      grads[k] = v;
      total[k] += v.x + v.y + v.z + v.w;
    }
    // unroll
    for (var c = 0; c < CT; c += 1) {
      // unroll
      for (var r = 0; r < TAP_ROWS; r += 1) {
        var values: array<f32, SPAN_W>;
        // unroll
        for (var j = 0; j < SPAN_W; j += 1) {
          let at = (c * TAP_ROWS + r) * SPAN_W + j;
          values[j] = subgroupShuffle(pixels[at / i32(LANES)], u32(at) % LANES);
        }
        // unroll
        for (var s = 0; s < TAP_COLS; s += 1) {
          let left = s * DILATION_W;
          let four = vec4<f32>(values[left], values[left + STRIDE_W], values[left + 2 * STRIDE_W], values[left + 3 * STRIDE_W]);
          // unroll
          for (var k = 0; k < KL; k += 1) {
            let product = grads[k] * four;
            acc[((c * TAP_ROWS + r) * TAP_COLS + s) * KL + k] += (product.x + product.y) + (product.z + product.w);
          }
        }
      }
    }
    let line_done = ow0 + 4 >= dims.ow;
    ow0 = select(ow0 + 4, 0, line_done);
    oh += select(0, 1, line_done);
    let image_done = oh >= dims.oh;
    oh = select(oh, 0, image_done);
    n += select(0, 1, image_done);
  }

  let base = (dims.first_split + part) * outputs;
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
