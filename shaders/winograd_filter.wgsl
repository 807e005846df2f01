// Filters of 3x3 taps brought to where winograd_tiles brings tiles: u[xi, c, k] = (G w[k, c] G^T)[xi].
//
//   w  [K, C, 3, 3]; a range of its k, or of its c in quads of 4
//   u  [SIDE * SIDE][blocks][columns][8][4][4], overwritten. What is summed over lies in blocks of 8 quads, columns are
//      quads of output channels:
//        forward   blocks of c; [quad of c][k of the column][c of the quad]
//        BACKWARD  blocks of k; [quad of k][k of the quad][c of the column], and the filters are flipped
//      Zero behind the last c and k.
//
// The factors of G are 1 / prod (p_i - p_j) of the points p, those of F(4x4): 1, -2/3, 1/6.

const LANES: u32 = 8u;
const M: i32 = 4;
const SIDE: i32 = 6; // M + 2
const BACKWARD: bool = false;
alias W = f32; // vec4<f32> if C is a multiple of 4

struct Dims {
  channels: i32, // C
  outputs: i32, // K
  first_quad: i32, // of c
  quads: i32,
  first_output: i32,
  output_quads: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> w: array<W>;
@group(0) @binding(2) var<storage, read_write> u: array<vec4<f32>>;

// Four numbers of w from one of channel c on, 9 apart per channel; and those of one channel.
fn four(at: i32, i: i32) -> vec4<f32> { return vec4<f32>(w[at + 4 * i], w[at + 4 * i + 1], w[at + 4 * i + 2], w[at + 4 * i + 3]); }

fn transform(g0: vec4<f32>, g1: vec4<f32>, g2: vec4<f32>) -> array<vec4<f32>, 6> {
  if M == 2 {
    let even = 0.5 * (g0 + g2);
    let odd = 0.5 * g1;
    return array<vec4<f32>, 6>(g0, even + odd, even - odd, g2, vec4<f32>(0.0), vec4<f32>(0.0));
  }
  let near = -0.6666667 * g0 - 0.33333334 * g2;
  let near_odd = -0.47140452 * g1;
  let far = 0.16666667 * g0 + 0.33333334 * g2;
  let far_odd = 0.23570226 * g1;
  return array<vec4<f32>, 6>(g0, near + near_odd, near - near_odd, far + far_odd, far - far_odd, g2);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let quad = min(i32(workgroup.x * LANES + lane), dims.quads - 1);
  let c0 = (dims.first_quad + quad) * 4;
  let inside = vec4<i32>(c0) + vec4<i32>(0, 1, 2, 3) < vec4<i32>(dims.channels);
  let block = i32(workgroup.y);
  var at = ((quad / 8) * dims.output_quads + block * 8) * 32 + quad % 8 * 4;
  var step = 32;
  var stride = (dims.quads + 7) / 8 * dims.output_quads * 32;
  if BACKWARD {
    at = (block * dims.quads + quad) * 32;
    step = 4;
    stride = (dims.output_quads + 7) / 8 * dims.quads * 32;
  }
  let outputs = min(32, dims.output_quads * 4 - block * 32);
  for (var i = 0; i < outputs; i += 1) {
    let k = dims.first_output + block * 32 + i;
    let first = (min(k, dims.outputs - 1) * dims.channels + c0) * 9;
    var flat: array<vec4<f32>, 9>;
    // unroll
    for (var j = 0; j < 9; j += 1) {
      flat[j] = four(first, j);
    }
    let known = inside & vec4<bool>(k < dims.outputs);
    var g: array<vec4<f32>, 9>;
    // unroll
    for (var j = 0; j < 9; j += 1) {
      var tap = j;
      if BACKWARD {
        tap = 8 - j;
      }
      let taps = vec4<f32>(flat[j / 4][j % 4], flat[(j + 9) / 4][(j + 9) % 4], flat[(j + 18) / 4][(j + 18) % 4], flat[(j + 27) / 4][(j + 27) % 4]);
      g[tap] = select(vec4<f32>(0.0), taps, known);
    }
    var half: array<vec4<f32>, 18>;
    // unroll
    for (var j = 0; j < 3; j += 1) {
      let values = transform(g[j], g[3 + j], g[6 + j]);
      // unroll
      for (var r = 0; r < SIDE; r += 1) {
        half[r * 3 + j] = values[r];
      }
    }
    // unroll
    for (var r = 0; r < SIDE; r += 1) {
      let values = transform(half[r * 3], half[r * 3 + 1], half[r * 3 + 2]);
      // unroll
      for (var s = 0; s < SIDE; s += 1) {
        u[at + (r * SIDE + s) * stride + i / 4 * step + i % 4] = values[s];
      }
    }
  }
}
