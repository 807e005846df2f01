// Softmax or log-softmax along one axis.
//
//   y = exp(x - max) / sum exp(x - max),  or with LOG  y = x - max - log(sum exp(x - max))
//
//   x, y [OUTER, LENGTH, INNER], the middle axis sums to one; y overwritten
//
// One invocation per line. The sum is at least 1, because the maximum's own term is.

struct Dims {
  length: u32,
  inner: u32,
  log: u32,
  lines: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let line = id.x + id.y * groups.x * 64u;
  if line >= dims.lines {
    return;
  }
  let first = line / dims.inner * dims.length * dims.inner + line % dims.inner;
  var largest = x[first];
  for (var i = 1u; i < dims.length; i += 1u) {
    largest = max(largest, x[first + i * dims.inner]);
  }
  var sum = 0.0;
  for (var i = 0u; i < dims.length; i += 1u) {
    sum += exp(x[first + i * dims.inner] - largest);
  }
  let log_sum = log(sum);
  for (var i = 0u; i < dims.length; i += 1u) {
    let at = first + i * dims.inner;
    let shifted = x[at] - largest;
    y[at] = select(exp(shifted) / sum, shifted - log_sum, dims.log != 0u);
  }
}
