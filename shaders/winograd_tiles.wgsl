// Tiles of images brought to where convolutions with 3x3 filters are products (S. Winograd; A. Lavin and S. Gray 2015).
//
//   v[xi, tile, c] = (B^T d B)[xi],  d the SIDE x SIDE window of x that the M x M results of a tile depend on
//   v[xi, tile, c] = (A d A^T)[xi]   if GRADIENT, d the M x M tile itself; sums[block, c] = sum of d over a block's tiles
//
//   x     [N, C, H, W], zero outside
//   v     [SIDE * SIDE][blocks][quads][32][4], overwritten: blocks of 32 tiles, quads of 4 channels. Tiles behind the last
//         and channels behind the last are zero.
//   sums  [all blocks][all quads][4], overwritten if SUMS
//
// A polynomial with five coefficients is known by its values at four points and its leading coefficient, one with as many
// as SIDE by SIDE - 1 values and that; at these points a convolution is a product. F(2x2) takes 0, 1, -1 and infinity.
// F(4x4) takes 0, +-sqrt(1/2), +-sqrt(2) and infinity: with these, rounding costs a fifth of what it does with the +-1 and
// +-2 of the paper, because no power of a point gets large.
//
// One subgroup to a workgroup, four channels to a lane, a block of tiles one after the other: where a tile lies is the same
// for all lanes, and counted, because CPU drivers divide lane by lane. Windows overlap: what the next one along x needs of
// this one is kept, of 72 vectors in whole rows of F(4x4) 48.

const LANES: u32 = 8u;
const M: i32 = 4;
const SIDE: i32 = 6; // M + 2
const TAKEN: i32 = 6; // rows and columns of d
const GRADIENT: bool = false;
const SUMS: bool = false;
const IN: i32 = 1; // pixels to a vector of x: W and where windows begin are multiples of it
const OFFSET: i32 = 0; // pixels before the window, so that it begins with a whole vector
const VECTORS: i32 = 6; // OFFSET + TAKEN in vectors, rounded up
const WIDTH: i32 = 6; // VECTORS * IN
const KEPT: i32 = 2; // VECTORS - M / IN: of a row of a window, the first of the next one
const ALL_KEPT: u32 = 48u; // 4 * TAKEN * KEPT, at least one
alias X = f32;

struct Dims {
  channels: i32,
  first_quad: i32,
  quads: i32, // at hand
  h: i32,
  w: i32,
  tiles_h: i32,
  tiles_w: i32,
  padding_h: i32,
  padding_w: i32,
  first: i32, // tile of this dispatch
  tiles: i32, // of all dispatches
  blocks: i32, // of this dispatch
  first_sums: i32, // block
  all_quads: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

fn part(v: X, i: i32) -> f32 { return v; }
fn vector(line: i32, column: i32, w: i32, row_inside: bool) -> X { let inside = row_inside && column >= 0 && column < w; return select(X(), x[u32(select(0, line + column, inside)) / u32(IN)], inside); }

fn transform(d: array<vec4<f32>, 6>) -> array<vec4<f32>, 6> {
  let zero = vec4<f32>(0.0);
  if M == 2 && GRADIENT {
    return array<vec4<f32>, 6>(d[0], d[0] + d[1], d[0] - d[1], -d[1], zero, zero);
  }
  if M == 2 {
    return array<vec4<f32>, 6>(d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3], zero, zero);
  }
  if GRADIENT {
    let near = d[0] + 0.5 * d[2];
    let near_odd = 0.70710677 * (d[1] + 0.5 * d[3]);
    let far = d[0] + 2.0 * d[2];
    let far_odd = 1.4142135 * (d[1] + 2.0 * d[3]);
    return array<vec4<f32>, 6>(d[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, d[3]);
  }
  let near = d[4] - 2.0 * d[2];
  let near_odd = 0.70710677 * (d[3] - 2.0 * d[1]);
  let far = d[4] - 0.5 * d[2];
  let far_odd = 1.4142135 * (d[3] - 0.5 * d[1]);
  let first = (d[0] + d[4]) - 2.5 * d[2];
  let last = (d[1] + d[5]) - 2.5 * d[3];
  return array<vec4<f32>, 6>(first, near + near_odd, near - near_odd, far + far_odd, far - far_odd, last);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = i32(workgroup.y);
  let quad = min(i32(workgroup.x * LANES + lane), dims.quads - 1);
  let first = dims.first + block * 32;
  var tx = first % dims.tiles_w;
  var ty = first / dims.tiles_w % dims.tiles_h;
  var n = first / (dims.tiles_w * dims.tiles_h);
  let at = (block * dims.quads + quad) * 32;
  let stride = dims.blocks * dims.quads * 32;
  let channels = dims.channels;
  let h = dims.h;
  let w = dims.w;
  let channel0 = (dims.first_quad + quad) * 4;
  var total = vec4<f32>(0.0);
  var kept: array<X, ALL_KEPT>;
  // Products are of 32 or 16 tiles.
  let count = min(32, (dims.tiles - first + 15) / 16 * 16);
  for (var tile = 0; tile < count; tile += 1) {
    let row0 = ty * M - dims.padding_h;
    let column0 = tx * M - dims.padding_w - OFFSET;
    let known = first + tile < dims.tiles;
    // A loop, because drivers jump over its body; what an `if` guards they compute in any case.
    let begins = select(0, 1, KEPT > 0 && (tile == 0 || tx == 0));
    for (var once = 0; once < begins; once += 1) {
      // unroll
      for (var c = 0; c < 4; c += 1) {
        let plane = (n * channels + channel0 + c) * h;
        // unroll
        for (var i = 0; i < TAKEN; i += 1) {
          let row = row0 + i;
          let row_inside = known && channel0 + c < channels && row >= 0 && row < h;
          // unroll
          for (var j = 0; j < KEPT; j += 1) {
            kept[(c * TAKEN + i) * KEPT + j] = vector((plane + row) * w, column0 + j * IN, w, row_inside);
          }
        }
      }
    }
    var d: array<vec4<f32>, 36>;
    // unroll
    for (var c = 0; c < 4; c += 1) {
      let plane = (n * channels + channel0 + c) * h;
      // unroll
      for (var i = 0; i < TAKEN; i += 1) {
        let row = row0 + i;
        let row_inside = known && channel0 + c < channels && row >= 0 && row < h;
        var read: array<X, VECTORS>;
        // unroll
        for (var j = 0; j < KEPT; j += 1) {
          read[j] = kept[(c * TAKEN + i) * KEPT + j];
        }
        // unroll
        for (var j = KEPT; j < VECTORS; j += 1) {
          read[j] = vector((plane + row) * w, column0 + j * IN, w, row_inside);
        }
        // unroll
        for (var j = 0; j < KEPT; j += 1) {
          kept[(c * TAKEN + i) * KEPT + j] = read[VECTORS - KEPT + j];
        }
        var pixels: array<f32, WIDTH>;
        // unroll
        for (var j = 0; j < VECTORS; j += 1) {
          // unroll
          for (var e = 0; e < IN; e += 1) {
            pixels[j * IN + e] = part(read[j], e);
          }
        }
        // unroll
        for (var j = 0; j < TAKEN; j += 1) {
          d[i * 6 + j][c] = pixels[OFFSET + j];
        }
      }
    }
    if SUMS {
      // unroll
      for (var i = 0; i < TAKEN; i += 1) {
        // unroll
        for (var j = 0; j < TAKEN; j += 1) {
          total += d[i * 6 + j];
        }
      }
    }
    // unroll
    for (var j = 0; j < TAKEN; j += 1) {
      var line: array<vec4<f32>, 6>;
      // unroll
      for (var i = 0; i < TAKEN; i += 1) {
        line[i] = d[i * 6 + j];
      }
      let values = transform(line);
      // unroll
      for (var i = 0; i < SIDE; i += 1) {
        d[i * 6 + j] = values[i];
      }
    }
    // unroll
    for (var i = 0; i < SIDE; i += 1) {
      var line: array<vec4<f32>, 6>;
      // unroll
      for (var j = 0; j < TAKEN; j += 1) {
        line[j] = d[i * 6 + j];
      }
      let values = transform(line);
      // unroll
      for (var j = 0; j < SIDE; j += 1) {
        v[at + (i * SIDE + j) * stride + tile] = values[j];
      }
    }
    let line_done = tx + 1 == dims.tiles_w;
    tx = select(tx + 1, 0, line_done);
    ty += select(0, 1, line_done);
    let image_done = ty == dims.tiles_h;
    ty = select(ty, 0, image_done);
    n += select(0, 1, image_done);
  }
  if SUMS {
    sums[(dims.first_sums + block) * dims.all_quads + dims.first_quad + quad] = total;
  }
}
