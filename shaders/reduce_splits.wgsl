// The sum of partial results, in ascending order, for two tensors at once.
//
//   a[i] = sum over p of a_parts[p * a_count + i],   b[i] = sum over p of b_parts[p * b_count + i]
//
// Both are overwritten; b_count is 0 where there is only one.

struct Dims {
  parts: u32,
  a_count: u32,
  b_count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a_parts: array<f32>;
@group(0) @binding(2) var<storage, read> b_parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> a: array<f32>;
@group(0) @binding(4) var<storage, read_write> b: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  var sum = 0.0;
  if index < dims.a_count {
    for (var p = 0u; p < dims.parts; p += 1u) {
      sum += a_parts[p * dims.a_count + index];
    }
    a[index] = sum;
  } else if index < dims.a_count + dims.b_count {
    let i = index - dims.a_count;
    for (var p = 0u; p < dims.parts; p += 1u) {
      sum += b_parts[p * dims.b_count + i];
    }
    b[i] = sum;
  }
}
