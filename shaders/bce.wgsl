// Binary cross-entropy of logits, per row, with its gradient.
//
//   f = 1 + (p[c] - 1) t;  the element's loss is (1 - t) x + f (max(-x, 0) + log(1 + exp(-|x|)))
//
//   rows[n]       = (sum of the row's losses, 1 if all elements are on their target's side, 1, 0)
//   dlogits[n, c] = scale dloss / valid ((1 - t) - f sigmoid(-x));  scale holds 1 / C
//
//   logits x [N, C],  targets t [N, C],  weights p [C] read where `positive` is replaced,  dloss [1] read if dims.dloss is 1
//   dlogits [N, C] and rows [N] overwritten, each if asked for
//
// Rows from step.valid on are not there: zero in both results. With e = exp(-|x|) and s = e / (2 + e) <= 1/3, log(1 + e) =
// 2 (s + s^3 / 3 + s^5 / 5 + ...): right to the last digits however small e is, where drivers' log is not.

struct Dims {
  n: u32,
  c: u32,
  scale: f32,
  dloss: u32,
  loss: u32,
  grad: u32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(5) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> weights: array<f32>;
@group(1) @binding(0) var<uniform> step: Step;

fn positive(c: u32) -> f32 { return 1.0; }

fn log_one_plus(e: f32) -> f32 {
  let s = e / (2.0 + e);
  let q = s * s;
  let tail = 1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0)));
  return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * tail))));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n = id.x;
  if n >= dims.n {
    return;
  }
  let valid = min(step.valid, dims.n);
  var scale = dims.scale / f32(valid);
  if dims.dloss != 0u {
    scale *= dloss[0];
  }
  var sum = 0.0;
  var right = 1.0;
  for (var c = 0u; c < dims.c; c += 1u) {
    let i = n * dims.c + c;
    let x = logits[i];
    let t = targets[i];
    let factor = 1.0 + (positive(c) - 1.0) * t;
    let e = exp(-abs(x));
    sum += (1.0 - t) * x + factor * (max(-x, 0.0) + log_one_plus(e));
    right *= select(0.0, 1.0, (x > 0.0) == (t > 0.5));
    if dims.grad != 0u {
      // sigmoid(-x) is 1 / (1 + e) for negative x, else e / (1 + e).
      let d = (1.0 - t) - factor * select(e, 1.0, x < 0.0) / (1.0 + e);
      dlogits[i] = select(0.0, scale * d, n < valid);
    }
  }
  if dims.loss != 0u {
    rows[n] = select(vec4<f32>(0.0), vec4<f32>(sum, right, 1.0, 0.0), n < valid);
  }
}
