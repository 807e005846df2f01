// Continues an axis beyond its ends with what lies there: its edges (replicate), or its mirror image (reflect).
//
//   y[o, j, k] = x[o, source(j - before), k]
//
//   replicate: source(p) = min(max(p, 0), L - 1)
//   reflect:   source(p) = |p|, or 2 (L - 1) - |p| beyond the end; the edge itself is not repeated
//
//   x [outer, L, inner],  y [outer, before + L + after, inner], overwritten

struct Dims {
  length: i32,
  padded: i32,
  inner: i32,
  before: i32,
  count: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn source(p: i32) -> i32 { return clamp(p, 0, dims.length - 1); }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let row = index / dims.inner;
  let outer = row / dims.padded;
  let position = row - outer * dims.padded;
  let at = outer * dims.length + source(position - dims.before);
  y[index] = x[at * dims.inner + index - row * dims.inner];
}
