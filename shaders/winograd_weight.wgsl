// The gradient of 3x3 filters from the products of tiles of operand and gradient: dw[k, c] = G^T p[xi, k, c] G, the adjoint
// of what winograd_filter does.
//
//   p   [SIDE * SIDE][blocks][quads][32][4]: blocks of 32 k, quads of 4 c
//   dw  [K, C, 3, 3], overwritten: the k at hand

const LANES: u32 = 8u;
const M: i32 = 4;
const SIDE: i32 = 6; // M + 2
alias W = f32; // vec4<f32> if C is a multiple of 4

struct Dims {
  channels: i32, // C
  quads: i32,
  first_output: i32,
  outputs: i32, // at hand
  blocks: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> p: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dw: array<W>;

// Writes the vector i of the nine that the taps of four channels make, those of the first `room` channels.
fn store(at: i32, i: i32, v: vec4<f32>, last: i32) { let to = min(vec4<i32>(4 * i) + vec4<i32>(0, 1, 2, 3), vec4<i32>(last)); dw[at + to.x] = v.x; dw[at + to.y] = v.y; dw[at + to.z] = v.z; dw[at + to.w] = v.w; }

fn transform(m: array<vec4<f32>, 6>) -> array<vec4<f32>, 3> {
  if M == 2 {
    let even = 0.5 * (m[1] + m[2]);
    return array<vec4<f32>, 3>(m[0] + even, 0.5 * (m[1] - m[2]), even + m[3]);
  }
  let near = m[1] + m[2];
  let far = m[3] + m[4];
  return array<vec4<f32>, 3>(
    (m[0] - 0.6666667 * near) + 0.16666667 * far,
    -0.47140452 * (m[1] - m[2]) + 0.23570226 * (m[3] - m[4]),
    0.33333334 * (far - near) + m[5],
  );
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let quad = min(i32(workgroup.x * LANES + lane), dims.quads - 1);
  let block = i32(workgroup.y);
  let at = (block * dims.quads + quad) * 32;
  let stride = dims.blocks * dims.quads * 32;
  let count = min(32, dims.outputs - block * 32);
  // The last number of the last channel, from the first of the first.
  let last = min(4, dims.channels - quad * 4) * 9 - 1;
  for (var k = 0; k < count; k += 1) {
    var half: array<vec4<f32>, 18>;
    // unroll
    for (var j = 0; j < SIDE; j += 1) {
      var line: array<vec4<f32>, 6>;
      // unroll
      for (var i = 0; i < SIDE; i += 1) {
        line[i] = p[at + (i * SIDE + j) * stride + k];
      }
      let values = transform(line);
      // unroll
      for (var i = 0; i < 3; i += 1) {
        half[i * 6 + j] = values[i];
      }
    }
    var taps: array<vec4<f32>, 9>;
    // unroll
    for (var i = 0; i < 3; i += 1) {
      var line: array<vec4<f32>, 6>;
      // unroll
      for (var j = 0; j < SIDE; j += 1) {
        line[j] = half[i * 6 + j];
      }
      let values = transform(line);
      // unroll
      for (var j = 0; j < 3; j += 1) {
        taps[i * 3 + j] = values[j];
      }
    }
    let to = ((dims.first_output + block * 32 + k) * dims.channels + quad * 4) * 9;
    var before = 0.0;
    // unroll
    for (var j = 0; j < 9; j += 1) {
      var v = vec4<f32>(0.0);
      // unroll
      for (var e = 0; e < 4; e += 1) {
        // Behind the last channel stands its last number once more.
        before = select(before, taps[(4 * j + e) % 9][(4 * j + e) / 9], 4 * j + e <= last);
        v[e] = before;
      }
      store(to, j, v, last);
    }
  }
}
