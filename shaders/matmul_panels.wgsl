// Matrix product as in matmul_lanes, for large matrices: a lies in panels, and eight numbers are loaded at once.
//
//   y[m, n] = act(sum over k of a[m, k] * b[k, n] + bias[n]) * act'(mask[m, n]);  sums[m] = sum over k of a[m, k]
//
//   a     [ceil(M / RM)][K][RM], made by matmul_pack: each panel has RM rows, K is a multiple of four
//   b     [K, N], or in panels [ceil(N / (8 LANES))][K][8 LANES] made by matmul_pack, or [N, K] if B_BY_ROW
//   bias  [N], or [M] if BIAS_BY_ROW, read if dims.bias is 1;  mask [M, N], read if MASK and dims.mask is 1
//   before [M, N], what is added: the sum over earlier k or another tensor, read if RESUME
//   y     [splits][M, N], overwritten, or planes of images (`place`);  sums [splits][M], overwritten if dims.sums is 1
//   If BATCHED, all but the bias are several matrices, as in matmul.
//
// CPU drivers load lane by lane, which takes about as long for eight numbers as for four, while multiplications are done
// eight lanes at once. So a subgroup computes RM rows of eight columns per lane, and loads per four k RM / (2 LANES) + 4
// times for 32 RM multiplications per lane. Panels make loads from a contiguous, give one kernel for a stored either way,
// and keep rows apart that would fall into the same lines of the caches.
//
// A lane's eight numbers of a panel lie side by side; a shuffle from a known lane brings each to all. Rows and columns
// behind the edge are those on the edge once more, and write the same bits again.

enable subgroups;

const LANES: u32 = 8u;
const RM: u32 = 32u;
const LOADS: u32 = 2u; // RM / (2 LANES): of a, for four k
const ACC: u32 = 64u; // 2 RM
const B_BY_ROW: bool = false;
const TOUCH: bool = false; // rows of b lie far apart
const BIAS_BY_ROW: bool = false;
const MASK: bool = false;
const RESUME: bool = false;
const BATCHED: bool = false;
const MOVED: bool = false; // columns behind the last are the last eight once more, of at least eight, not the last one
alias Vector = vec4<f32>; // eight numbers as two vectors, or as vec4<u64>
alias Row = vec4<f32>; // what b is read as: four numbers of a row if B_BY_ROW
alias Y = f32;

struct Dims {
  m: u32,
  n: u32,
  k: u32, // a multiple of 4
  k_per_split: u32, // a multiple of 4
  b_tile: u32, // from the b of one tile to that of the next, in eights
  b_step: u32, // from one k to the next, in eights
  eights: u32, // of a row
  first_split: u32,
  pitch: u32, // from one row of y to the next: N, or the pixels of a plane
  first: u32, // where there are planes, the pixel in all images where b begins
  skip: u32, // from a plane to the same of the next image, less a plane
  bias: u32,
  relu: u32,
  mask: u32,
  sums: u32,
  batch: u32,
  a_next: u32, // from one matrix to the next, in eights; 0 if there is one
  b_next: u32, // likewise, but in rows of four if B_BY_ROW
}

struct Eight {
  lo: vec4<f32>,
  hi: vec4<f32>,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<Vector>;
@group(0) @binding(2) var<storage, read> b: array<Row>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<Y>;
@group(0) @binding(5) var<storage, read_write> y: array<Y>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read> before: array<Y>;

fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
// Where columns of y lie within a row: where they are. For images, pixels of each follow those of all rows before.
fn place(n: vec4<u32>) -> vec4<u32> { return n; }
fn load_a(at: u32) -> Eight { return Eight(a[2u * at], a[2u * at + 1u]); }
fn load_b(at: u32) -> Eight { return Eight(b[2u * at], b[2u * at + 1u]); }
fn touch_b(at: u32) -> u32 { return bitcast<u32>(b[2u * at].x); }
fn row_b(at: u32) -> vec4<f32> { return b[at]; }
fn load_mask(at: vec4<u32>) -> vec4<f32> { return vec4<f32>(mask[at.x], mask[at.y], mask[at.z], mask[at.w]); }
fn load_before(at: vec4<u32>) -> vec4<f32> { return vec4<f32>(before[at.x], before[at.y], before[at.z], before[at.w]); }
fn store(at: vec4<u32>, v: vec4<f32>) { y[at.x] = v.x; y[at.y] = v.y; y[at.z] = v.z; y[at.w] = v.w; }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let m0 = tile.y * RM;
  let matrix = dims.first_split + tile.z;
  var item = 0u;
  var part = tile.z;
  if BATCHED {
    item = tile.z % dims.batch;
    part = tile.z / dims.batch;
  }
  let eight = min(tile.x * LANES + lane, dims.eights - 1u);
  let n0 = (tile.x * LANES + lane) * 8u;
  let first = min(part * dims.k_per_split, dims.k);
  let last = min(first + dims.k_per_split, dims.k);
  let lo = vec4<u32>(0u, 1u, 2u, 3u);
  var n_lo = min(vec4<u32>(n0) + lo, vec4<u32>(dims.n - 1u));
  var n_hi = min(vec4<u32>(n0 + 4u) + lo, vec4<u32>(dims.n - 1u));
  if MOVED {
    n_lo = vec4<u32>(min(n0, dims.n - 8u)) + lo;
    n_hi = n_lo + 4u;
  }

  let a_at = item * dims.a_next + tile.y * (dims.k * (RM / 8u)) + lane;
  let b0 = item * dims.b_next;
  let b_at = b0 + tile.x * dims.b_tile + eight - tile.x * LANES;
  let near = LANES / 4u; // four rows of b, two lines of the cache to a lane
  let touch_at = min(tile.x * LANES + lane % near * 4u, dims.eights - 1u);
  let touch_too = min(touch_at + 2u, dims.eights - 1u);
  var rows: array<u32, 8>;
  // unroll
  for (var j = 0u; j < 4u; j += 1u) {
    rows[j] = b0 + n_lo[j] * (dims.k / 4u);
    rows[j + 4u] = b0 + n_hi[j] * (dims.k / 4u);
  }
  let b_step = dims.b_step; // read here, because drivers read a uniform within a loop again and again
  let y_lo = place(n_lo);
  let y_hi = place(n_hi);

  var acc: array<vec4<f32>, ACC>;
  var touched = 0u;
  var sum_lo = vec4<f32>(0.0);
  var sum_hi = vec4<f32>(0.0);
  // unroll
  for (var i = 0u; i < ACC; i += 1u) {
    acc[i] = vec4<f32>(0.0);
  }
  let y0 = item * dims.m * dims.n;
  if RESUME && part == 0u {
    // unroll
    for (var i = 0u; i < RM; i += 1u) {
      let row = y0 + min(m0 + i, dims.m - 1u) * dims.pitch;
      acc[2u * i] = load_before(row + y_lo);
      acc[2u * i + 1u] = load_before(row + y_hi);
    }
  }
  for (var k0 = first; k0 < last; k0 += 4u) {
    if TOUCH {
      // Begins to fetch what is needed two turns later. All of it at once: one load after the other would wait for each.
      let ahead = b0 + min(k0 + 8u + lane / near, dims.k - 1u) * b_step;
      touched |= touch_b(ahead + touch_at) | touch_b(ahead + touch_too);
    }
    var a_lo: array<vec4<f32>, LOADS>;
    var a_hi: array<vec4<f32>, LOADS>;
    // unroll
    for (var i = 0u; i < LOADS; i += 1u) {
      let eight = load_a(a_at + k0 * (RM / 8u) + i * LANES);
      a_lo[i] = eight.lo;
      a_hi[i] = eight.hi;
      sum_lo += eight.lo;
      sum_hi += eight.hi;
    }
    var b_lo: array<vec4<f32>, 4>;
    var b_hi: array<vec4<f32>, 4>;
    if B_BY_ROW {
      // One column to a load: four k of it.
      var r: array<vec4<f32>, 8>;
      // unroll
      for (var j = 0u; j < 8u; j += 1u) {
        r[j] = row_b(rows[j] + k0 / 4u);
      }
      // unroll
      for (var kk = 0u; kk < 4u; kk += 1u) {
        b_lo[kk] = vec4<f32>(r[0u][kk], r[1u][kk], r[2u][kk], r[3u][kk]);
        b_hi[kk] = vec4<f32>(r[4u][kk], r[5u][kk], r[6u][kk], r[7u][kk]);
      }
    } else {
      // unroll
      for (var kk = 0u; kk < 4u; kk += 1u) {
        let eight = load_b(b_at + (k0 + kk) * b_step);
        b_lo[kk] = eight.lo;
        b_hi[kk] = eight.hi;
      }
    }
    // unroll
    for (var i = 0u; i < RM; i += 1u) {
      // unroll
      for (var kk = 0u; kk < 4u; kk += 1u) {
        let at = kk * RM + i;
        var left = 0.0;
        if at % 8u < 4u {
          left = subgroupShuffle(a_lo[at / 8u / LANES][at % 4u], at / 8u % LANES);
        } else {
          left = subgroupShuffle(a_hi[at / 8u / LANES][at % 4u], at / 8u % LANES);
        }
        acc[2u * i] += left * b_lo[kk];
        acc[2u * i + 1u] += left * b_hi[kk];
      }
    }
  }

  var bias_lo = vec4<f32>(0.0);
  var bias_hi = vec4<f32>(0.0);
  if BIAS_BY_ROW {
    // unroll
    for (var i = 0u; i < RM; i += 1u) {
      let number = bias[min(m0 + i, dims.m - 1u)];
      acc[2u * i] += number;
      acc[2u * i + 1u] += number;
    }
  } else {
    let biased = vec4<bool>(dims.bias != 0u);
    let at_lo = select(vec4<u32>(0u), n_lo, biased);
    let at_hi = select(vec4<u32>(0u), n_hi, biased);
    bias_lo = select(bias_lo, vec4<f32>(bias[at_lo.x], bias[at_lo.y], bias[at_lo.z], bias[at_lo.w]), biased);
    bias_hi = select(bias_hi, vec4<f32>(bias[at_hi.x], bias[at_hi.y], bias[at_hi.z], bias[at_hi.w]), biased);
  }
  if TOUCH {
    // What was touched must seem to be of use: there are always rows.
    bias_hi += vec4<f32>(select(0.0, f32(touched), dims.m == 0u));
  }
  // unroll
  for (var i = 0u; i < RM; i += 1u) {
    acc[2u * i] = activate(acc[2u * i] + bias_lo);
    acc[2u * i + 1u] = activate(acc[2u * i + 1u] + bias_hi);
  }
  // A loop, because drivers jump over its body where there is no mask; what an `if` guards they compute in any case.
  if MASK {
    for (var once = 0u; once < dims.mask; once += 1u) {
      // unroll
      for (var i = 0u; i < RM; i += 1u) {
        let row = y0 + min(m0 + i, dims.m - 1u) * dims.pitch;
        acc[2u * i] *= derivative(load_mask(row + y_lo));
        acc[2u * i + 1u] *= derivative(load_mask(row + y_hi));
      }
    }
  }
  // unroll
  for (var i = 0u; i < RM; i += 1u) {
    let row = matrix * dims.m * dims.n + min(m0 + i, dims.m - 1u) * dims.pitch;
    store(row + y_lo, acc[2u * i]);
    store(row + y_hi, acc[2u * i + 1u]);
  }
  for (var once = 0u; once < dims.sums; once += 1u) {
    // The lanes that hold rows 8 q.. are q, q + RM / 8, ..., each at other k.
    if RM / 8u < LANES {
      sum_lo += subgroupShuffleXor(sum_lo, RM / 8u);
      sum_hi += subgroupShuffleXor(sum_hi, RM / 8u);
    }
    if RM / 4u < LANES {
      sum_lo += subgroupShuffleXor(sum_lo, RM / 4u);
      sum_hi += subgroupShuffleXor(sum_hi, RM / 4u);
    }
    // unroll
    for (var i = 0u; i < 4u; i += 1u) {
      let row = m0 + lane % (RM / 8u) * 8u + i;
      sums[matrix * dims.m + min(row, dims.m - 1u)] = sum_lo[i];
      sums[matrix * dims.m + min(row + 4u, dims.m - 1u)] = sum_hi[i];
    }
  }
}
