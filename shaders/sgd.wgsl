// Stochastic gradient descent with momentum, Nesterov's form and weight decay, for all parameters at once (PyTorch).
//
//   g = grad + weight_decay * w;  v = momentum * v + g;  d = g + momentum * v with nesterov, else v;  w = w - lr * d
//
//   w, grad, v [count] vectors of four: the arenas; w and v are updated in place. lr is the step's.
//   clipped and averaged are replaced where gradients are clipped and weights averaged.

struct Dims {
  count: u32,
  limit: f32,
  momentum: f32,
  weight_decay: f32,
  nesterov: u32,
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
@group(0) @binding(5) var<storage, read_write> v: array<vec4<f32>>;
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
  var d = g;
  if dims.momentum != 0.0 {
    d = dims.momentum * v[i] + g;
    v[i] = d;
    if dims.nesterov != 0u {
      d = g + dims.momentum * d;
    }
  }
  w[i] = averaged(i, w[i] - step.lr * d);
}
