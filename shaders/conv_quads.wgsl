// Convolution as in conv_lanes, of planes of 2 x 2 with windows of 3 x 3 and one pixel of padding, for CPU drivers.
//
//   y[n, k] = act(bias[k] + sum over c of the four pixels of x[n, c], each times the taps that join it to the four of y)
//             * act'(mask[n, k])
//
//   x, y, mask  [N, channels] of planes, a vector each
//   w           packed by conv_pack, as for conv_lanes: [K tiles][C / groups][TAP_VECTORS vectors: R, S, KT, then zeros]
//
// Tiles of rows would spend four of five multiplications on padding here. Instead a lane has SAMPLES samples, and of the 36
// pairs of tap and result only the 16 that meet a pixel are computed. Weights are spread over the lanes as in conv_lanes.
// Samples and channels that would reach beyond the last are moved back, and written again, the same bits.

enable subgroups;

const LANES: u32 = 8u;
const KT: i32 = 8;
const SAMPLES: i32 = 2;
const TILE: i32 = 16; // SAMPLES * KT
const TAP_VECTORS: i32 = 18; // vectors of weights per input channel: 9 * KT / 4, rounded up
const LOADS: i32 = 3; // vectors per lane: TAP_VECTORS / LANES, rounded up
const MASK: bool = false;

struct Dims {
  n: i32,
  groups: i32,
  group_channels: i32,
  group_outputs: i32,
  tiles: i32, // of KT channels, per group
  blocks: u32, // workgroups per channel tile
  bias: u32,
  relu: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>; // read before it is written

fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
fn load_mask(at: i32) -> vec4<f32> { return mask[at]; }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let unit = workgroup.x + workgroup.y * workgroups.x;
  let tile = min(i32(unit / dims.blocks), dims.groups * dims.tiles - 1);
  let position = i32(unit % dims.blocks * LANES + lane);
  let n = min(position * SAMPLES, dims.n - SAMPLES);
  let group = tile / dims.tiles;
  let k0 = min((tile % dims.tiles) * KT, dims.group_outputs - KT);
  let first = (n * dims.groups + group) * dims.group_channels;
  let sample = dims.groups * dims.group_channels;

  var acc: array<vec4<f32>, TILE>;
  // unroll
  for (var i = 0; i < TILE; i += 1) {
    acc[i] = vec4<f32>(0.0);
  }
  for (var c = 0; c < dims.group_channels; c += 1) {
    let taps = (tile * dims.group_channels + c) * TAP_VECTORS;
    var weights: array<vec4<f32>, LOADS>;
    // unroll
    for (var i = 0; i < LOADS; i += 1) {
      weights[i] = w[taps + min(i * i32(LANES) + i32(lane), TAP_VECTORS - 1)];
    }
    var pixels: array<vec4<f32>, SAMPLES>;
    // unroll
    for (var i = 0; i < SAMPLES; i += 1) {
      pixels[i] = x[first + i * sample + c];
    }
    // unroll
    for (var k = 0; k < KT; k += 1) {
      var tap: array<f32, 9>;
      // unroll
      for (var t = 0; t < 9; t += 1) {
        let at = t * KT + k;
        tap[t] = subgroupShuffle(weights[at / 4 / i32(LANES)][at % 4], u32(at / 4) % LANES);
      }
      // What each pixel is multiplied with on its way to each of the four results.
      let from_x = vec4<f32>(tap[4], tap[3], tap[1], tap[0]);
      let from_y = vec4<f32>(tap[5], tap[4], tap[2], tap[1]);
      let from_z = vec4<f32>(tap[7], tap[6], tap[4], tap[3]);
      let from_w = vec4<f32>(tap[8], tap[7], tap[5], tap[4]);
      // unroll
      for (var i = 0; i < SAMPLES; i += 1) {
        let four = (pixels[i].x * from_x + pixels[i].y * from_y) + (pixels[i].z * from_z + pixels[i].w * from_w);
        acc[i * KT + k] += four;
      }
    }
  }

  // unroll
  for (var k = 0; k < KT; k += 1) {
    let channel = group * dims.group_outputs + k0 + k;
    let offset = select(0.0, bias[select(0, channel, dims.bias != 0u)], dims.bias != 0u);
    // unroll
    for (var i = 0; i < SAMPLES; i += 1) {
      let at = (n + i) * dims.groups * dims.group_outputs + channel;
      var v = activate(acc[i * KT + k] + offset);
      if MASK {
        v *= derivative(load_mask(at));
      }
      y[at] = v;
    }
  }
}
