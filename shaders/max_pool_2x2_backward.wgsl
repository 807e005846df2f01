// Gradient of max_pool_2x2: a window hands its gradient to its maximum and zero to its other pixels.
//
//   dx[p, 2 oh + r, 2 ow + s] = (2 r + s == argmax[p, oh, ow]) ? dy[p, oh, ow] * act'(mask[p, oh, ow]) : 0
//
//   dy [P, OH, OW] in vectors,  argmax: bytes, four to a word,  dx [P, 2 OH, 2 OW] in pairs, overwritten
//   mask [P, OH, OW], read if MASK: the maxima, which are what their pixels hold
//
// An invocation takes four windows, which lie as in max_pool_2x2.

const MASK: bool = false;

struct Dims {
  ow: u32,
  vectors: u32, // P * OH * OW / 4
  per_ow: f32, // 1 / OW
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> argmax: array<u32>;
@group(0) @binding(3) var<storage, read> mask: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec2<f32>>;

const EXACT: bool = false;

fn derivative(v: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }

// i / by, from a reciprocal and mended by one: drivers divide lane by lane. EXACT where that may not be enough.
fn divided(i: u32, by: u32, reciprocal: f32) -> u32 {
  if EXACT {
    return i / by;
  }
  let q = u32(f32(i) * reciprocal);
  let rest = i32(i) - i32(q * by);
  return u32(i32(q) + select(0, 1, rest >= i32(by)) - select(0, 1, rest < 0));
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
  var grad = dy[vector];
  if MASK {
    grad *= derivative(mask[vector]);
  }
  let word = argmax[vector];
  let position = vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) & vec4<u32>(255u);
  let zero = vec4<f32>(0.0);
  let a = select(zero, grad, position == vec4<u32>(0u));
  let b = select(zero, grad, position == vec4<u32>(1u));
  let c = select(zero, grad, position == vec4<u32>(2u));
  let d = select(zero, grad, position == vec4<u32>(3u));
  // unroll
  for (var k = 0; k < 4; k += 1) {
    dx[top[k]] = vec2<f32>(a[k], b[k]);
    dx[bottom[k]] = vec2<f32>(c[k], d[k]);
  }
}
