// Convolution, direct, in registers; also its gradient by the input, which is a convolution of the gradient with
// the transposed, flipped filter (and for stride > 1 one such convolution for each phase of the output).
//
//   y[n, k, oh, ow] = act(bias[k] + sum over c, r, s of w[k, c, r, s] * x[n, c, ih, iw]) * act'(mask[n, k, oh, ow])
//   ih = oh * stride + r * dilation - padding,  x is zero outside of its extents
//
//   x     [N, C, H, W]
//   w     packed by conv_pack: [K tiles][C / groups][R][S][KT], a tile never crosses a group
//   bias  [K], read if BIAS
//   mask  [N, K, YH, YW], the result of an activation, read if MASK
//   y     [N, K, YH, YW], overwritten at rows oh * out_stride + out_offset (columns likewise)
//
// An invocation computes ROWS x COLS neighbouring positions of KT channels. It reads each pixel of its window once per
// input channel and each weight once, so the loads per multiplication fall with the tile; there is no workgroup memory
// and no barrier, which CPU drivers cannot afford. Filters of more than 9 taps are taken a row at a time (TAP_ROWS 1).

const TAP_ROWS: i32 = 3; // filter rows taken per iteration
const TAP_COLS: i32 = 3; // S
const STRIDE_H: i32 = 1;
const STRIDE_W: i32 = 1;
const DILATION_H: i32 = 1;
const DILATION_W: i32 = 1;
const ROWS: i32 = 2;
const COLS: i32 = 4;
const KT: i32 = 8;
const KV: i32 = 2; // KT / 4
const SPAN_H: i32 = 4; // (ROWS - 1) * STRIDE_H + (TAP_ROWS - 1) * DILATION_H + 1
const SPAN_W: i32 = 6; // 3 * STRIDE_W + (TAP_COLS - 1) * DILATION_W + 1
const WINDOW: i32 = 24; // SPAN_H * SPAN_W
const TILE: i32 = 16; // ROWS * COLS * KV
const BIAS: bool = false;
const MASK: bool = false;
const EDGE: bool = true; // KT is more than K

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
  tap_blocks: i32, // R / TAP_ROWS
  padding_h: i32,
  padding_w: i32,
  yh: i32,
  yw: i32,
  out_stride_h: i32,
  out_stride_w: i32,
  out_offset_h: i32,
  out_offset_w: i32,
  invocations: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

fn activate(v: f32) -> f32 { return v; }
fn derivative(v: f32) -> f32 { return 1.0; }
fn load_mask(at: i32) -> f32 { return mask[at]; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.invocations {
    return;
  }
  var rest = i32(index);
  let tiles_w = (dims.ow + COLS - 1) / COLS;
  let tiles_h = (dims.oh + ROWS - 1) / ROWS;
  // A tile that would reach behind an edge is moved back: it writes again what its neighbour writes.
  let ow0 = min((rest % tiles_w) * COLS, dims.ow - COLS);
  rest /= tiles_w;
  let oh0 = min((rest % tiles_h) * ROWS, dims.oh - ROWS);
  rest /= tiles_h;
  let tile = rest % (dims.groups * dims.tiles);
  let n = rest / (dims.groups * dims.tiles);
  let group = tile / dims.tiles;
  let k0 = min((tile % dims.tiles) * KT, max(dims.group_outputs, KT) - KT);

  let image = (n * dims.groups + group) * dims.group_channels * dims.h * dims.w;
  let ih0 = oh0 * STRIDE_H - dims.padding_h;
  let iw0 = ow0 * STRIDE_W - dims.padding_w;
  let steps = dims.group_channels * dims.tap_blocks;
  let weights = tile * steps * (TAP_ROWS * TAP_COLS * KV);

  var acc: array<vec4<f32>, TILE>;
  // unroll
  for (var i = 0; i < TILE; i += 1) {
    acc[i] = vec4<f32>(0.0);
  }
  for (var step = 0; step < steps; step += 1) {
    let c = step / dims.tap_blocks;
    let block = step % dims.tap_blocks;
    let plane = image + c * dims.h * dims.w;
    let ih = ih0 + block * TAP_ROWS * DILATION_H;
    var pixels: array<f32, WINDOW>;
    // unroll
    for (var i = 0; i < SPAN_H; i += 1) {
      let row = ih + i;
      let row_inside = row >= 0 && row < dims.h;
      // unroll
      for (var j = 0; j < SPAN_W; j += 1) {
        let inside = row_inside && iw0 + j >= 0 && iw0 + j < dims.w;
        let pixel = x[select(0, plane + row * dims.w + iw0 + j, inside)];
        pixels[i * SPAN_W + j] = select(0.0, pixel, inside);
      }
    }
    let taps = weights + step * (TAP_ROWS * TAP_COLS * KV);
    // unroll
    for (var r = 0; r < TAP_ROWS; r += 1) {
      // unroll
      for (var s = 0; s < TAP_COLS; s += 1) {
        // unroll
        for (var k = 0; k < KV; k += 1) {
          let weight = w[taps + (r * TAP_COLS + s) * KV + k];
          // unroll
          for (var i = 0; i < ROWS; i += 1) {
            // unroll
            for (var j = 0; j < COLS; j += 1) {
              acc[(i * COLS + j) * KV + k] += weight * pixels[(i * STRIDE_H + r * DILATION_H) * SPAN_W + j * STRIDE_W + s * DILATION_W];
            }
          }
        }
      }
    }
  }

  // unroll
  for (var k = 0; k < KT; k += 1) {
    if !EDGE || k0 + k < dims.group_outputs {
      let channel = group * dims.group_outputs + k0 + k;
      var offset = 0.0;
      if BIAS {
        offset = bias[channel];
      }
      // unroll
      for (var i = 0; i < ROWS; i += 1) {
        // unroll
        for (var j = 0; j < COLS; j += 1) {
          let row = (oh0 + i) * dims.out_stride_h + dims.out_offset_h;
          let column = (ow0 + j) * dims.out_stride_w + dims.out_offset_w;
          let at = ((n * dims.groups * dims.group_outputs + channel) * dims.yh + row) * dims.yw + column;
          var v = activate(acc[(i * COLS + j) * KV + k / 4][k % 4] + offset);
          if MASK {
            v *= derivative(load_mask(at));
          }
          y[at] = v;
        }
      }
    }
  }
}
