// What gradients are multiplied by so that the norm of all of them together is at most `limit` (PyTorch's
// clip_grad_norm_).
//
//   coefficient = min(1, limit / (sqrt(sum of partial) + 1e-6)), NaN where the sum is not finite
//
//   partial [count] from gradient_squares;  coefficient [1] overwritten
//
// A norm that is not a number, or too large for one, would make a coefficient of 0 that hides a diverged run: NaN makes
// it known. One workgroup: each invocation sums every 64th number, then the 64 sums are added in ascending order.

struct Dims {
  count: u32,
  limit: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> coefficient: array<f32>;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < dims.count; i += 64u) {
    sum += partial[i];
  }
  sums[lane] = sum;
  workgroupBarrier();
  if lane == 0u {
    for (var i = 1u; i < 64u; i += 1u) {
      sum += sums[i];
    }
    let finite = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u;
    let nan = bitcast<f32>(0x7fc00000u + min(dims.count, 1u));
    coefficient[0] = select(nan, min(1.0, dims.limit / (sqrt(sum) + 1e-6)), finite);
  }
}
