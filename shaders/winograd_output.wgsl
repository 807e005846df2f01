// Sums of products brought back to images, the last step of Winograd's convolution.
//
//   y[n, k, oh, ow] = act(bias[k] + (A^T p[xi, tile, k] A)[oh, ow]) * act'(mask[n, k, oh, ow])
//
//   p     [SIDE * SIDE][blocks][quads][32][4]: blocks of 32 tiles, quads of 4 channels
//   bias  [K], read if dims.bias is 1;  mask [N, K, OH, OW], read if MASK
//   y     [N, K, OH, OW], overwritten: the channels and tiles at hand
//
// Lanes as in winograd_tiles. What a tile has behind the edge of the image, and a quad behind the last channel, is the last
// row, column or channel once more: the same bits, and no store needs a condition. The masks of a channel's tile are read
// before any of it is written, and each element belongs to one tile, so that masks may lie where results go.

const LANES: u32 = 8u;
const M: i32 = 4;
const SIDE: i32 = 6; // M + 2
const MASK: bool = false;
alias Y = f32; // of y and mask, as many as divide OW, at most M

struct Dims {
  channels: i32, // K
  first_channel: i32,
  quads: i32, // at hand
  oh: i32,
  ow: i32,
  tiles_h: i32,
  tiles_w: i32,
  first: i32, // tile of this dispatch
  tiles: i32, // of all dispatches
  blocks: i32, // of this dispatch
  bias: u32,
  relu: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> p: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<Y>;
@group(0) @binding(4) var<storage, read_write> y: array<Y>; // read before it is written

fn activate(v: vec4<f32>) -> vec4<f32> { return v; }
fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
// Of `room` columns that there are, those that each of four falls on.
fn columns(room: i32) -> vec4<i32> { return min(vec4<i32>(0, 1, 2, 3), vec4<i32>(room - 1)); }
fn shifted(v: vec4<f32>, room: i32) -> vec4<f32> { let z = select(select(v.x, v.y, room > 1), v.z, room > 2); return vec4<f32>(v.x, select(v.x, v.y, room > 1), z, select(z, v.w, room > 3)); }
fn load_mask(at: vec4<i32>) -> vec4<f32> { return vec4<f32>(mask[at.x], mask[at.y], mask[at.z], mask[at.w]); }
fn store(at: vec4<i32>, v: vec4<f32>) { y[at.x] = v.x; y[at.y] = v.y; y[at.z] = v.z; y[at.w] = v.w; }

fn transform(m: array<vec4<f32>, 6>) -> array<vec4<f32>, 4> {
  if M == 2 {
    let zero = vec4<f32>(0.0);
    return array<vec4<f32>, 4>((m[0] + m[1]) + m[2], (m[1] - m[2]) - m[3], zero, zero);
  }
  let near = m[1] + m[2];
  let near_odd = m[1] - m[2];
  let far = m[3] + m[4];
  let far_odd = m[3] - m[4];
  return array<vec4<f32>, 4>(
    (m[0] + near) + far,
    0.70710677 * near_odd + 1.4142135 * far_odd,
    0.5 * near + 2.0 * far,
    (0.35355338 * near_odd + 2.828427 * far_odd) + m[5],
  );
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = i32(workgroup.y);
  let quad = min(i32(workgroup.x * LANES + lane), dims.quads - 1);
  let channel0 = dims.first_channel + quad * 4;
  let first = dims.first + block * 32;
  var tx = first % dims.tiles_w;
  var ty = first / dims.tiles_w % dims.tiles_h;
  var n = first / (dims.tiles_w * dims.tiles_h);
  let at = (block * dims.quads + quad) * 32;
  let stride = dims.blocks * dims.quads * 32;
  var offsets = vec4<f32>(0.0);
  if dims.bias != 0u {
    let source = min(vec4<i32>(channel0) + vec4<i32>(0, 1, 2, 3), vec4<i32>(dims.channels - 1));
    offsets = vec4<f32>(bias[source.x], bias[source.y], bias[source.z], bias[source.w]);
  }
  let count = min(32, dims.tiles - first);
  let oh = dims.oh;
  let ow = dims.ow;
  for (var tile = 0; tile < count; tile += 1) {
    var half: array<vec4<f32>, 24>;
    // unroll
    for (var j = 0; j < SIDE; j += 1) {
      var line: array<vec4<f32>, 6>;
      // unroll
      for (var i = 0; i < SIDE; i += 1) {
        line[i] = p[at + (i * SIDE + j) * stride + tile];
      }
      let values = transform(line);
      // unroll
      for (var i = 0; i < M; i += 1) {
        half[i * 6 + j] = values[i];
      }
    }
    var results: array<vec4<f32>, 16>;
    // unroll
    for (var i = 0; i < M; i += 1) {
      var line: array<vec4<f32>, 6>;
      // unroll
      for (var j = 0; j < SIDE; j += 1) {
        line[j] = half[i * 6 + j];
      }
      let values = transform(line);
      // unroll
      for (var j = 0; j < M; j += 1) {
        results[i * 4 + j] = activate(values[j] + offsets);
      }
    }
    let row0 = ty * M;
    let room = ow - tx * M;
    var rows: array<vec4<f32>, M>;
    // unroll
    for (var c = 0; c < 4; c += 1) {
      let known = channel0 + c < dims.channels;
      let plane = (n * dims.channels + min(channel0 + c, dims.channels - 1)) * oh;
      // unroll
      for (var i = 0; i < M; i += 1) {
        let source = vec4<i32>((plane + min(row0 + i, oh - 1)) * ow + tx * M) + columns(room);
        var values = vec4<f32>(results[i * 4][c], results[i * 4 + 1][c], results[i * 4 + 2][c], results[i * 4 + 3][c]);
        if MASK {
          values *= derivative(load_mask(source));
        }
        rows[i] = select(rows[i], shifted(values, room), vec4<bool>(known));
      }
      // unroll
      for (var i = 0; i < M; i += 1) {
        if i > 0 {
          rows[i] = select(rows[max(i - 1, 0)], rows[i], vec4<bool>(row0 + i < oh));
        }
        let to = vec4<i32>((plane + min(row0 + i, oh - 1)) * ow + tx * M) + columns(room);
        store(to, rows[i]);
      }
    }
    let line_done = tx + 1 == dims.tiles_w;
    tx = select(tx + 1, 0, line_done);
    ty += select(0, 1, line_done);
    let image_done = ty == dims.tiles_h;
    ty = select(ty, 0, image_done);
    n += select(0, 1, image_done);
  }
}
