// Weights in the order in which conv and conv_lanes read them: what one iteration takes lies together.
//
//   packed [groups][tiles][C][blocks][PADDED], and there [TAP_ROWS][S][KT], then zeros. A block is TAP_ROWS rows of the
//   filter. The last tile of a group is moved back so that it ends with the group's last channel; zero where KT > K.
//
// Forward:        packed[g, t, c, r, s, i] = w[g * K + min(t * KT, K - KT) + i, c, r, s], w [groups * K, C, R, S]
// Backward data:  the roles of input and output channels are exchanged and the filter is flipped:
//                 packed[g, t, k, r, s, i] = w[g * C + k, min(t * KT, C - KT) + i, first_r + step_r * (R - 1 - r), ...]
// where for stride > 1 only every step_r-th tap, from first_r on, belongs to the phase at hand.
//
// Both are walks through w with constant steps, which the host knows. An invocation packs what one tile takes of one input
// channel, and counts where it is: CPU drivers divide lane by lane.

struct Dims {
  inputs: i32, // channels that the convolution sums over, per group
  outputs: i32, // channels that it yields, per group
  tiles: i32,
  kt: i32,
  s: i32,
  taps: i32, // of a block
  blocks: i32,
  vectors: i32, // of a block: PADDED / 4
  start: i32, // of the first tap in a filter
  row_step: i32, // from a row of taps to the next
  tap_step: i32,
  block_step: i32,
  group_stride: i32,
  input_stride: i32,
  output_stride: i32,
  count: i32, // of tiles times inputs, over all groups
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let tile = index / dims.inputs;
  let group = tile / dims.tiles;
  let first = min((tile - group * dims.tiles) * dims.kt, max(dims.outputs - dims.kt, 0));
  let input = index - tile * dims.inputs;
  let origin = group * dims.group_stride + input * dims.input_stride + first * dims.output_stride + dims.start;
  let room = dims.outputs - first;
  var out = index * dims.blocks * dims.vectors;
  for (var block = 0; block < dims.blocks; block += 1) {
    var line = origin + block * dims.block_step;
    var at = line;
    var k = 0;
    var s = 0;
    var tap = 0;
    for (var i = 0; i < dims.vectors; i += 1) {
      var four: array<f32, 4>;
      // unroll
      for (var j = 0; j < 4; j += 1) {
        let inside = tap < dims.taps && k < room;
        four[j] = select(0.0, w[select(0, at + k * dims.output_stride, inside)], inside);
        k += 1;
        let next = k == dims.kt;
        k = select(k, 0, next);
        tap += select(0, 1, next);
        s += select(0, 1, next);
        let below = s == dims.s;
        s = select(s, 0, below);
        line += select(0, dims.row_step, below);
        at = line + s * dims.tap_step;
      }
      packed[out] = vec4<f32>(four[0], four[1], four[2], four[3]);
      out += 1;
    }
  }
}
