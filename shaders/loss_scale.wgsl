// What the gradients of a scaled loss are multiplied by, and the scale of the next step (PyTorch's GradScaler, and its
// clip_grad_norm_ after unscaling).
//
//   finite      coefficient = min(1, limit / (norm / scale + 1e-6)) / scale;  after INTERVAL such steps scale = 2 scale
//   not finite  coefficient = -1, by which the update knows that it is to be skipped;  scale = scale / 2
//
//   partial [count] from gradient_squares, norm the root of their sum;  coefficient [1] overwritten;  scale [1] and history
//   [2] (finite steps since the scale was changed, steps skipped in all) updated in place
//
// The scale stays within 2^-24 and 2^24, powers of two that lose no digits. One workgroup, as in clip_norm.

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
    let current = scale[0];
    if (bitcast<u32>(sum) & 0x7f800000u) == 0x7f800000u {
      coefficient[0] = -1.0;
      scale[0] = max(current * 0.5, 5.9604645e-8);
      history[0] = 0.0;
      history[1] += 1.0;
    } else {
      coefficient[0] = min(1.0, dims.limit / (sqrt(sum) / current + 1e-6)) / current;
      let steps = history[0] + 1.0;
      let grow = steps >= INTERVAL;
      scale[0] = select(current, min(current * 2.0, 16777216.0), grow);
      history[0] = select(steps, 0.0, grow);
    }
  }
}
