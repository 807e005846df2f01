// Mean and sum of squared deviations of each channel, in pieces.
//
//   moments[c, first + piece] = (mean, sum of (x - mean)^2, number) of the piece's elements of channel c
//
//   x [N, C, HW] in vectors T of 4 or 1 elements,  moments [C][total] overwritten
//
// A channel is cut into stretches, and those into `run` pieces each, of every `run`-th vector: neighbouring invocations read
// neighbouring memory, and a subgroup all of a stretch in order, which caches see coming. A piece is read twice, for the mean first: the squares' sum less the mean's square would lose what they have in
// common. The second reading also mends the rounding of the mean. batch_norm_merge puts the pieces together.

alias T = f32;
const WIDTH: f32 = 1.0; // numbers in a T

struct Dims {
  c: u32,
  plane: u32, // vectors of a plane
  length: u32, // vectors of a channel: N * plane
  pieces: u32,
  run: u32, // pieces of a stretch
  first: u32, // of the pieces, among those of all blocks of samples
  total: u32,
  count: u32, // C * pieces
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read_write> moments: array<vec4<f32>>;

fn total(v: T) -> f32 { return v; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let piece = index % dims.pieces;
  let channel = index / dims.pieces;
  // Positions are counted on, because drivers divide lane by lane.
  let run = dims.run;
  let samples_on = run / dims.plane;
  let vectors_on = run % dims.plane;
  let stretches = dims.pieces / run;
  let stretch = piece / run;
  let begin = stretch * dims.length / stretches + piece % run;
  let end = (stretch + 1u) * dims.length / stretches;
  let first_sample = begin / dims.plane;
  let first_vector = begin % dims.plane;
  let vectors = (end - 1u - begin) / run + 1u;
  var sum = T(0.0);
  var sample = first_sample;
  var vector = first_vector;
  for (var i = begin; i < end; i += run) {
    sum += x[(sample * dims.c + channel) * dims.plane + vector];
    let wrap = vector + vectors_on >= dims.plane;
    vector = vector + vectors_on - select(0u, dims.plane, wrap);
    sample = sample + samples_on + select(0u, 1u, wrap);
  }
  let count = f32(vectors) * WIDTH;
  let mean = total(sum) / count;
  var squares = T(0.0);
  var rest = T(0.0);
  sample = first_sample;
  vector = first_vector;
  for (var i = begin; i < end; i += run) {
    let d = x[(sample * dims.c + channel) * dims.plane + vector] - T(mean);
    squares += d * d;
    rest += d;
    let wrap = vector + vectors_on >= dims.plane;
    vector = vector + vectors_on - select(0u, dims.plane, wrap);
    sample = sample + samples_on + select(0u, 1u, wrap);
  }
  let drift = total(rest);
  let at = channel * dims.total + dims.first + piece;
  moments[at] = vec4<f32>(mean + drift / count, total(squares) - drift * drift / count, count, 0.0);
}
