// As many multiplications and additions as the adapter can do, for the sake of the time that takes; nothing is read.
//
//   y[i] = the sum of three vectors, each multiplied by `factor` and raised by `term` TURNS times a round
//
//   y [invocations] vectors, overwritten
//
// Their components are twelve chains, which hide the latency of a step and fit into the registers of any processor. Factor
// and term come from the host, lest the series be summed up beforehand, and keep the numbers near 1.

const TURNS: i32 = 16;

struct Dims {
  rounds: i32,
  factor: f32,
  term: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  let factor = vec4<f32>(dims.factor);
  let term = vec4<f32>(dims.term);
  var acc: array<vec4<f32>, 3>;
  // unroll
  for (var j = 0; j < 3; j += 1) {
    acc[j] = vec4<f32>(f32(i % 64u) + f32(j));
  }
  for (var round = 0; round < dims.rounds; round += 1) {
    // unroll
    for (var turn = 0; turn < TURNS; turn += 1) {
      // unroll
      for (var j = 0; j < 3; j += 1) {
        acc[j] = fma(acc[j], factor, term);
      }
    }
  }
  y[i] = acc[0] + acc[1] + acc[2];
}
