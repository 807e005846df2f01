// A batch's loss and its counts, and their entry in the record of steps.
//
//   loss = scale sum of rows[n].x, divided by the rows that count if dims.mean is 1;  hits = sums of rows[n].yz
//
//   rows [N] from cross_entropy or bce: (loss, right, counts, 0);  loss [1], hits [2] overwritten
//   records [slots]: (loss, right, rows that count, 0) at step.slot, if dims.record is 1
//
// NaN if no row counts. One workgroup: each invocation sums every 64th row, then the 64 sums are added in ascending order.

struct Dims {
  n: u32,
  mean: u32,
  record: u32,
  scale: f32,
}

struct Step {
  index: u32,
  slot: u32,
  first: u32,
  valid: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> hits: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> records: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> step: Step;

var<workgroup> partial: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = vec4<f32>(0.0);
  for (var n = lane; n < dims.n; n += 64u) {
    sum += rows[n];
  }
  partial[lane] = sum;
  workgroupBarrier();
  if lane == 0u {
    for (var i = 1u; i < 64u; i += 1u) {
      sum += partial[i];
    }
    var total = sum.x * dims.scale;
    if dims.mean != 0u {
      total /= sum.z;
    }
    if sum.z == 0.0 {
      total = bitcast<f32>(0x7fc00000u + min(dims.n, 1u));
    }
    loss[0] = total;
    hits[0] = sum.yz;
    if dims.record != 0u {
      records[step.slot] = vec4<f32>(total, sum.y, sum.z, 0.0);
    }
  }
}
