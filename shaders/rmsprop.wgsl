// RMSprop (Hinton 2012; Graves 2013 where it is centred), for all parameters at once (PyTorch's form).
//
//   g = grad + weight_decay * w;  s = alpha * s + (1 - alpha) g^2;  with centered: a = a + (1 - alpha) (g - a)
//   d = g / (sqrt(s - a^2) + eps), a being 0 where it is not centred;  with momentum: v = momentum * v + d, d = v
//   w = w - lr * d
//
//   w, grad, s, v, a [count] vectors of four: the arenas; w, s, v and a are updated in place. lr is the step's.
//   clipped and averaged are replaced where gradients are clipped and weights averaged.

struct Dims {
  count: u32,
  limit: f32,
  alpha: f32,
  one_minus_alpha: f32,
  eps: f32,
  weight_decay: f32,
  momentum: f32,
  centered: u32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
  lr: f32,
  step_size: f32,
  root_correction: f32,
  fresh: u32,
  share: f32,
  average: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read_write> w: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> clip: array<f32>;
@group(0) @binding(4) var<storage, read_write> average: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> s: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> a: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> step: Step;

fn clipped(g: vec4<f32>) -> vec4<f32> { return g; }
fn averaged(i: u32, w: vec4<f32>) -> vec4<f32> { return w; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i >= dims.count {
    return;
  }
  let g = clipped(grad[i]) + dims.weight_decay * w[i];
  let square = dims.alpha * s[i] + dims.one_minus_alpha * g * g;
  s[i] = square;
  var variance = square;
  if dims.centered != 0u {
    let mean = a[i] + dims.one_minus_alpha * (g - a[i]);
    a[i] = mean;
    // Rounding can make it negative where gradients hardly change.
    variance = max(square - mean * mean, vec4<f32>(0.0));
  }
  var d = g / (sqrt(variance) + dims.eps);
  if dims.momentum != 0.0 {
    d += dims.momentum * v[i];
    v[i] = d;
  }
  w[i] = averaged(i, w[i] - step.lr * d);
}
