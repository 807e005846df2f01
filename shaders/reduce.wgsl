// Sum over one axis, in pieces.
//
//   y[part, outer, inner] = scale * sum over i in the part of x[outer, i, inner]
//
//   x [OUTER, LENGTH, INNER],  y [parts][OUTER, INNER] overwritten
//
// One invocation sums one piece; pieces are short because a long chain of additions is slow, inaccurate, and on some
// CPU drivers cut off without a word after 65,535 iterations. reduce_splits adds the pieces up.

struct Dims {
  outer: u32,
  length: u32,
  inner: u32,
  per_part: u32,
  scale: f32,
  invocations: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.invocations {
    return;
  }
  let inner = index % dims.inner;
  let outer = index / dims.inner % dims.outer;
  let first = index / (dims.inner * dims.outer) * dims.per_part;
  let last = min(first + dims.per_part, dims.length);
  var sum = 0.0;
  for (var i = first; i < last; i += 1u) {
    sum += x[(outer * dims.length + i) * dims.inner + inner];
  }
  y[index] = sum * dims.scale;
}
