// A step's gradients joined from several batches.
//
//   sum[i] = share * grad[i] for the first batch of a step, else sum[i] + share * grad[i]
//
//   grad, sum [count] vectors of four: the arenas; sum is updated in place. share is the batch's part of the step's
//   samples.

struct Dims {
  count: u32,
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
@group(0) @binding(1) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4<f32>>; // read before it is written
@group(1) @binding(0) var<uniform> step: Step;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i < dims.count {
    let part = step.share * grad[i];
    sum[i] = select(sum[i] + part, part, step.fresh != 0u);
  }
}
