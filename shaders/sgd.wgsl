// Stochastic gradient descent with momentum, Nesterov's form and weight decay, for all parameters at once (PyTorch).
//
//   g = grad + weight_decay * w;  v = momentum * v + g;  d = g + momentum * v with nesterov, else v;  w = w - lr * d
//
//   w, grad, v [4 HALVES count]: the arenas; w and v are updated in place. lr is the step's.
//   what is skipped, clipped and averaged is put in where the loss is scaled, gradients clipped and weights averaged.

const HALVES: u32 = 1u;
alias Packed = vec4<f32>;

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
@group(0) @binding(1) var<storage, read_write> w: array<Packed>; // read before it is written
@group(0) @binding(2) var<storage, read> grad: array<Packed>;
@group(0) @binding(3) var<storage, read> clip: array<f32>;
@group(0) @binding(4) var<storage, read_write> average: array<Packed>; // read before it is written
@group(0) @binding(5) var<storage, read_write> v: array<Packed>; // read before it is written
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
  let averages = old_average(i);
  var velocities = Packed();
  if dims.momentum != 0.0 {
    velocities = v[i];
  }
  var velocity: array<vec4<f32>, HALVES>;
  var weight: array<vec4<f32>, HALVES>;
  var mean: array<vec4<f32>, HALVES>;
  // unroll
  for (var h = 0u; h < HALVES; h += 1u) {
    let old = part(weights, h);
    let g = clipped(part(gradients, h)) + dims.weight_decay * old;
    var d = g;
    if dims.momentum != 0.0 {
      d = dims.momentum * part(velocities, h) + g;
      velocity[h] = d;
      if dims.nesterov != 0u {
        d = g + dims.momentum * d;
      }
    }
    weight[h] = old - step.lr * d;
    mean[h] = averaged(part(averages, h), weight[h]);
  }
  if dims.momentum != 0.0 {
    v[i] = join(velocity[0u], velocity[HALVES - 1u]);
  }
  keep_average(i, join(mean[0u], mean[HALVES - 1u]));
  w[i] = join(weight[0u], weight[HALVES - 1u]);
}
