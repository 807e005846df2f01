// Batch normalisation with given coefficients.
//
//   y[n, c, i] = act((x[n, c, i] - mean[c]) * scale[c] + bias[c] + residual[n, c, i])
//
//   x, residual, y [N, C, HW] in vectors T of 4 or 1 elements,  coefficients [C, 4] of batch_norm_merge: mean, -, scale, bias
//   residual read if RESIDUAL;  y overwritten

alias T = f32;
const RESIDUAL: bool = false;

struct Dims {
  c: u32,
  plane: u32, // vectors of a plane
  count: u32, // vectors in all
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read> coefficients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> residual: array<T>;
@group(0) @binding(4) var<storage, read_write> y: array<T>;

fn activate(v: T) -> T { return v; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i >= dims.count {
    return;
  }
  let k = coefficients[i / dims.plane % dims.c];
  var v = (x[i] - T(k.x)) * k.z + T(k.w);
  if RESIDUAL {
    v += residual[i];
  }
  y[i] = activate(v);
}
