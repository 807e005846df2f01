// Adam (Kingma and Ba 2014) and AdamW (Loshchilov and Hutter 2017), for all parameters at once (PyTorch's forms).
//
//   Adam:   g = grad + weight_decay * w           AdamW:  g = grad, w = w - lr * weight_decay * w
//   m = m + (1 - beta1) (g - m);  v = beta2 * v + (1 - beta2) g^2
//   w = w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
//   w, grad, m, v [count] vectors of four: the arenas; w, m and v are updated in place. lr and both bias corrections are
//   the step's, computed on the host in f64. clipped and averaged are replaced where gradients are clipped and weights
//   averaged.

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
@group(0) @binding(1) var<storage, read_write> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> clip: array<f32>;
@group(0) @binding(4) var<storage, read_write> average: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> step: Step;

fn clipped(g: vec4<f32>) -> vec4<f32> { return g; }
fn averaged(i: u32, w: vec4<f32>) -> vec4<f32> { return w; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i >= dims.count {
    return;
  }
  var weight = w[i];
  var g = clipped(grad[i]);
  if dims.decoupled != 0u {
    weight -= step.lr * dims.weight_decay * weight;
  } else {
    g += dims.weight_decay * weight;
  }
  let first = m[i] + dims.one_minus_beta1 * (g - m[i]);
  let second = dims.beta2 * v[i] + dims.one_minus_beta2 * g * g;
  m[i] = first;
  v[i] = second;
  w[i] = averaged(i, weight - step.step_size * first / (sqrt(second) / step.root_correction + dims.eps));
}
