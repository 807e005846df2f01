// Cross-entropy of logits, per row, with its gradient.
//
//   rows[n]       = (log(sum exp(logits[n] - max)) + max - logits[n, label], 1 if the first maximum is at the label)
//   dlogits[n, c] = scale * dloss / valid * (softmax(logits[n])[c] - (c == label))
//
//   logits [N, C],  labels u32 [N],  dloss [1] read if dims.dloss is 1,  dlogits [N, C] and rows [N] overwritten, each if asked for
//
// Rows from step.valid on are not there (the last batch of an epoch may be short): zero in both results. A label that is
// no class yields NaN rather than a read outside of the row.

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
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> dloss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(5) var<storage, read_write> rows: array<vec2<f32>>;
@group(1) @binding(0) var<uniform> step: Step;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n = id.x;
  if n >= dims.n {
    return;
  }
  let valid = min(step.valid, dims.n);
  let first = n * dims.c;
  if n >= valid {
    if dims.loss != 0u {
      rows[n] = vec2<f32>(0.0);
    }
    if dims.grad != 0u {
      for (var c = 0u; c < dims.c; c += 1u) {
        dlogits[first + c] = 0.0;
      }
    }
    return;
  }
  var largest = logits[first];
  var best = 0u;
  for (var c = 1u; c < dims.c; c += 1u) {
    let v = logits[first + c];
    if v > largest {
      largest = v;
      best = c;
    }
  }
  var sum = 0.0;
  for (var c = 0u; c < dims.c; c += 1u) {
    sum += exp(logits[first + c] - largest);
  }
  let label = labels[n];
  if dims.loss != 0u {
    var loss = bitcast<f32>(0x7fc00000u + min(label, 1u));
    if label < dims.c {
      loss = log(sum) + (largest - logits[first + label]);
    }
    rows[n] = vec2<f32>(loss, select(0.0, 1.0, best == label));
  }
  if dims.grad != 0u {
    var scale = dims.scale / f32(valid);
    if dims.dloss != 0u {
      scale *= dloss[0];
    }
    for (var c = 0u; c < dims.c; c += 1u) {
      let p = exp(logits[first + c] - largest) / sum;
      dlogits[first + c] = scale * (p - select(0.0, 1.0, c == label));
    }
  }
}
