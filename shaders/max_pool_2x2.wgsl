// Maximum over windows of 2x2 side by side that cover an even image, and which pixel of its window each maximum is.
//
//   y[p, oh, ow] = max over r, s of x[p, 2 oh + r, 2 ow + s],  argmax = 2 r + s of the first maximum, a byte each
//
//   x [P, 2 OH, 2 OW] in pairs,  y [P, OH, OW] in vectors,  argmax: bytes, four to a word; y and argmax overwritten
//
// What max_pool computes, where no window reaches over an edge and results come in fours. Rows of all planes follow one
// another, so that the pairs of result i in column c lie at 2 i - c and OW behind it. An invocation takes four results:
// a load costs CPU drivers the same for a pair as for a number, and an integer division more than several of them.

struct Dims {
  ow: u32,
  vectors: u32, // P * OH * OW / 4
  per_ow: f32, // 1 / OW
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> argmax: array<u32>;

const EXACT: bool = false;

// i / by, from a reciprocal and mended by one: drivers divide lane by lane. EXACT where that may not be enough.
fn divided(i: u32, by: u32, reciprocal: f32) -> u32 {
  if EXACT {
    return i / by;
  }
  let q = u32(f32(i) * reciprocal);
  let rest = i32(i) - i32(q * by);
  return u32(i32(q) + select(0, 1, rest >= i32(by)) - select(0, 1, rest < 0));
}

fn is_nan(v: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let vector = id.x + id.y * groups.x * 64u;
  if vector >= dims.vectors {
    return;
  }
  let first = 4u * vector;
  let i = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
  var column = i - vec4<u32>(divided(first, dims.ow, dims.per_ow) * dims.ow);
  // Narrow rows end several times within a vector.
  // unroll
  for (var turn = 0; turn < 3; turn += 1) {
    column -= select(vec4<u32>(0u), vec4<u32>(dims.ow), column >= vec4<u32>(dims.ow));
  }
  let top = 2u * i - column;
  let bottom = top + vec4<u32>(dims.ow);
  let a = array<vec2<f32>, 4>(x[top.x], x[top.y], x[top.z], x[top.w]);
  let b = array<vec2<f32>, 4>(x[bottom.x], x[bottom.y], x[bottom.z], x[bottom.w]);
  let pixels = array<vec4<f32>, 4>(
    vec4<f32>(a[0].x, a[1].x, a[2].x, a[3].x),
    vec4<f32>(a[0].y, a[1].y, a[2].y, a[3].y),
    vec4<f32>(b[0].x, b[1].x, b[2].x, b[3].x),
    vec4<f32>(b[0].y, b[1].y, b[2].y, b[3].y),
  );
  var best = pixels[0];
  var position = vec4<u32>(0u);
  // unroll
  for (var k = 1u; k < 4u; k += 1u) {
    // NaN counts as the largest number; it is recognised by its bits because compilers may fold x != x.
    let better = (pixels[k] > best) | (is_nan(pixels[k]) & !is_nan(best));
    best = select(best, pixels[k], better);
    position = select(position, vec4<u32>(k), better);
  }
  y[vector] = best;
  argmax[vector] = position.x | (position.y << 8u) | (position.z << 16u) | (position.w << 24u);
}
