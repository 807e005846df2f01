// Gradient of a normalisation, from the sums of its rows.
//
//   dx[i] = rstd * (g - (b + xhat * a) / LENGTH),   xhat = (x - mean) * rstd,   g = dy * weight
//
//   dy, x, dx [ROWS, LENGTH],  mean, rstd, a, b [ROWS] (see norm_sums),  weight read if WEIGHT,
//   dx overwritten

const WEIGHT: bool = true;

struct Dims {
  length: u32,
  weights: u32,
  inner: u32,
  count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;
@group(0) @binding(5) var<storage, read> weight: array<f32>;
@group(0) @binding(6) var<storage, read> a: array<f32>;
@group(0) @binding(7) var<storage, read> b: array<f32>;
@group(0) @binding(8) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let row = index / dims.length;
  var g = dy[index];
  if WEIGHT {
    g *= weight[index / dims.inner % dims.weights];
  }
  let xhat = (x[index] - mean[row]) * rstd[row];
  dx[index] = rstd[row] * (g - (b[row] + xhat * a[row]) / f32(dims.length));
}
