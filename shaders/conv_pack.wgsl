// Weights in the order in which conv reads them.
//
//   packed [groups][tiles][C][R][S][KT], zero where a tile reaches behind the last channel of its group
//
// Forward:        packed[g, t, c, r, s, i] = w[g * K + t * KT + i, c, r, s], w [groups * K, C, R, S]
// Backward data:  the roles of input and output channels are exchanged and the filter is flipped:
//                 packed[g, t, k, r, s, i] = w[g * C + k, t * KT + i, first_r + step_r * (R - 1 - r), ...]
// where for stride > 1 only every step_r-th tap, from first_r on, belongs to the phase at hand.

const KT: u32 = 8u;

struct Dims {
  inputs: u32, // channels that the convolution sums over, per group
  outputs: u32, // channels that it yields, per group
  tiles: u32,
  r: u32,
  s: u32,
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
  var rest = index;
  let i = rest % KT;
  rest /= KT;
  let s = rest % dims.s;
  rest /= dims.s;
  let r = rest % dims.r;
  rest /= dims.r;
  let input = rest % dims.inputs;
  rest /= dims.inputs;
  let output = (rest % dims.tiles) * KT + i;
  let group = rest / dims.tiles;
  var at = 0u;
  if dims.transposed != 0u {
    let tap_r = dims.first_r + dims.step_r * (dims.r - 1u - r);
    let tap_s = dims.first_s + dims.step_s * (dims.s - 1u - s);
    at = (((group * dims.inputs + input) * dims.outputs + output) * dims.filter_r + tap_r) * dims.filter_s + tap_s;
  } else {
    at = (((group * dims.outputs + output) * dims.inputs + input) * dims.r + r) * dims.s + s;
  }
  let inside = output < dims.outputs;
  packed[index] = select(0.0, w[select(0u, at, inside)], inside);
}
