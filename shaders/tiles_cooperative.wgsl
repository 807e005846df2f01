enable wgpu_cooperative_matrix;

// What matmul_tiles, conv_tiles and conv_weight_tiles do otherwise where a subgroup multiplies square matrices at once: each
// part here, from its name to its end, takes the place of theirs of that name. What stands outside of parts is there for
// this file to be a shader by itself. The extension, its types and functions are naga's: browsers and tint refuse them, and
// no plan for a browser has them, because WebGPU has no such feature to ask for.
//
// A subgroup keeps the sums of ROWS by COLS matrices, always in f32. Operands come to workgroup memory as before, by k, so a
// matrix of a is stored by columns and one of b by rows; the four components of a vector are now neighbours there, and
// rows and columns of the tile are in that order. Rows are whole multiples of 16 bytes, as Vulkan demands.
// Which invocation has which number of a matrix, nobody knows. So at the end the sums pass through workgroup memory, of
// each subgroup a strip of matrices at a time, and are written from there in vectors, as they would be otherwise.

const RESUME: bool = false;
const BM: u32 = 64u;
const BN: u32 = 64u;
const BK: u32 = 16u;
const THREADS: u32 = 128u;
const A_PITCH: u32 = 17u;
const B_PITCH: u32 = 17u;

struct Place {
  n: u32,
}

@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

fn place(n: u32, matrix: u32) -> Place { return Place(n + matrix); }
fn earlier(to: Place, matrix: u32, m: u32) -> vec4<f32> { return y[(matrix + m) * BN + to.n]; }
fn write(to: Place, matrix: u32, m: u32, sum: vec4<f32>) { y[(matrix + m) * BN + to.n] = sum; }

// part memory
const SIDE: u32 = 8u; // rows and columns of a matrix
const ROWS: u32 = 4u; // matrices of a subgroup, one below the other
const COLS: u32 = 4u; // and side by side
const ACROSS: u32 = 2u; // subgroups side by side
const LANES: u32 = 32u; // invocations of a subgroup; if there are fewer, several subgroups compute the same

alias Number = f32; // operands
alias Left = coop_mat8x8<f32, A>;
alias Right = coop_mat8x8<f32, B>;
alias Sum = coop_mat8x8<f32, C>;

var<workgroup> tile_a: array<Number, 4u * BK * A_PITCH>;
var<workgroup> tile_b: array<Number, 4u * BK * B_PITCH>;
var<workgroup> strips: array<f32, THREADS / LANES * SIDE * COLS * SIDE>;

fn keep_a(at: u32, v: vec4<f32>) {
  tile_a[4u * at] = Number(v.x);
  tile_a[4u * at + 1u] = Number(v.y);
  tile_a[4u * at + 2u] = Number(v.z);
  tile_a[4u * at + 3u] = Number(v.w);
}

fn keep_b(at: u32, v: vec4<f32>) {
  tile_b[4u * at] = Number(v.x);
  tile_b[4u * at + 1u] = Number(v.y);
  tile_b[4u * at + 2u] = Number(v.z);
  tile_b[4u * at + 3u] = Number(v.w);
}

fn kept_a(at: u32, component: u32) -> f32 { return f32(tile_a[4u * at + component]); }

// The row of the tile to which vector `at` of all strips belongs, if they are those of the matrices `r` from above.
fn strip_row(at: u32, r: u32) -> u32 {
  let line = (at / (SIDE * COLS * SIDE / 4u) / ACROSS * ROWS + r) * SIDE + at / (COLS * SIDE / 4u) % SIDE;
  return line / 4u + line % 4u * (BM / 4u);
}

// The first of its columns.
fn strip_column(at: u32) -> u32 {
  return at / (SIDE * COLS * SIDE / 4u) % ACROSS * (COLS * SIDE / 4u) + at % (COLS * SIDE / 4u);
}
// end

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let m0 = workgroup.x * BM;
  let n0 = workgroup.y * BN;
  let matrix = workgroup.z;
  keep_a(local, vec4<f32>(1.0));
  keep_b(local, vec4<f32>(kept_a(local, 0u)));

  // part sums
  let subgroup = local / LANES;
  let top = subgroup / ACROSS * (ROWS * SIDE);
  let left_edge = subgroup % ACROSS * (COLS * SIDE);
  let strip = subgroup * (SIDE * COLS * SIDE);
  var acc: array<Sum, ROWS * COLS>;
  // unroll
  for (var i = 0u; i < ROWS * COLS; i += 1u) {
    acc[i] = Sum();
  }
  // end

  if RESUME {
    // part resume
    // unroll
    for (var r = 0u; r < ROWS; r += 1u) {
      for (var at = local; at < THREADS / LANES * SIDE * COLS * SIDE / 4u; at += THREADS) {
        let v = earlier(place(n0 + strip_column(at), matrix), matrix, m0 + strip_row(at, r));
        strips[4u * at] = v.x;
        strips[4u * at + 1u] = v.y;
        strips[4u * at + 2u] = v.z;
        strips[4u * at + 3u] = v.w;
      }
      workgroupBarrier();
      // unroll
      for (var c = 0u; c < COLS; c += 1u) {
        acc[r * COLS + c] = coopLoadT<Sum>(&strips[strip + c * SIDE], COLS * SIDE);
      }
      workgroupBarrier();
    }
    // end
  }

  workgroupBarrier();
  // part multiply
  // unroll
  for (var k = 0u; k < BK; k += SIDE) {
    var left: array<Left, ROWS>;
    var right: array<Right, COLS>;
    // unroll
    for (var r = 0u; r < ROWS; r += 1u) {
      left[r] = coopLoad<Left>(&tile_a[k * 4u * A_PITCH + top + r * SIDE], 4u * A_PITCH);
    }
    // unroll
    for (var c = 0u; c < COLS; c += 1u) {
      right[c] = coopLoadT<Right>(&tile_b[k * 4u * B_PITCH + left_edge + c * SIDE], 4u * B_PITCH);
    }
    // unroll
    for (var r = 0u; r < ROWS; r += 1u) {
      // unroll
      for (var c = 0u; c < COLS; c += 1u) {
        acc[r * COLS + c] = coopMultiplyAdd(left[r], right[c], acc[r * COLS + c]);
      }
    }
  }
  // end

  // part results
  // unroll
  for (var r = 0u; r < ROWS; r += 1u) {
    // unroll
    for (var c = 0u; c < COLS; c += 1u) {
      coopStoreT(acc[r * COLS + c], &strips[strip + c * SIDE], COLS * SIDE);
    }
    workgroupBarrier();
    for (var at = local; at < THREADS / LANES * SIDE * COLS * SIDE / 4u; at += THREADS) {
      let v = vec4<f32>(strips[4u * at], strips[4u * at + 1u], strips[4u * at + 2u], strips[4u * at + 3u]);
      write(place(n0 + strip_column(at), matrix), matrix, m0 + strip_row(at, r), v);
    }
    workgroupBarrier();
  }
  // end
}
