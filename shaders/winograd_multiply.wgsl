// The products of Winograd's convolution, for CPU drivers: SIDE * SIDE matrix products in one dispatch.
//
//   y[xi, m, n] = sum over k of a[xi, m, k] * b[xi, k, n], and what y is if dims.resume is 1
//
// All three lie in blocks and quads, [SIDE * SIDE][blocks][quads][32 vectors of four]:
//
//   a  A_BY_ROW:  [blocks of 32 m][quads of k][32 m][4 k];   else [blocks of 32 k][quads of m][32 k][4 m]
//   b  B_BY_ROW:  [blocks of 32 k][quads of n][8 quads of k][4 n][4 k];   else [blocks of 32 k][quads of n][32 k][4 n]
//   y  [blocks of 32 m][quads of n][32 m][4 n]
//
//                     m        n        k       A_BY_ROW  B_BY_ROW
//   forward           tiles    outputs  inputs  true      true
//   backward data     tiles    inputs   outputs true      false
//   backward weights  outputs  inputs   tiles   false     false
//
// As in matmul_lanes: a subgroup computes ROWS rows of COLUMNS quads per lane, a part of a block; a lane holds a part of a's numbers, and a
// shuffle from a known lane brings each to all. What a lane reads one after the other lies together. Quads behind the last
// are the last once more, and write the same bits again.

enable subgroups;

const LANES: u32 = 8u;
const A_BY_ROW: bool = true;
const B_BY_ROW: bool = true;
const ROWS: u32 = 32u;
const QUADS: u32 = 8u; // ROWS / 4
const COLUMNS: u32 = 2u;
const LOADS: u32 = 2u; // ROWS / (2 LANES)
const TILE: u32 = 64u; // ROWS * COLUMNS
const READS: u32 = 4u; // 2 * COLUMNS
const TWO: u32 = 1u; // vectors in a Stored
alias Vector = vec4<f32>; // eight numbers as two vectors, or as vec4<u64>
alias Stored = vec4<f32>; // likewise, of y

struct Dims {
  m_blocks: u32,
  m_quads: u32, // read if A_BY_ROW is false
  n_quads: u32,
  k_quads: u32,
  k_blocks: u32,
  resume: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<Vector>;
@group(0) @binding(2) var<storage, read> b: array<Vector>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>; // read before it is written

struct Eight {
  lo: vec4<f32>,
  hi: vec4<f32>,
}

fn load_a(at: u32) -> Eight { return Eight(a[2u * at], a[2u * at + 1u]); }
fn load_y(at: u32) -> vec4<f32> { return y[at]; }
fn join(a: vec4<f32>, b: vec4<f32>) -> Stored { return a; }
fn load_b(at: u32) -> Eight { return Eight(b[2u * at], b[2u * at + 1u]); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  // Drivers read a uniform within a loop again and again, lane by lane.
  let m_quads = dims.m_quads;
  let n_quads = dims.n_quads;
  let k_quads = dims.k_quads;
  let k_blocks = dims.k_blocks;
  let block = workgroup.x / (32u / ROWS);
  let row0 = workgroup.x % (32u / ROWS) * ROWS;
  let xi = workgroup.z;
  var column: array<u32, COLUMNS>;
  // unroll
  for (var n = 0u; n < COLUMNS; n += 1u) {
    column[n] = min((workgroup.y * COLUMNS + n) * LANES + lane, n_quads - 1u);
  }
  // Where the lane's eights of a lie at k = 0: two rows of four k, or two k of four rows.
  var a_at: array<u32, LOADS>;
  // unroll
  for (var i = 0u; i < LOADS; i += 1u) {
    let at = i * LANES + lane;
    if A_BY_ROW {
      a_at[i] = (xi * dims.m_blocks + block) * k_quads * 16u + row0 / 2u + at;
    } else {
      a_at[i] = (xi * k_blocks * m_quads + min(block * 8u + row0 / 4u + at % QUADS, m_quads - 1u)) * 16u + at / QUADS;
    }
  }
  var acc: array<vec4<f32>, TILE>;
  // unroll
  for (var i = 0u; i < TILE; i += 1u) {
    acc[i] = vec4<f32>(0.0);
  }
  let y_at = (xi * dims.m_blocks + block) * n_quads;
  // A loop, because drivers jump over its body; what an `if` guards they compute in any case.
  for (var once = 0u; once < dims.resume; once += 1u) {
    // unroll
    for (var i = 0u; i < ROWS; i += 1u) {
      // unroll
      for (var n = 0u; n < COLUMNS; n += 1u) {
        acc[i * COLUMNS + n] = load_y((y_at + column[n]) * 32u + row0 + i);
      }
    }
  }
  for (var step = 0u; step < k_quads; step += 1u) {
    let k_block = step / 8u;
    let within = step % 8u * 2u;
    var a_lo: array<vec4<f32>, LOADS>;
    var a_hi: array<vec4<f32>, LOADS>;
    // unroll
    for (var i = 0u; i < LOADS; i += 1u) {
      var at = a_at[i] + step * 16u;
      if !A_BY_ROW {
        at = a_at[i] + k_block * m_quads * 16u + within;
      }
      let eight = load_a(at);
      a_lo[i] = eight.lo;
      a_hi[i] = eight.hi;
    }
    let b_at = (xi * k_blocks + k_block) * n_quads;
    var b_lo: array<vec4<f32>, READS>;
    var b_hi: array<vec4<f32>, READS>;
    // unroll
    for (var n = 0u; n < COLUMNS; n += 1u) {
      // unroll
      for (var j = 0u; j < 2u; j += 1u) {
        let eight = load_b((b_at + column[n]) * 16u + within + j);
        b_lo[n * 2u + j] = eight.lo;
        b_hi[n * 2u + j] = eight.hi;
      }
    }
    // unroll
    for (var i = 0u; i < ROWS; i += 1u) {
      // unroll
      for (var k = 0u; k < 4u; k += 1u) {
        let pair = k / 2u * QUADS + i / 4u;
        var left = 0.0;
        if A_BY_ROW && i % 2u == 0u {
          left = subgroupShuffle(a_lo[i / 2u / LANES][k], i / 2u % LANES);
        } else if A_BY_ROW {
          left = subgroupShuffle(a_hi[i / 2u / LANES][k], i / 2u % LANES);
        } else if k % 2u == 0u {
          left = subgroupShuffle(a_lo[pair / LANES][i % 4u], pair % LANES);
        } else {
          left = subgroupShuffle(a_hi[pair / LANES][i % 4u], pair % LANES);
        }
        // unroll
        for (var n = 0u; n < COLUMNS; n += 1u) {
          if B_BY_ROW {
            acc[i * COLUMNS + n] += left * vec4<f32>(b_lo[n * 2u][k], b_hi[n * 2u][k], b_lo[n * 2u + 1u][k], b_hi[n * 2u + 1u][k]);
          } else if k % 2u == 0u {
            acc[i * COLUMNS + n] += left * b_lo[n * 2u + k / 2u];
          } else {
            acc[i * COLUMNS + n] += left * b_hi[n * 2u + k / 2u];
          }
        }
      }
    }
  }
  // unroll
  for (var i = 0u; i < ROWS; i += TWO) {
    // unroll
    for (var n = 0u; n < COLUMNS; n += 1u) {
      y[((y_at + column[n]) * 32u + row0 + i) / TWO] = join(acc[i * COLUMNS + n], acc[(i + TWO - 1u) * COLUMNS + n]);
    }
  }
}
