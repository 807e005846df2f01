// Weights in the order in which conv and conv_lanes read them: what one iteration takes lies together.
//
//   packed [groups][tiles][C][blocks][PADDED], and there [TAP_ROWS][S][KT], then zeros. A block is TAP_ROWS rows of the
//   filter. The last tile of a group is moved back so that it ends with the group's last channel; zero where KT > K.
//
// Forward:        packed[g, t, c, r, s, i] = w[g * K + min(t * KT, K - KT) + i, c, r, s], w [groups * K, C, R, S]
// Backward data:  the roles of input and output channels are exchanged and the filter is flipped:
//                 packed[g, t, k, r, s, i] = w[g * C + k, min(t * KT, C - KT) + i, first_r + step_r * (R - 1 - r), ...]
// where for stride > 1 only every step_r-th tap, from first_r on, belongs to the phase at hand.

struct Dims {
  inputs: u32, // channels that the convolution sums over, per group
  outputs: u32, // channels that it yields, per group
  tiles: u32,
  kt: u32,
  r: u32,
  s: u32,
  tap_rows: u32,
  padded: u32,
  filter_r: u32, // the stored filter
  filter_s: u32,
  first_r: u32,
  first_s: u32,
  step_r: u32,
  step_s: u32,
  transposed: u32,
  count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let within = index % dims.padded;
  let tap = within / dims.kt;
  let blocks = dims.r / dims.tap_rows;
  let step = index / dims.padded;
  let r = step % blocks * dims.tap_rows + tap / dims.s;
  let s = tap % dims.s;
  let input = step / blocks % dims.inputs;
  let tile = step / (blocks * dims.inputs);
  let first = min(tile % dims.tiles * dims.kt, max(dims.outputs, dims.kt) - dims.kt);
  let output = first + within % dims.kt;
  let group = tile / dims.tiles;
  let inside = tap < dims.tap_rows * dims.s && output < dims.outputs;
  var at = 0u;
  if inside && dims.transposed != 0u {
    let tap_r = dims.first_r + dims.step_r * (dims.r - 1u - r);
    let tap_s = dims.first_s + dims.step_s * (dims.s - 1u - s);
    at = (((group * dims.inputs + input) * dims.outputs + output) * dims.filter_r + tap_r) * dims.filter_s + tap_s;
  } else if inside {
    at = (((group * dims.outputs + output) * dims.inputs + input) * dims.r + r) * dims.s + s;
  }
  packed[index] = select(0.0, w[at], inside);
}
