// The gradients of a batch normalisation by weight and bias, in pieces.
//
//   dweight[first + piece, c] = sum of dy * (x - mean[c]) * inverse[c] over the piece,  dbias likewise of dy
//
//   dy, x [N, C, HW] in vectors T of 4 or 1 elements,  coefficients [C, 4] of batch_norm_merge: mean, inverse, ...
//   dy from DY_FIRST on with gaps of DY_GAP vectors between samples
//   dweight, dbias [pieces][C] overwritten; reduce_splits adds the pieces up, which are those of batch_norm_moments

alias T = f32;

struct Dims {
  c: u32,
  plane: u32, // vectors of a plane
  length: u32, // vectors of a channel: N * plane
  pieces: u32,
  run: u32, // pieces of a stretch
  first: u32, // of the pieces, among those of all blocks of samples
  total: u32,
  count: u32, // C * pieces
  dy_first: u32,
  dy_gap: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> coefficients: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dbias: array<f32>;

fn total(v: T) -> f32 { return v; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  // Behind a branch, CPU drivers read a uniform once for each lane.
  let c = dims.c;
  let plane = dims.plane;
  let pieces = dims.pieces;
  let run = dims.run;
  let length = dims.length;
  let dy_gap = dims.dy_gap;
  let dy_first = dims.dy_first;
  if index >= dims.count {
    return;
  }
  let piece = index % pieces;
  let channel = index / pieces;
  // Positions are counted on, because drivers divide lane by lane.
  let samples_on = run / plane;
  let vectors_on = run % plane;
  let stretches = pieces / run;
  let stretch = piece / run;
  let begin = stretch * length / stretches + piece % run;
  let end = (stretch + 1u) * length / stretches;
  let first_sample = begin / plane;
  let first_vector = begin % plane;
  let k = coefficients[channel];
  var products = T(0.0);
  var sum = T(0.0);
  var sample = first_sample;
  var vector = first_vector;
  for (var i = begin; i < end; i += run) {
    let at = (sample * c + channel) * plane + vector;
    let grad = dy[at + sample * dy_gap + dy_first];
    products += grad * (x[at] - T(k.x));
    sum += grad;
    let wrap = vector + vectors_on >= plane;
    vector = vector + vectors_on - select(0u, plane, wrap);
    sample = sample + samples_on + select(0u, 1u, wrap);
  }
  let at = (dims.first + piece) * c + channel;
  dweight[at] = total(products) * k.y;
  dbias[at] = total(sum);
}
