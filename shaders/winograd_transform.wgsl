// Numbers brought to where a convolution with 3x3 filters is a product of matrices, on any adapter: v[xi] = (L d L^T)[xi].
//
//   windows    d the SIDE x SIDE window of x that the results of a tile depend on, L = B^T: a row of v for each channel, a
//              column for each tile of all images
//   gradients  d the tile of x itself, L = A, likewise
//   filters    if FILTER, d the taps of w, L = G: a row for each k and a column for each c; backward, with FLIPPED taps, a row
//              for each c and a column for each k
//
//   x  [N, C, H, W], zero outside, or w [K, C, 3, 3]
//   v  [SIDE * SIDE][rows][columns], overwritten; columns behind the last tile are zero
//
// What winograd_tiles and winograd_filter do for CPU drivers, one transform to an invocation: neighbours read windows side by
// side, and write numbers side by side. L has zeros, and is multiplied by nonetheless: memory takes longer.

const FILTER: bool = false;
const FLIPPED: bool = false;
const SIDE: i32 = 6;
const TAKEN: i32 = 6; // rows and columns of d
const STEP: i32 = 4; // from tile to tile
const L = array<f32, 36>(1.0, 0.0, -2.5, 0.0, 1.0, 0.0, 0.0, -1.4142135, -2.0, 0.70710677, 1.0, 0.0, 0.0, 1.4142135, -2.0, -0.70710677, 1.0, 0.0, 0.0, -0.70710677, -0.5, 1.4142135, 1.0, 0.0, 0.0, 0.70710677, -0.5, -1.4142135, 1.0, 0.0, 0.0, 1.0, 0.0, -2.5, 0.0, 1.0);

struct Dims {
  first_row: i32, // of all
  rows: i32, // at hand
  columns: i32,
  channels: i32, // C
  h: i32,
  w: i32,
  tiles_h: i32,
  tiles_w: i32,
  padding_h: i32,
  padding_w: i32,
  first: i32, // tile of this dispatch
  tiles: i32, // of all images
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.rows * dims.columns {
    return;
  }
  let row = dims.first_row + index / dims.columns;
  let column = index % dims.columns;
  var d: array<f32, 36>;
  if FILTER {
    var at = (row * dims.columns + column) * 9;
    if FLIPPED {
      at = (column * dims.channels + row) * 9;
    }
    // unroll
    for (var i = 0; i < TAKEN; i += 1) {
      // unroll
      for (var j = 0; j < TAKEN; j += 1) {
        if FLIPPED {
          d[i * TAKEN + j] = x[at + 8 - (i * 3 + j)];
        } else {
          d[i * TAKEN + j] = x[at + i * 3 + j];
        }
      }
    }
  } else {
    let tile = dims.first + column;
    let row0 = tile / dims.tiles_w % dims.tiles_h * STEP - dims.padding_h;
    let column0 = tile % dims.tiles_w * STEP - dims.padding_w;
    let plane = (tile / (dims.tiles_w * dims.tiles_h) * dims.channels + row) * dims.h;
    // unroll
    for (var i = 0; i < TAKEN; i += 1) {
      let y = row0 + i;
      let row_inside = tile < dims.tiles && y >= 0 && y < dims.h;
      // unroll
      for (var j = 0; j < TAKEN; j += 1) {
        let inside = row_inside && column0 + j >= 0 && column0 + j < dims.w;
        d[i * TAKEN + j] = select(0.0, x[select(0, (plane + y) * dims.w + column0 + j, inside)], inside);
      }
    }
  }
  var half: array<f32, 36>;
  // unroll
  for (var i = 0; i < SIDE; i += 1) {
    // unroll
    for (var j = 0; j < TAKEN; j += 1) {
      var sum = 0.0;
      // unroll
      for (var k = 0; k < TAKEN; k += 1) {
        sum += L[i * TAKEN + k] * d[k * TAKEN + j];
      }
      half[i * TAKEN + j] = sum;
    }
  }
  // unroll
  for (var i = 0; i < SIDE; i += 1) {
    // unroll
    for (var j = 0; j < SIDE; j += 1) {
      var sum = 0.0;
      // unroll
      for (var k = 0; k < TAKEN; k += 1) {
        sum += half[i * TAKEN + k] * L[j * TAKEN + k];
      }
      v[(i * SIDE + j) * dims.rows * dims.columns + index] = sum;
    }
  }
}
