// The batch's loss and number of correct rows, and their entry in the record of steps.
//
//   loss = sum of rows[n].x / valid,  correct = sum of rows[n].y
//
//   rows [N] from cross_entropy;  loss [1], correct [1] overwritten;  records [slots]: (loss, correct, valid, 0) at step.slot
//
// One workgroup: each invocation sums every 64th row, then the 64 sums are added in ascending order.

struct Dims {
  n: u32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> correct: array<f32>;
@group(0) @binding(4) var<storage, read_write> records: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> step: Step;

var<workgroup> partial: array<vec2<f32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = vec2<f32>(0.0);
  for (var n = lane; n < dims.n; n += 64u) {
    sum += rows[n];
  }
  partial[lane] = sum;
  workgroupBarrier();
  if lane == 0u {
    for (var i = 1u; i < 64u; i += 1u) {
      sum += partial[i];
    }
    let valid = f32(min(step.valid, dims.n));
    loss[0] = sum.x / valid;
    correct[0] = sum.y;
    records[step.slot] = vec4<f32>(sum.x / valid, sum.y, valid, 0.0);
  }
}
