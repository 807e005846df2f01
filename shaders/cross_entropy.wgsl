// Cross-entropy of logits, per row, with its gradient.
//
//   l = log softmax(logits[n]),  p = exp(l);  a label y has the loss
//   row(y) = -(1 - e) w[y] l[y] - e / C sum_c w[c] l[c],  0 if y is to be left out
//
//   rows[n]       = (share.x row(label) + share.y row(partner), whether the first maximum is at the label, whether it counts, 0)
//   dlogits[n, c] = scale dloss / valid sum over y of share (d row(y) / d logits[n, c])
//
//   logits [N, C],  labels u32 [N],  partners u32 [N],  weights w [C],  shares,  dloss [1] read if dims.dloss is 1,
//   dlogits [N, C] and rows [N] overwritten, each if asked for
//
// partners, weights and shares are read where the functions below are replaced; shares that hold the divisor already
// (dims.divided) make the mean, else it is the division by the number of rows. Rows from step.valid on are not there (the
// last batch of an epoch may be short): zero in both results. A label that is no class yields NaN rather than a read
// outside of the row.

struct Dims {
  n: u32,
  c: u32,
  scale: f32,
  dloss: u32,
  loss: u32,
  grad: u32,
  divided: u32,
  smoothing: f32,
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
@group(0) @binding(5) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> partners: array<u32>;
@group(0) @binding(7) var<storage, read> weights: array<f32>;
@group(0) @binding(8) var<storage, read> shares: array<f32>;
@group(1) @binding(0) var<uniform> step: Step;

const MIXED: bool = false;
const SMOOTH: bool = false;

fn weight(c: u32) -> f32 { return 1.0; }
fn ignored(label: u32) -> bool { return false; }
fn partner(n: u32) -> u32 { return 0u; }
fn share() -> vec2<f32> { return vec2<f32>(1.0, 0.0); }
fn lambda() -> f32 { return 1.0; }

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
      rows[n] = vec4<f32>(0.0);
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
  var spread = 0.0;
  var all = 0.0;
  for (var c = 0u; c < dims.c; c += 1u) {
    let v = logits[first + c] - largest;
    sum += exp(v);
    if SMOOTH {
      all += weight(c);
      spread -= weight(c) * v;
    }
  }
  let smoothing = dims.smoothing / f32(dims.c);
  let label = labels[n];
  let counted = !ignored(label);
  var other = label;
  if MIXED {
    other = partner(n);
  }
  // Shares of the loss of each of both labels; of those the parts that are not smoothed.
  let parts = select(vec2<f32>(0.0), share(), vec2<bool>(counted, MIXED && !ignored(other)));
  let classes = vec2<u32>(min(label, dims.c - 1u), min(other, dims.c - 1u));
  let sharp = (1.0 - dims.smoothing) * parts * vec2<f32>(weight(classes.x), weight(classes.y));
  if dims.loss != 0u {
    var loss = 0.0;
    if SMOOTH {
      loss = (parts.x + parts.y) * smoothing * (log(sum) * all + spread);
    }
    if counted {
      loss += sharp.x * (log(sum) + (largest - logits[first + classes.x]));
    }
    if MIXED {
      loss += sharp.y * (log(sum) + (largest - logits[first + classes.y]));
    }
    var right = select(0.0, lambda(), counted && best == label);
    if MIXED {
      right += select(0.0, 1.0 - lambda(), !ignored(other) && best == other);
    }
    if (counted && label >= dims.c) || (MIXED && !ignored(other) && other >= dims.c) {
      loss = bitcast<f32>(0x7fc00000u + min(dims.n, 1u));
    }
    rows[n] = vec4<f32>(loss, right, select(0.0, 1.0, counted), 0.0);
  }
  if dims.grad != 0u {
    var scale = dims.scale;
    if dims.divided == 0u {
      scale /= f32(valid);
    }
    if dims.dloss != 0u {
      scale *= dloss[0];
    }
    for (var c = 0u; c < dims.c; c += 1u) {
      let p = exp(logits[first + c] - largest) / sum;
      var d = sharp.x * (p - select(0.0, 1.0, c == label));
      if MIXED {
        d += sharp.y * (p - select(0.0, 1.0, c == other));
      }
      if SMOOTH {
        d += (parts.x + parts.y) * smoothing * (p * all - weight(c));
      }
      dlogits[first + c] = scale * d;
    }
  }
}
