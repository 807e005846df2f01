// Matrix product as in matmul, for GPUs: a workgroup computes a tile, its operands pass through workgroup memory.
//
//   y[m, n] = act(sum over k of a[m, k] * b[k, n] + bias[n]) * act'(mask[m, n]);  sums[m] = sum over k of a[m, k]
//
//   a     [M, K], or [K, M] if A_BY_ROW is false;  b  [N, K], or [K, N] if B_BY_ROW is false
//   bias  [N], read if BIAS;  mask [M, N], read if MASK
//   y     [splits][M, N], overwritten;  sums [splits][M], overwritten if SUMS
//   before [M, N], what is added: the sum over earlier k or another tensor, read if RESUME
//   If BATCHED, all but the bias are several matrices, as in matmul.
//
// Of BK values of k at a time the workgroup brings BM rows of a and BN columns of b into its memory, where each number
// is read by BN / TN or BM / TM invocations. The next numbers are on their way from global memory while these are
// multiplied. However an operand is stored, its tile is the same: by k, and there in vectors of which the four components
// are a quarter of the tile apart. So
//   - neighbouring invocations load neighbouring numbers, along whichever extent is contiguous, one by one: no extent
//     needs to be a multiple of anything, and what lies outside is clamped (rows, columns) or zero (k);
//   - a vector is stored and read whole, and a row of vectors is odd in number: neither meets a bank twice;
//   - neighbouring invocations write neighbouring results.
// 32 invocations in succession are 8 columns by 4 rows: what a subgroup reads is as little as can be.

const A_BY_ROW: bool = true;
const B_BY_ROW: bool = true;
const SUMS: bool = false;
const BIAS: bool = false;
const MASK: bool = false;
const RESUME: bool = false;
const BATCHED: bool = false;
const BM: u32 = 64u;
const BN: u32 = 64u;
const BK: u32 = 16u;
const MV: u32 = 2u; // TM / 4, vectors of rows of an invocation
const NV: u32 = 1u; // TN / 4, its vectors of columns
const TILE: u32 = 8u; // 4 * MV * NV
const COLUMNS: u32 = 16u; // BN / TN, invocations side by side: a multiple of 8
const THREADS: u32 = 128u; // COLUMNS * BM / TM
const A_LOADS: u32 = 2u; // vectors that an invocation brings: BM * BK / 4 / THREADS
const B_LOADS: u32 = 2u;
const A_PITCH: u32 = 17u; // BM / 4 + 1
const B_PITCH: u32 = 17u; // BN / 4 + 1

struct Dims {
  m: u32,
  n: u32,
  k: u32,
  tiles_m: u32,
  tiles_n: u32,
  k_per_split: u32, // a multiple of BK
  units: u32, // tiles_m * tiles_n * batch * splits
  batch: u32,
  a_step: u32, // from one matrix to the next, 0 if there is one
  b_step: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read> before: array<f32>;

// part memory
var<workgroup> tile_a: array<vec4<f32>, BK * A_PITCH>;
var<workgroup> tile_b: array<vec4<f32>, BK * B_PITCH>;

fn keep_a(at: u32, v: vec4<f32>) { tile_a[at] = v; }
fn keep_b(at: u32, v: vec4<f32>) { tile_b[at] = v; }
fn kept_a(at: u32, component: u32) -> f32 { return tile_a[at][component]; }
// end

var<private> item: u32; // of the batch

fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }

// Column and k of a vector of the tile, so that neighbours follow the contiguous extent.
fn slot(index: u32, by_row: bool, width: u32) -> vec2<u32> {
  return select(vec2<u32>(index % width, index / width), vec2<u32>(index / BK, index % BK), by_row);
}

// Four rows of a, a quarter of the tile apart, at one k.
fn load_a(m: u32, k: u32, last: u32) -> vec4<f32> {
  let rows = min(m + vec4<u32>(0u, 1u, 2u, 3u) * (BM / 4u), vec4<u32>(dims.m - 1u));
  let column = min(k, last - 1u);
  var at = select(column * dims.m + rows, rows * dims.k + column, A_BY_ROW);
  if BATCHED {
    at += item * dims.a_step;
  }
  return select(vec4<f32>(0.0), vec4<f32>(a[at.x], a[at.y], a[at.z], a[at.w]), k < last);
}

fn load_b(n: u32, k: u32, last: u32) -> vec4<f32> {
  let columns = min(n + vec4<u32>(0u, 1u, 2u, 3u) * (BN / 4u), vec4<u32>(dims.n - 1u));
  let row = min(k, last - 1u);
  var at = select(row * dims.n + columns, columns * dims.k + row, B_BY_ROW);
  if BATCHED {
    at += item * dims.b_step;
  }
  return select(vec4<f32>(0.0), vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]), k < last);
}

// Four columns, a quarter of the tile apart, and what is added to their results.
struct Place {
  columns: vec4<u32>,
  offset: vec4<f32>,
}

fn place(n: u32, matrix: u32) -> Place {
  var to = Place(n + vec4<u32>(0u, 1u, 2u, 3u) * (BN / 4u), vec4<f32>(0.0));
  if BIAS {
    let at = min(to.columns, vec4<u32>(dims.n - 1u));
    to.offset = vec4<f32>(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);
  }
  return to;
}

fn earlier(to: Place, matrix: u32, m: u32) -> vec4<f32> {
  let at = (matrix * dims.m + min(m, dims.m - 1u)) * dims.n + min(to.columns, vec4<u32>(dims.n - 1u));
  return vec4<f32>(before[at.x], before[at.y], before[at.z], before[at.w]);
}

// Writes what row `m` of a matrix comes to; those of splits follow those of the batch.
fn write(to: Place, matrix: u32, m: u32, sum: vec4<f32>) {
  if m < dims.m {
    let line = (matrix * dims.m + m) * dims.n;
    var v = activate(sum + to.offset);
    if MASK {
      let at = line + min(to.columns, vec4<u32>(dims.n - 1u));
      v *= derivative(vec4<f32>(mask[at.x], mask[at.y], mask[at.z], mask[at.w]));
    }
    let at = line + to.columns;
    let inside = to.columns < vec4<u32>(dims.n);
    if inside.x {
      y[at.x] = v.x;
    }
    if inside.y {
      y[at.y] = v.y;
    }
    if inside.z {
      y[at.z] = v.z;
    }
    if inside.w {
      y[at.w] = v.w;
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let unit = workgroup.x + workgroup.y * workgroups.x;
  if unit >= dims.units {
    return;
  }
  // Tiles below one another run together: they share columns of b.
  let m0 = unit % dims.tiles_m * BM;
  let tile_n = unit / dims.tiles_m % dims.tiles_n;
  let n0 = tile_n * BN;
  let matrix = unit / (dims.tiles_m * dims.tiles_n);
  if BATCHED {
    item = matrix % dims.batch;
  }
  let part = select(matrix, matrix / dims.batch, BATCHED);
  let first = part * dims.k_per_split;
  let last = min(first + dims.k_per_split, dims.k);
  var row_sum = 0.0;

  // part sums
  let block = local / 32u;
  let x = local % 8u + block % (COLUMNS / 8u) * 8u;
  let row = local / 8u % 4u + block / (COLUMNS / 8u) * 4u;
  var acc: array<vec4<f32>, TILE>;
  // unroll
  for (var i = 0u; i < TILE; i += 1u) {
    acc[i] = vec4<f32>(0.0);
  }
  // end

  // Two conditions, each seen to be the same for all invocations.
  if RESUME {
    if part == 0u {
      // part resume
      // unroll
      for (var j = 0u; j < NV; j += 1u) {
        let to = place(n0 + x + j * COLUMNS, matrix);
        // unroll
        for (var i = 0u; i < MV; i += 1u) {
          // unroll
          for (var e = 0u; e < 4u; e += 1u) {
            acc[(4u * i + e) * NV + j] = earlier(to, matrix, m0 + row + i * (BM / 4u / MV) + e * (BM / 4u));
          }
        }
      }
      // end
    }
  }

  var next_a: array<vec4<f32>, A_LOADS>;
  var next_b: array<vec4<f32>, B_LOADS>;
  // unroll
  for (var i = 0u; i < A_LOADS; i += 1u) {
    let at = slot(local + i * THREADS, A_BY_ROW, BM / 4u);
    next_a[i] = load_a(m0 + at.x, first + at.y, last);
  }
  // unroll
  for (var i = 0u; i < B_LOADS; i += 1u) {
    let at = slot(local + i * THREADS, B_BY_ROW, BN / 4u);
    next_b[i] = load_b(n0 + at.x, first + at.y, last);
  }
  for (var k0 = first; k0 < last; k0 += BK) {
    // unroll
    for (var i = 0u; i < A_LOADS; i += 1u) {
      let at = slot(local + i * THREADS, A_BY_ROW, BM / 4u);
      keep_a(at.y * A_PITCH + at.x, next_a[i]);
    }
    // unroll
    for (var i = 0u; i < B_LOADS; i += 1u) {
      let at = slot(local + i * THREADS, B_BY_ROW, BN / 4u);
      keep_b(at.y * B_PITCH + at.x, next_b[i]);
    }
    workgroupBarrier();
    if k0 + BK < last {
      // unroll
      for (var i = 0u; i < A_LOADS; i += 1u) {
        let at = slot(local + i * THREADS, A_BY_ROW, BM / 4u);
        next_a[i] = load_a(m0 + at.x, k0 + BK + at.y, last);
      }
      // unroll
      for (var i = 0u; i < B_LOADS; i += 1u) {
        let at = slot(local + i * THREADS, B_BY_ROW, BN / 4u);
        next_b[i] = load_b(n0 + at.x, k0 + BK + at.y, last);
      }
    }
    // part multiply
    // unroll
    for (var k = 0u; k < BK; k += 1u) {
      var left: array<vec4<f32>, MV>;
      var right: array<vec4<f32>, NV>;
      // unroll
      for (var i = 0u; i < MV; i += 1u) {
        left[i] = tile_a[k * A_PITCH + row + i * (BM / 4u / MV)];
      }
      // unroll
      for (var j = 0u; j < NV; j += 1u) {
        right[j] = tile_b[k * B_PITCH + x + j * COLUMNS];
      }
      // unroll
      for (var i = 0u; i < MV; i += 1u) {
        // unroll
        for (var e = 0u; e < 4u; e += 1u) {
          // unroll
          for (var j = 0u; j < NV; j += 1u) {
            acc[(4u * i + e) * NV + j] += left[i][e] * right[j];
          }
        }
      }
    }
    // end
    // The first tile of a row adds up what lies in the memory of its workgroup, an invocation for each row.
    if SUMS {
      if tile_n == 0u && local < BM {
        // unroll
        for (var k = 0u; k < BK; k += 1u) {
          row_sum += kept_a(k * A_PITCH + local % (BM / 4u), local / (BM / 4u));
        }
      }
    }
    workgroupBarrier();
  }

  // part results
  // unroll
  for (var j = 0u; j < NV; j += 1u) {
    let to = place(n0 + x + j * COLUMNS, matrix);
    // unroll
    for (var i = 0u; i < MV; i += 1u) {
      // unroll
      for (var e = 0u; e < 4u; e += 1u) {
        write(to, matrix, m0 + row + i * (BM / 4u / MV) + e * (BM / 4u), acc[(4u * i + e) * NV + j]);
      }
    }
  }
  // end
  if SUMS {
    if tile_n == 0u && local < BM && m0 + local < dims.m {
      sums[matrix * dims.m + m0 + local] = row_sum;
    }
  }
}
