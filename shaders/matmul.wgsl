// Matrix product in registers, for operands stored either way.
//
//   y[m, n] = act(sum over k of a[m, k] * b[k, n] + bias[n]) * act'(mask[m, n])
//   sums[m] = sum over k of a[m, k]
//
//   a     [M, K], or [K, M] if A_BY_ROW is false
//   b     [N, K], or [K, N] if B_BY_ROW is false: "by row" means that K is contiguous
//   bias  [N], read if BIAS;  mask [M, N], read if MASK
//   y     [splits][M, N], overwritten;  sums [splits][M], overwritten if SUMS
//   before [M, N], what is added: the sum over earlier k or another tensor, read if RESUME
//
// If BATCHED, all but the bias are as many matrices as the batch counts, one after the other; but one a, or one b, may
// meet all of the other's. Partial results are [splits][batch][M, N].
//
// An invocation computes a TM x TN tile for one range of K (the epilogue applies only where there is one range). Per
// four k it reads TM + TN vectors and makes 4 TM TN multiplications, so the tile decides the speed. Without workgroup
// memory and barriers it runs on CPU drivers too. Vectors are read whole where the contiguous extent is a multiple of
// four (A_VECTOR, B_VECTOR replace the loads), one element at a time otherwise.

const A_BY_ROW: bool = true;
const B_BY_ROW: bool = true;
const SUMS: bool = false;
const BIAS: bool = false;
const MASK: bool = false;
const RESUME: bool = false;
const BATCHED: bool = false;
const EDGE: bool = true; // a tile is larger than the matrix
const TM: u32 = 4u;
const TN: u32 = 8u;
const NV: u32 = 2u; // TN / 4
const MV: u32 = 1u; // TM / 4
const TILE: u32 = 8u; // TM * NV
alias A = f32;
alias B = f32;

struct Dims {
  m: u32,
  n: u32,
  k: u32,
  tiles_m: u32,
  tiles_n: u32,
  k_per_split: u32, // a multiple of 4
  invocations: u32,
  batch: u32,
  a_step: u32, // from one matrix to the next, 0 if there is one
  b_step: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<A>;
@group(0) @binding(2) var<storage, read> b: array<B>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read> before: array<f32>;

fn activate(v: f32) -> f32 { return v; }
fn derivative(v: f32) -> f32 { return 1.0; }

// Four neighbours from `at` on; those from `end` on are zero.
fn load_a(at: u32, end: u32) -> vec4<f32> { let i = min(vec4<u32>(at, at + 1u, at + 2u, at + 3u), vec4<u32>(max(end, 1u) - 1u)); return select(vec4<f32>(0.0), vec4<f32>(a[i.x], a[i.y], a[i.z], a[i.w]), vec4<u32>(at, at + 1u, at + 2u, at + 3u) < vec4<u32>(end)); }
fn load_b(at: u32, end: u32) -> vec4<f32> { let i = min(vec4<u32>(at, at + 1u, at + 2u, at + 3u), vec4<u32>(max(end, 1u) - 1u)); return select(vec4<f32>(0.0), vec4<f32>(b[i.x], b[i.y], b[i.z], b[i.w]), vec4<u32>(at, at + 1u, at + 2u, at + 3u) < vec4<u32>(end)); }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.invocations {
    return;
  }
  // A tile that would reach behind the last row or column is moved back: it writes again what its neighbour writes.
  let n0 = min(index % dims.tiles_n * TN, max(dims.n, TN) - TN);
  let m0 = min(index / dims.tiles_n % dims.tiles_m * TM, max(dims.m, TM) - TM);
  let matrix = index / (dims.tiles_n * dims.tiles_m);
  var item = 0u;
  var part = matrix;
  if BATCHED {
    item = matrix % dims.batch;
    part = matrix / dims.batch;
  }
  let a0 = item * dims.a_step;
  let b0 = item * dims.b_step;
  let y0 = item * dims.m * dims.n;
  let first = part * dims.k_per_split;
  let last = min(first + dims.k_per_split, dims.k);

  var acc: array<vec4<f32>, TILE>;
  var row_sums: array<f32, TM>;
  // unroll
  for (var i = 0u; i < TILE; i += 1u) {
    acc[i] = vec4<f32>(0.0);
  }
  // unroll
  for (var i = 0u; i < TM; i += 1u) {
    row_sums[i] = 0.0;
  }
  if RESUME && part == 0u {
    // unroll
    for (var j = 0u; j < TN; j += 1u) {
      // unroll
      for (var i = 0u; i < TM; i += 1u) {
        acc[i * NV + j / 4u][j % 4u] = before[y0 + min(m0 + i, dims.m - 1u) * dims.n + min(n0 + j, dims.n - 1u)];
      }
    }
  }
  for (var k0 = first; k0 < last; k0 += 4u) {
    // av[i] holds a[m0 + i, k0..k0 + 4], or a[m0 + 4 (i % MV).., k0 + i / MV] where K is not contiguous.
    var av: array<vec4<f32>, TM>;
    var bv: array<vec4<f32>, TN>;
    // unroll
    for (var i = 0u; i < TM; i += 1u) {
      if A_BY_ROW {
        let row = a0 + min(m0 + i, dims.m - 1u) * dims.k;
        av[i] = load_a(row + k0, row + last);
      } else {
        let row = a0 + min(k0 + i / MV, last - 1u) * dims.m;
        let v = load_a(row + min(m0 + 4u * (i % MV), dims.m - 1u), row + dims.m);
        av[i] = select(vec4<f32>(0.0), v, k0 + i / MV < last);
      }
    }
    // unroll
    for (var i = 0u; i < TN; i += 1u) {
      if B_BY_ROW {
        let row = b0 + min(n0 + i, dims.n - 1u) * dims.k;
        bv[i] = load_b(row + k0, row + last);
      } else {
        let row = b0 + min(k0 + i / NV, last - 1u) * dims.n;
        let v = load_b(row + min(n0 + 4u * (i % NV), dims.n - 1u), row + dims.n);
        bv[i] = select(vec4<f32>(0.0), v, k0 + i / NV < last);
      }
    }
    // unroll
    for (var i = 0u; i < TM; i += 1u) {
      // unroll
      for (var kk = 0u; kk < 4u; kk += 1u) {
        var left = 0.0;
        if A_BY_ROW {
          left = av[i][kk];
        } else {
          left = av[kk * MV + i / 4u][i % 4u];
        }
        if SUMS {
          row_sums[i] += left;
        }
        // unroll
        for (var j = 0u; j < NV; j += 1u) {
          if B_BY_ROW {
            acc[i * NV + j] += left * vec4<f32>(bv[4u * j][kk], bv[4u * j + 1u][kk], bv[4u * j + 2u][kk], bv[4u * j + 3u][kk]);
          } else {
            acc[i * NV + j] += left * bv[kk * NV + j];
          }
        }
      }
    }
  }

  // unroll
  for (var j = 0u; j < TN; j += 1u) {
    let n = n0 + j;
    var offset = 0.0;
    if BIAS {
      offset = bias[min(n, dims.n - 1u)];
    }
    // unroll
    for (var i = 0u; i < TM; i += 1u) {
      let at = (m0 + i) * dims.n + n;
      if !EDGE || (m0 + i < dims.m && n < dims.n) {
        var v = activate(acc[i * NV + j / 4u][j % 4u] + offset);
        if MASK {
          v *= derivative(mask[y0 + at]);
        }
        y[matrix * dims.m * dims.n + at] = v;
      }
    }
  }
  if SUMS {
    // unroll
    for (var i = 0u; i < TM; i += 1u) {
      if !EDGE || m0 + i < dims.m {
        sums[matrix * dims.m + m0 + i] = row_sums[i];
      }
    }
  }
}
