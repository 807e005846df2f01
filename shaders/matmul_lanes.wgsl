// Matrix product as in matmul, for CPU drivers: one subgroup to a workgroup, a's numbers spread over its lanes.
//
//   y[m, n] = act(sum over k of a[m, k] * b[k, n] + bias[n]) * act'(mask[m, n]);  sums[m] = sum over k of a[m, k]
//
//   a     [M, K], or [K, M] if A_BY_ROW is false;  b  [N, K], or [K, N] if B_BY_ROW is false
//   bias  [N], read if dims.bias is 1;  mask [M, N], read if MASK and dims.mask is 1
//   y     [splits][M, N], overwritten;  sums [splits][M], overwritten if SUMS
//   before [M, N], what is added: the sum over earlier k or another tensor, read if RESUME
//   If BATCHED, all but the bias are several matrices, as in matmul.
//
// A subgroup computes RM rows of 4 columns per lane. Per four k it makes RM / LANES + 4 loads of whole vectors and 16 RM
// multiplications per lane: a lane holds four k of some rows of a (or four rows at one k), and a shuffle from a known
// lane brings each number to all. The contiguous extents of a and b must be multiples of four. As in conv_lanes, rows and
// columns behind the edge are those on the edge once more, and write the same bits again.

enable subgroups;

const LANES: u32 = 8u;
const A_BY_ROW: bool = true;
const B_BY_ROW: bool = true;
const SUMS: bool = false;
const MASK: bool = false;
const RESUME: bool = false;
const BATCHED: bool = false;
const RM: u32 = 16u;
const LOADS: u32 = 2u; // RM / LANES
const WHOLE: bool = false; // N is a multiple of four: y and mask are read and written as vectors
alias Y = f32;

struct Dims {
  m: u32,
  n: u32,
  k: u32,
  tiles_m: u32,
  tiles_n: u32,
  k_per_split: u32, // a multiple of 4
  bias: u32,
  relu: u32,
  mask: u32,
  batch: u32,
  a_step: u32, // from one matrix to the next, 0 if there is one
  b_step: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<Y>;
@group(0) @binding(5) var<storage, read_write> y: array<Y>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read> before: array<Y>;

fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
fn load_mask(at: vec4<u32>) -> vec4<f32> { return vec4<f32>(mask[at.x], mask[at.y], mask[at.z], mask[at.w]); }
fn load_before(at: vec4<u32>) -> vec4<f32> { return vec4<f32>(before[at.x], before[at.y], before[at.z], before[at.w]); }
fn store(at: vec4<u32>, v: vec4<f32>) { y[at.x] = v.x; y[at.y] = v.y; y[at.z] = v.z; y[at.w] = v.w; }

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let unit = workgroup.x + workgroup.y * workgroups.x;
  let m0 = unit % dims.tiles_m * RM;
  let n0 = (unit / dims.tiles_m % dims.tiles_n * LANES + lane) * 4u;
  let matrix = unit / (dims.tiles_m * dims.tiles_n);
  var item = 0u;
  var part = matrix;
  if BATCHED {
    item = matrix % dims.batch;
    part = matrix / dims.batch;
  }
  let a0 = item * dims.a_step / 4u;
  let b0 = item * dims.b_step / 4u;
  let y0 = item * dims.m * dims.n;
  let first = min(part * dims.k_per_split, dims.k);
  let last = min(first + dims.k_per_split, dims.k);

  // Where the lane's rows begin, and its columns in the first row, in vectors.
  var a_at: array<u32, LOADS>;
  // unroll
  for (var i = 0u; i < LOADS; i += 1u) {
    a_at[i] = a0 + min(m0 + i * LANES + lane, dims.m - 1u) * (dims.k / 4u);
  }
  var b_at: array<u32, 4>;
  // unroll
  for (var j = 0u; j < 4u; j += 1u) {
    b_at[j] = b0 + min(n0 + j, dims.n - 1u) * (dims.k / 4u);
    if WHOLE {
      b_at[j] = b0 + (min(n0, dims.n - 4u) + j) * (dims.k / 4u);
    }
  }
  let b_column = min(n0 / 4u, dims.n / 4u - min(dims.n / 4u, 1u));

  var acc: array<vec4<f32>, RM>;
  var row_sums = vec4<f32>(0.0);
  // unroll
  for (var i = 0u; i < RM; i += 1u) {
    acc[i] = vec4<f32>(0.0);
  }
  let column = vec4<u32>(0u, 1u, 2u, 3u);
  let n = select(min(vec4<u32>(n0) + column, vec4<u32>(dims.n - 1u)), vec4<u32>(4u * b_column) + column, vec4<bool>(!B_BY_ROW || WHOLE));
  if RESUME && part == 0u {
    // unroll
    for (var i = 0u; i < RM; i += 1u) {
      acc[i] = load_before(vec4<u32>(y0 + row(m0, i) * dims.n) + n);
    }
  }
  for (var k0 = first; k0 < last; k0 += 4u) {
    var av: array<vec4<f32>, LOADS>;
    // unroll
    for (var i = 0u; i < LOADS; i += 1u) {
      if A_BY_ROW {
        av[i] = a[a_at[i] + k0 / 4u];
      } else {
        // Four rows at one k: RM / 4 such vectors for each of four k, LANES of them to a load.
        let at = i * LANES + lane;
        let k = k0 + at / (RM / 4u);
        let v = a[a0 + min(k, dims.k - 1u) * (dims.m / 4u) + min(m0 / 4u + at % (RM / 4u), dims.m / 4u - 1u)];
        av[i] = select(vec4<f32>(0.0), v, k < last);
      }
    }
    var bv: array<vec4<f32>, 4>;
    // unroll
    for (var j = 0u; j < 4u; j += 1u) {
      if B_BY_ROW {
        bv[j] = b[b_at[j] + k0 / 4u];
      } else {
        let v = b[b0 + min(k0 + j, dims.k - 1u) * (dims.n / 4u) + b_column];
        bv[j] = select(vec4<f32>(0.0), v, k0 + j < last);
      }
    }
    // unroll
    for (var i = 0u; i < RM; i += 1u) {
      // unroll
      for (var kk = 0u; kk < 4u; kk += 1u) {
        let column = kk * (RM / 4u) + i / 4u;
        var left = 0.0;
        if A_BY_ROW {
          left = subgroupShuffle(av[i / LANES][kk], i % LANES);
        } else {
          left = subgroupShuffle(av[column / LANES][i % 4u], column % LANES);
        }
        if B_BY_ROW {
          acc[i] += left * vec4<f32>(bv[0u][kk], bv[1u][kk], bv[2u][kk], bv[3u][kk]);
        } else {
          acc[i] += left * bv[kk];
        }
      }
    }
    if SUMS {
      // unroll
      for (var i = 0u; i < LOADS; i += 1u) {
        row_sums += av[i];
      }
    }
  }

  let from_bias = select(vec4<u32>(0u), n, vec4<bool>(dims.bias != 0u));
  let biases = vec4<f32>(bias[from_bias.x], bias[from_bias.y], bias[from_bias.z], bias[from_bias.w]);
  let offset = select(vec4<f32>(0.0), biases, vec4<bool>(dims.bias != 0u));
  // unroll
  for (var i = 0u; i < RM; i += 1u) {
    let at = vec4<u32>(row(m0, i) * dims.n) + n;
    var v = activate(acc[i] + offset);
    if MASK {
      let masked = v * derivative(load_mask(select(vec4<u32>(0u), vec4<u32>(y0) + at, vec4<bool>(dims.mask != 0u))));
      v = select(v, masked, vec4<bool>(dims.mask != 0u));
    }
    store(vec4<u32>(matrix * dims.m * dims.n) + at, v);
  }
  if SUMS {
    // Only a by column: the lanes that hold rows 4 q.. are q, q + RM / 4, ..., each at other k.
    var four = row_sums;
    if RM / 4u < LANES {
      four += subgroupShuffleXor(four, RM / 4u);
    }
    if RM / 2u < LANES {
      four += subgroupShuffleXor(four, RM / 2u);
    }
    // unroll
    for (var i = 0u; i < 4u; i += 1u) {
      sums[matrix * dims.m + row(m0, lane % (RM / 4u) * 4u + i)] = four[i];
    }
  }
}

// The row i of the tile that begins at m0: those behind the last are the last, or the last four.
fn row(m0: u32, i: u32) -> u32 {
  if A_BY_ROW {
    return min(m0 + i, dims.m - 1u);
  }
  return min((m0 + i) / 4u, dims.m / 4u - 1u) * 4u + i % 4u;
}
