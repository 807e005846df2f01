// Adam (Kingma and Ba 2014) and AdamW (Loshchilov and Hutter 2017), for all parameters at once (PyTorch's forms).
//
//   Adam:   g = grad + weight_decay * w           AdamW:  g = grad, w = w - lr * weight_decay * w
//   m = m + (1 - beta1) (g - m);  v = beta2 * v + (1 - beta2) g^2
//   w = w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
//   w, grad, m, v [4 HALVES count]: the arenas; w, m and v are updated in place. lr and both bias corrections are
//   the step's, computed on the host in f64. skipped, clipped and averaged are replaced where the loss is scaled, gradients
//   are clipped and weights averaged.

const HALVES: u32 = 1u;
alias Packed = vec4<f32>;

struct Dims {
  count: u32,
  limit: f32,
  one_minus_beta1: f32,
  beta2: f32,
  one_minus_beta2: f32,
  eps: f32,
  weight_decay: f32,
  decoupled: u32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
  lr: f32,
  step_size: f32, // lr / (1 - beta1^t)
  root_correction: f32, // sqrt(1 - beta2^t)
  fresh: u32,
  share: f32,
  average: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read_write> w: array<Packed>; // read before it is written
@group(0) @binding(2) var<storage, read> grad: array<Packed>;
@group(0) @binding(3) var<storage, read> clip: array<f32>;
@group(0) @binding(4) var<storage, read_write> average: array<Packed>; // read before it is written
@group(0) @binding(5) var<storage, read_write> m: array<Packed>; // read before it is written
@group(0) @binding(6) var<storage, read_write> v: array<Packed>; // read before it is written
@group(1) @binding(0) var<uniform> step: Step;

fn skipped() -> bool { return false; }
fn clipped(g: vec4<f32>) -> vec4<f32> { return g; }
fn averaged(old: vec4<f32>, w: vec4<f32>) -> vec4<f32> { return w; }
fn old_average(i: u32) -> Packed { return Packed(); }
fn keep_average(i: u32, v: Packed) { }

// The half h of what one load takes, and what one store takes: one vector, or two, see wide.rs.
fn part(v: Packed, h: u32) -> vec4<f32> { return v; }
fn join(a: vec4<f32>, b: vec4<f32>) -> Packed { return a; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i >= dims.count || skipped() {
    return;
  }
  let weights = w[i];
  let gradients = grad[i];
  let means = m[i];
  let squares = v[i];
  let averages = old_average(i);
  var first: array<vec4<f32>, HALVES>;
  var second: array<vec4<f32>, HALVES>;
  var weight: array<vec4<f32>, HALVES>;
  var mean: array<vec4<f32>, HALVES>;
  // unroll
  for (var h = 0u; h < HALVES; h += 1u) {
    var old = part(weights, h);
    var g = clipped(part(gradients, h));
    if dims.decoupled != 0u {
      old -= step.lr * dims.weight_decay * old;
    } else {
      g += dims.weight_decay * old;
    }
    let before = part(means, h);
    first[h] = before + dims.one_minus_beta1 * (g - before);
    second[h] = dims.beta2 * part(squares, h) + dims.one_minus_beta2 * g * g;
    weight[h] = old - step.step_size * first[h] / (sqrt(second[h]) / step.root_correction + dims.eps);
    mean[h] = averaged(part(averages, h), weight[h]);
  }
  m[i] = join(first[0u], first[HALVES - 1u]);
  v[i] = join(second[0u], second[HALVES - 1u]);
  keep_average(i, join(mean[0u], mean[HALVES - 1u]));
  w[i] = join(weight[0u], weight[HALVES - 1u]);
}
