// y[i] = value, four elements to an invocation; y [count] vectors, overwritten.

struct Dims {
  count: u32,
  value: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i < dims.count {
    y[i] = vec4<f32>(dims.value);
  }
}
