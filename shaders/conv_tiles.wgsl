// Convolution as in conv, for GPUs: as a product of matrices whose right one is never stored, tile by tile in workgroup
// memory.
//
//   y[n, k, oh, ow] = act(bias[k] + sum over c, r, s of w[k, c, r, s] * x[n, c, ih, iw]) * act'(mask[n, k, oh, ow])
//   ih = oh * stride + r * dilation - padding,  x is zero outside of its extents
//
//   x     [N, C, H, W]
//   w     [K, C / groups, R, S]; if FLIPPED [C, K / groups, filter], of which R by S taps are meant, from `start` backwards:
//         the gradient by the input is a convolution with the transposed, flipped filter, and for stride > 1 one such
//         convolution with a part of the taps for each phase of the output
//   bias  [K], read if BIAS
//   mask  [N, K, YH, YW], the result of an activation, read if MASK
//   y     [N, K, YH, YW], overwritten at rows oh * out_stride + out_offset (columns likewise), each element once
//
// The product has a row for each channel of a group, a column for each position (n, oh, ow), and sums over (c, r, s). An
// invocation always loads the same four positions, so all that is left to be found out in the loop is which tap of
// which channel is meant: two divisions by constants, once for four numbers. The rest is as in matmul_tiles.

const R: u32 = 3u;
const S: u32 = 3u;
const FLIPPED: bool = false;
const PADDED: bool = true; // a window can reach beyond x
const BIAS: bool = false;
const MASK: bool = false;
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
  yh: u32,
  yw: u32,
  out_stride_h: u32,
  out_stride_w: u32,
  out_offset_h: u32,
  out_offset_w: u32,
  positions: u32, // N * OH * OW
  tiles_m: u32,
  tiles_n: u32,
  units: u32, // groups * tiles_m * tiles_n
  stored_taps: u32, // taps of a stored filter
  start: u32, // where the first one that is meant lies in it
  row_step: u32, // from there back to the next row of those that are meant
  tap_step: u32, // and to the next one of a row
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

// part memory
var<workgroup> tile_a: array<vec4<f32>, BK * A_PITCH>;
var<workgroup> tile_b: array<vec4<f32>, BK * B_PITCH>;

fn keep_a(at: u32, v: vec4<f32>) { tile_a[at] = v; }
fn keep_b(at: u32, v: vec4<f32>) { tile_b[at] = v; }
// end

fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
fn load_mask(at: vec4<u32>) -> vec4<f32> { return vec4<f32>(mask[at.x], mask[at.y], mask[at.z], mask[at.w]); }

// Weights of four channels, a quarter of the tile apart, at one k.
fn load_a(group: u32, m: u32, k: u32, terms: u32) -> vec4<f32> {
  let rows = min(m + vec4<u32>(0u, 1u, 2u, 3u) * (BM / 4u), vec4<u32>(dims.group_outputs - 1u));
  let term = min(k, terms - 1u);
  var at = (group * dims.group_outputs + rows) * terms + term;
  if FLIPPED {
    let tap = term % (R * S);
    let channel = group * dims.group_channels + term / (R * S);
    at = (channel * dims.group_outputs + rows) * dims.stored_taps + dims.start - tap / S * dims.row_step - tap % S * dims.tap_step;
  }
  return select(vec4<f32>(0.0), vec4<f32>(w[at.x], w[at.y], w[at.z], w[at.w]), k < terms);
}

// Four positions at one k: `corner` is where the window of each begins in x, in rows `ih` and columns `iw`.
fn load_b(corner: vec4<i32>, ih: vec4<i32>, iw: vec4<i32>, k: u32, terms: u32) -> vec4<f32> {
  let tap = k % (R * S);
  let down = i32(tap / S) * dims.dilation_h;
  let across = i32(tap % S) * dims.dilation_w;
  var inside = vec4<bool>(k < terms);
  if PADDED {
    let rows = vec4<u32>(ih + down) < vec4<u32>(u32(dims.h));
    inside = inside & rows & (vec4<u32>(iw + across) < vec4<u32>(u32(dims.w)));
  }
  let offset = (i32(k / (R * S)) * dims.h + down) * dims.w + across;
  let at = select(vec4<i32>(0), corner + offset, inside);
  return select(vec4<f32>(0.0), vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
}

// Where the results of a row go at four positions, a quarter of the tile apart: those of channel 0 of a group.
struct Place {
  inside: vec4<bool>,
  at: vec4<u32>,
}

fn place(n: u32, group: u32) -> Place {
  let columns = n + vec4<u32>(0u, 1u, 2u, 3u) * (BN / 4u);
  let position = min(columns, vec4<u32>(dims.positions - 1u));
  let position_row = position / dims.ow;
  let y_row = position_row % dims.oh * dims.out_stride_h + dims.out_offset_h;
  let y_column = position % dims.ow * dims.out_stride_w + dims.out_offset_w;
  let first = position_row / dims.oh * (dims.groups * dims.group_outputs) + group * dims.group_outputs;
  return Place(columns < vec4<u32>(dims.positions), (first * dims.yh + y_row) * dims.yw + y_column);
}

fn write(to: Place, group: u32, m: u32, sum: vec4<f32>) {
  if m < dims.group_outputs {
    var offset = 0.0;
    if BIAS {
      offset = bias[group * dims.group_outputs + m];
    }
    var v = activate(sum + offset);
    let at = to.at + m * (dims.yh * dims.yw);
    if MASK {
      v *= derivative(load_mask(at));
    }
    if to.inside.x {
      y[at.x] = v.x;
    }
    if to.inside.y {
      y[at.y] = v.y;
    }
    if to.inside.z {
      y[at.z] = v.z;
    }
    if to.inside.w {
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
  // Tiles below one another run together: they share pixels.
  let m0 = unit % dims.tiles_m * BM;
  let n0 = unit / dims.tiles_m % dims.tiles_n * BN;
  let matrix = unit / (dims.tiles_m * dims.tiles_n); // that of a group
  let terms = dims.group_channels * (R * S);

  // Of a tile of x an invocation brings the same columns each time, and every THREADS / (BN / 4)-th row.
  let brought = local % (BN / 4u);
  let line = local / (BN / 4u);
  let source = min(n0 + brought + vec4<u32>(0u, 1u, 2u, 3u) * (BN / 4u), vec4<u32>(dims.positions - 1u));
  let source_row = source / dims.ow;
  let image = vec4<i32>(source_row / dims.oh * dims.groups + matrix) * i32(dims.group_channels);
  let ih = vec4<i32>(source_row % dims.oh) * dims.stride_h - dims.padding_h;
  let iw = vec4<i32>(source % dims.ow) * dims.stride_w - dims.padding_w;
  let corner = (image * dims.h + ih) * dims.w + iw;

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
  // unroll
  for (var i = 0u; i < A_LOADS; i += 1u) {
    let at = local + i * THREADS;
    next_a[i] = load_a(matrix, m0 + at / BK, at % BK, terms);
  }
  // unroll
  for (var i = 0u; i < B_LOADS; i += 1u) {
    next_b[i] = load_b(corner, ih, iw, line + i * (4u * THREADS / BN), terms);
  }
  for (var k0 = 0u; k0 < terms; k0 += BK) {
    // unroll
    for (var i = 0u; i < A_LOADS; i += 1u) {
      let at = local + i * THREADS;
      keep_a(at % BK * A_PITCH + at / BK, next_a[i]);
    }
    // unroll
    for (var i = 0u; i < B_LOADS; i += 1u) {
      keep_b((line + i * (4u * THREADS / BN)) * B_PITCH + brought, next_b[i]);
    }
    workgroupBarrier();
    if k0 + BK < terms {
      // unroll
      for (var i = 0u; i < A_LOADS; i += 1u) {
        let at = local + i * THREADS;
        next_a[i] = load_a(matrix, m0 + at / BK, k0 + BK + at % BK, terms);
      }
      // unroll
      for (var i = 0u; i < B_LOADS; i += 1u) {
        next_b[i] = load_b(corner, ih, iw, k0 + BK + line + i * (4u * THREADS / BN), terms);
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
}
