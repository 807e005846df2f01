// Gradients of a convolution by its weight and its bias as in conv_weight, for GPUs: as a product of matrices of which
// the right one is never stored, tile by tile in workgroup memory.
//
//   dw[k, c, r, s] = sum over n, oh, ow of dy[n, k, oh, ow] * x[n, c, oh * stride + r * dilation - padding, ...]
//   db[k]          = sum over n, oh, ow of dy[n, k, oh, ow]
//
//   x   [N, C, H, W],  dy [N, K, OH, OW]
//   dw  [splits][K, C / groups, R, S],  db [splits][K], both overwritten; reduce_splits adds the splits up
//
// The product has a row for each channel of dy in a group, a column for each (c, r, s), and sums over positions (n, oh,
// ow). Those are many and the result is small, so they are cut into splits. An invocation loads the same channels and
// taps each time; in the loop it has to find the position that it is at. Both operands are read along positions, where
// neighbours lie beside one another. The rest is as in matmul_tiles.

const R: u32 = 3u;
const S: u32 = 3u;
const PADDED: bool = true; // a window can reach beyond x
const BIAS: bool = false;
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
  groups: u32,
  group_channels: u32,
  h: i32,
  w: i32,
  group_outputs: u32,
  oh: u32,
  ow: u32,
  stride_h: i32,
  stride_w: i32,
  dilation_h: i32,
  dilation_w: i32,
  padding_h: i32,
  padding_w: i32,
  positions: u32, // N * OH * OW
  tiles_m: u32,
  tiles_n: u32,
  per_split: u32, // positions, a multiple of BK
  first_split: u32, // of those of all blocks of samples
  units: u32, // groups * tiles_m * tiles_n * splits
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

// part memory
var<workgroup> tile_a: array<vec4<f32>, BK * A_PITCH>;
var<workgroup> tile_b: array<vec4<f32>, BK * B_PITCH>;

fn keep_a(at: u32, v: vec4<f32>) { tile_a[at] = v; }
fn keep_b(at: u32, v: vec4<f32>) { tile_b[at] = v; }
fn kept_a(at: u32, component: u32) -> f32 { return tile_a[at][component]; }
// end

// One position, or zeros from `last` on.
struct Position {
  inside: bool,
  image: u32, // n * groups + group
  pixel: u32, // oh * OW + ow
  ih: i32, // where its window begins
  iw: i32,
}

fn position_at(k: u32, last: u32, group: u32) -> Position {
  let at = min(k, last - 1u);
  let line = at / dims.ow;
  let oh = line % dims.oh;
  let ow = at % dims.ow;
  return Position(
    k < last,
    line / dims.oh * dims.groups + group,
    oh * dims.ow + ow,
    i32(oh) * dims.stride_h - dims.padding_h,
    i32(ow) * dims.stride_w - dims.padding_w,
  );
}

// Gradients of four channels, a quarter of the tile apart.
fn load_a(at: Position, m: u32) -> vec4<f32> {
  let rows = min(m + vec4<u32>(0u, 1u, 2u, 3u) * (BM / 4u), vec4<u32>(dims.group_outputs - 1u));
  let source = (at.image * dims.group_outputs + rows) * (dims.oh * dims.ow) + at.pixel;
  return select(vec4<f32>(0.0), vec4<f32>(dy[source.x], dy[source.y], dy[source.z], dy[source.w]), at.inside);
}

// Pixels that four taps, a quarter of the tile apart, meet.
fn load_b(at: Position, n: u32) -> vec4<f32> {
  let columns = min(n + vec4<u32>(0u, 1u, 2u, 3u) * (BN / 4u), vec4<u32>(dims.group_channels * (R * S) - 1u));
  let tap = columns % (R * S);
  let ih = at.ih + vec4<i32>(tap / S) * dims.dilation_h;
  let iw = at.iw + vec4<i32>(tap % S) * dims.dilation_w;
  var inside = vec4<bool>(at.inside);
  if PADDED {
    inside = inside & (vec4<u32>(ih) < vec4<u32>(u32(dims.h))) & (vec4<u32>(iw) < vec4<u32>(u32(dims.w)));
  }
  let plane = vec4<i32>(at.image * dims.group_channels + columns / (R * S));
  let source = select(vec4<i32>(0), (plane * dims.h + ih) * dims.w + iw, inside);
  return select(vec4<f32>(0.0), vec4<f32>(x[source.x], x[source.y], x[source.z], x[source.w]), inside);
}

// Four columns, a quarter of the tile apart.
struct Place {
  columns: vec4<u32>,
}

fn place(n: u32, matrix: u32) -> Place { return Place(n + vec4<u32>(0u, 1u, 2u, 3u) * (BN / 4u)); }

fn write(to: Place, matrix: u32, m: u32, sum: vec4<f32>) {
  let columns = dims.group_channels * (R * S);
  if m < dims.group_outputs {
    let at = (matrix * dims.group_outputs + m) * columns + to.columns;
    let inside = to.columns < vec4<u32>(columns);
    if inside.x {
      dw[at.x] = sum.x;
    }
    if inside.y {
      dw[at.y] = sum.y;
    }
    if inside.z {
      dw[at.z] = sum.z;
    }
    if inside.w {
      dw[at.w] = sum.w;
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
  // All tiles of a split run together: they share its positions.
  let m0 = unit % dims.tiles_m * BM;
  let tile_n = unit / dims.tiles_m % dims.tiles_n;
  let n0 = tile_n * BN;
  let group = unit / (dims.tiles_m * dims.tiles_n) % dims.groups;
  let part = unit / (dims.tiles_m * dims.tiles_n * dims.groups);
  let first = part * dims.per_split;
  let last = min(first + dims.per_split, dims.positions);
  let matrix = (dims.first_split + part) * dims.groups + group; // of results

  // Every time an invocation brings numbers of one position.
  let mine = local % BK;
  let line = local / BK;

  var row_sum = 0.0;

  // part sums
  let block = local / 32u;
  let column = local % 8u + block % (COLUMNS / 8u) * 8u;
  let row = local / 8u % 4u + block / (COLUMNS / 8u) * 4u;
  var acc: array<vec4<f32>, TILE>;
  // unroll
  for (var i = 0u; i < TILE; i += 1u) {
    acc[i] = vec4<f32>(0.0);
  }
  // end

  var next_a: array<vec4<f32>, A_LOADS>;
  var next_b: array<vec4<f32>, B_LOADS>;
  let begin = position_at(first + mine, last, group);
  // unroll
  for (var i = 0u; i < A_LOADS; i += 1u) {
    next_a[i] = load_a(begin, m0 + line + i * (THREADS / BK));
  }
  // unroll
  for (var i = 0u; i < B_LOADS; i += 1u) {
    next_b[i] = load_b(begin, n0 + line + i * (THREADS / BK));
  }
  for (var k0 = first; k0 < last; k0 += BK) {
    // unroll
    for (var i = 0u; i < A_LOADS; i += 1u) {
      keep_a(mine * A_PITCH + line + i * (THREADS / BK), next_a[i]);
    }
    // unroll
    for (var i = 0u; i < B_LOADS; i += 1u) {
      keep_b(mine * B_PITCH + line + i * (THREADS / BK), next_b[i]);
    }
    workgroupBarrier();
    if k0 + BK < last {
      let next = position_at(k0 + BK + mine, last, group);
      // unroll
      for (var i = 0u; i < A_LOADS; i += 1u) {
        next_a[i] = load_a(next, m0 + line + i * (THREADS / BK));
      }
      // unroll
      for (var i = 0u; i < B_LOADS; i += 1u) {
        next_b[i] = load_b(next, n0 + line + i * (THREADS / BK));
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
        right[j] = tile_b[k * B_PITCH + column + j * COLUMNS];
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
    // The first tile of a row adds up what lies in the memory of its workgroup, an invocation for each channel.
    if BIAS {
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
    let to = place(n0 + column + j * COLUMNS, matrix);
    // unroll
    for (var i = 0u; i < MV; i += 1u) {
      // unroll
      for (var e = 0u; e < 4u; e += 1u) {
        write(to, matrix, m0 + row + i * (BM / 4u / MV) + e * (BM / 4u), acc[(4u * i + e) * NV + j]);
      }
    }
  }
  // end
  if BIAS {
    if tile_n == 0u && local < BM && m0 + local < dims.group_outputs {
      db[matrix * dims.group_outputs + m0 + local] = row_sum;
    }
  }
}
