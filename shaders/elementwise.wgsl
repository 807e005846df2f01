// A function of one or two tensors of the same shape, four elements to an invocation.
//
//   y[i] = apply(a[i], b[i])
//
//   a, b, y [count], count in vectors of four (tensors are padded to whole vectors); y overwritten
//
// apply is replaced by the function at hand; b is bound to nothing where there is one operand.

struct Dims {
  count: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn second(i: u32) -> vec4<f32> { return vec4<f32>(0.0); }
fn apply(a: vec4<f32>, b: vec4<f32>, scale: f32) -> vec4<f32> { return a; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i < dims.count {
    y[i] = apply(a[i], second(i), dims.scale);
  }
}
