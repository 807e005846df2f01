// The shares of both sets of labels in a cross-entropy whose rows count differently, with their divisors.
//
//   shares = (lambda / sum over rows of w[label], (1 - lambda) / sum over rows of w[partner], lambda)
//
//   labels and partners u32 [N],  weights w [C],  lambda [1]: read where the functions below are replaced;
//   shares [3] overwritten. Labels to leave out, and rows from step.valid on, are not in the sums.
//
// One workgroup: each invocation sums every 64th row, then the 64 sums are added in ascending order.

struct Dims {
  n: u32,
  c: u32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> partners: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> lambdas: array<f32>;
@group(0) @binding(5) var<storage, read_write> shares: array<f32>;
@group(1) @binding(0) var<uniform> step: Step;

const MIXED: bool = false;

fn weight(c: u32) -> f32 { return 1.0; }
fn ignored(label: u32) -> bool { return false; }
fn lambda() -> f32 { return 1.0; }

var<workgroup> partial: array<vec2<f32>, 64>;

fn counted(label: u32) -> f32 {
  return select(weight(min(label, dims.c - 1u)), 0.0, ignored(label));
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  let valid = min(step.valid, dims.n);
  var sum = vec2<f32>(0.0);
  for (var n = lane; n < valid; n += 64u) {
    sum.x += counted(labels[n]);
    if MIXED {
      sum.y += counted(partners[n]);
    }
  }
  partial[lane] = sum;
  workgroupBarrier();
  if lane == 0u {
    for (var i = 1u; i < 64u; i += 1u) {
      sum += partial[i];
    }
    shares[0] = lambda() / sum.x;
    shares[1] = select(0.0, (1.0 - lambda()) / sum.y, MIXED);
    shares[2] = lambda();
  }
}
