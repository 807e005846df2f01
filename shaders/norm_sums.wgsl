// The two sums that the gradients of a normalisation need, over rows or over what shares a weight, in pieces.
//
//   a = sum of g * xhat,   b = sum of g,   xhat = (x - mean) * rstd,   g = dy * weight, or dy without WEIGHT
//
//   dy, x [ROWS, LENGTH],  mean, rstd [ROWS],  weight [WEIGHTS] read if WEIGHT,  a, b [parts][RESULTS], both overwritten
//
// With BY_ROW a result belongs to a row: its terms are neighbours. Otherwise it belongs to a weight: runs of `inner` terms
// lie `weights * inner` apart. Pieces stay short, see reduce; reduce_splits adds them up.

const BY_ROW: bool = false;
const WEIGHT: bool = false;

struct Dims {
  length: u32,
  weights: u32,
  inner: u32,
  results: u32,
  terms: u32,
  per_part: u32,
  invocations: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;
@group(0) @binding(5) var<storage, read> weight: array<f32>;
@group(0) @binding(6) var<storage, read_write> a: array<f32>;
@group(0) @binding(7) var<storage, read_write> b: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.invocations {
    return;
  }
  let result = index % dims.results;
  let first = index / dims.results * dims.per_part;
  let last = min(first + dims.per_part, dims.terms);
  var center = 0.0;
  var scale = 0.0;
  if BY_ROW {
    center = mean[result];
    scale = rstd[result];
  }
  var products = 0.0;
  var sum = 0.0;
  for (var i = first; i < last; i += 1u) {
    var at = result * dims.length + i;
    if !BY_ROW {
      at = (i / dims.inner * dims.weights + result) * dims.inner + i % dims.inner;
      center = mean[at / dims.length];
      scale = rstd[at / dims.length];
    }
    var g = dy[at];
    if WEIGHT {
      g *= weight[at / dims.inner % dims.weights];
    }
    products += g * ((x[at] - center) * scale);
    sum += g;
  }
  a[index] = products;
  b[index] = sum;
}
