// The entry of a step in the record of steps, where its loss is put together from several values.
//
//   records[step.slot] = (loss, hits, 0)
//
//   loss [1],  hits [2] of the classifier that counts;  records [slots] overwritten at one slot

struct Dims {
  unused: u32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> loss: array<f32>;
@group(0) @binding(2) var<storage, read> hits: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> records: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> step: Step;

@compute @workgroup_size(1)
fn main() {
  records[step.slot] = vec4<f32>(loss[0], hits[0], 0.0);
}
