// From moments to the coefficients of a batch normalisation, and the running statistics.
//
//   coefficients[c] = (mean, 1 / sqrt(var + eps), weight / sqrt(var + eps), bias)
//   running = (1 - momentum) running + momentum batch, with the unbiased variance
//
//   moments [C][pieces] of batch_norm_moments,  weight, bias [C],  running_mean, running_var [C] updated in place
//   coefficients [C, 4] overwritten
//
// Pieces are merged in ascending order by the rule of Chan, Golub and LeVeque (1983). With pieces = 0 mean and variance
// are the running ones, as outside of training.

struct Dims {
  c: u32,
  pieces: u32,
  eps: f32,
  momentum: f32, // 0: the running statistics stay
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> moments: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(6) var<storage, read_write> coefficients: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let c = id.x + id.y * groups.x * 64u;
  if c >= dims.c {
    return;
  }
  var mean = running_mean[c];
  var variance = running_var[c];
  if dims.pieces > 0u {
    var n = 0.0;
    var m = 0.0;
    var squares = 0.0;
    for (var p = 0u; p < dims.pieces; p += 1u) {
      let part = moments[c * dims.pieces + p];
      let d = part.x - m;
      let share = part.z / (n + part.z);
      squares += part.y + d * d * (n * share);
      m += d * share;
      n += part.z;
    }
    if dims.momentum > 0.0 {
      running_mean[c] = mean + dims.momentum * (m - mean);
      running_var[c] = variance + dims.momentum * (squares / (n - 1.0) - variance);
    }
    mean = m;
    variance = squares / n;
  }
  let inverse = 1.0 / sqrt(variance + dims.eps);
  coefficients[c] = vec4<f32>(mean, inverse, weight[c] * inverse, bias[c]);
}
