// Normalises rows whose statistics are known.
//
//   y[i] = activate((x[i] - mean[i / LENGTH]) * rstd[i / LENGTH] * weight[i / INNER % WEIGHTS] + bias[likewise])
//
//   x, y [ROWS, LENGTH],  mean, rstd [ROWS],  weight read if WEIGHT, bias if BIAS;  y overwritten

const WEIGHT: bool = true;
const BIAS: bool = true;

struct Dims {
  length: u32,
  weights: u32,
  inner: u32,
  count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

fn activate(v: f32) -> f32 { return v; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let row = index / dims.length;
  let c = index / dims.inner % dims.weights;
  var v = (x[index] - mean[row]) * rstd[row];
  if WEIGHT {
    v *= weight[c];
  }
  if BIAS {
    v += bias[c];
  }
  y[index] = activate(v);
}
