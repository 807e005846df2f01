// What gradients are multiplied by so that the norm of all of them together is at most `limit` (PyTorch's
// clip_grad_norm_).
//
//   coefficient = min(1, limit / (sqrt(sum of partial) + 1e-6)), NaN where the sum is not finite
//
//   partial [count] from gradient_squares;  coefficient [1] overwritten
//
// Where the loss was scaled (SCALED; PyTorch's GradScaler), the gradients are unscaled by the same factor, and the scale of
// the next step is set:
//
//   finite      coefficient = min(1, limit / (norm / scale + 1e-6)) / scale;  after INTERVAL such steps scale = 2 scale
//   not finite  coefficient = -1, by which the update knows that it is to be skipped;  scale = scale / 2
//
//   scale [1] and history [2] (finite steps since the scale was changed, steps skipped in all) updated in place. The scale
//   stays within 2^-24 and 2^24, powers of two that lose no digits.
//
// A norm that is not a number, or too large for one, would make a coefficient of 0 that hides a diverged run: NaN makes
// it known. One workgroup: each invocation sums every 64th number, then the 64 sums are added in ascending order.

const SCALED: bool = false;
const INTERVAL: f32 = 2000.0;

struct Dims {
  count: u32,
  limit: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> coefficient: array<f32>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> history: array<f32>;

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
    if SCALED {
      let current = scale[0];
      let steps = history[0] + 1.0;
      let grow = steps >= INTERVAL;
      let clipped = min(1.0, dims.limit / (sqrt(sum) / current + 1e-6)) / current;
      coefficient[0] = select(-1.0, clipped, finite);
      scale[0] = select(max(current * 0.5, 5.9604645e-8), select(current, min(current * 2.0, 16777216.0), grow), finite);
      history[0] = select(0.0, steps, finite && !grow);
      history[1] += select(1.0, 0.0, finite);
      return;
    }
    let nan = bitcast<f32>(0x7fc00000u + min(dims.count, 1u));
    coefficient[0] = select(nan, min(1.0, dims.limit / (sqrt(sum) + 1e-6)), finite);
  }
}
