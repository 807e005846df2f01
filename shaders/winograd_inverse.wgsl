// Sums of products brought back to images, or to the gradient of filters, on any adapter: L p L^T.
//
//   y[n, k, oh, ow] = act(bias[k] + (L p L^T)[oh, ow]) * act'(mask[n, k, oh, ow]),  L = A^T, p of a channel's tile
//   y[k, c] = L p L^T,  L = G^T, if FILTER
//
//   p     [SIDE * SIDE][rows][columns]: a row for each k, a column for each tile of all images, or for each c
//   bias  [K], read if BIAS;  mask [N, K, OH, OW], read if MASK
//   y     [N, K, OH, OW], the tiles at hand, or [K, C, 3, 3]: overwritten, each number by one invocation, after its mask was
//         read, so that masks may lie where results go
//
// The counterpart of winograd_transform, and of winograd_output and winograd_weight for CPU drivers.

const FILTER: bool = false;
const BIAS: bool = false;
const MASK: bool = false;
const SIDE: i32 = 6;
const MADE: i32 = 4; // rows and columns of results
const L = array<f32, 24>(1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.70710677, -0.70710677, 1.4142135, -1.4142135, 0.0, 0.0, 0.5, 0.5, 2.0, 2.0, 0.0, 0.0, 0.35355338, -0.35355338, 2.828427, -2.828427, 1.0);

struct Dims {
  first_row: i32, // of all
  rows: i32, // at hand
  columns: i32,
  channels: i32, // K
  oh: i32,
  ow: i32,
  tiles_h: i32,
  tiles_w: i32,
  first: i32, // tile of this dispatch
  tiles: i32, // of all images
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn activate(v: f32) -> f32 { return v; }
fn derivative(v: f32) -> f32 { return 1.0; }
fn load_mask(at: i32) -> f32 { return mask[at]; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.rows * dims.columns {
    return;
  }
  let row = dims.first_row + index / dims.columns;
  let tile = dims.first + index % dims.columns;
  if !FILTER && tile >= dims.tiles {
    return;
  }
  var d: array<f32, 36>;
  // unroll
  for (var i = 0; i < SIDE; i += 1) {
    // unroll
    for (var j = 0; j < SIDE; j += 1) {
      d[i * SIDE + j] = p[(i * SIDE + j) * dims.rows * dims.columns + index];
    }
  }
  var half: array<f32, 24>;
  // unroll
  for (var i = 0; i < MADE; i += 1) {
    // unroll
    for (var j = 0; j < SIDE; j += 1) {
      var sum = 0.0;
      // unroll
      for (var k = 0; k < SIDE; k += 1) {
        sum += L[i * SIDE + k] * d[k * SIDE + j];
      }
      half[i * SIDE + j] = sum;
    }
  }
  var offset = 0.0;
  if BIAS {
    offset = bias[row];
  }
  let row0 = tile / dims.tiles_w % dims.tiles_h * MADE;
  let column0 = tile % dims.tiles_w * MADE;
  let plane = (tile / (dims.tiles_w * dims.tiles_h) * dims.channels + row) * dims.oh;
  // unroll
  for (var i = 0; i < MADE; i += 1) {
    // unroll
    for (var j = 0; j < MADE; j += 1) {
      var sum = 0.0;
      // unroll
      for (var k = 0; k < SIDE; k += 1) {
        sum += half[i * SIDE + k] * L[j * SIDE + k];
      }
      if FILTER {
        y[(dims.first_row * dims.columns + index) * 9 + i * 3 + j] = sum;
      } else if row0 + i < dims.oh && column0 + j < dims.ow {
        let at = (plane + row0 + i) * dims.ow + column0 + j;
        var value = activate(sum + offset);
        if MASK {
          value *= derivative(load_mask(at));
        }
        y[at] = value;
      }
    }
  }
}
