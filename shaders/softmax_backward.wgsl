// Gradient of softmax or log-softmax, from its result.
//
//   dx = y * (dy - sum(dy * y)),  or with LOG  dx = dy - exp(y) * sum(dy)
//
//   dy, y, dx [OUTER, LENGTH, INNER], sums along the middle axis; dx overwritten

struct Dims {
  length: u32,
  inner: u32,
  log: u32,
  lines: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let line = id.x + id.y * groups.x * 64u;
  if line >= dims.lines {
    return;
  }
  let first = line / dims.inner * dims.length * dims.inner + line % dims.inner;
  var sum = 0.0;
  for (var i = 0u; i < dims.length; i += 1u) {
    let at = first + i * dims.inner;
    sum += dy[at] * select(y[at], 1.0, dims.log != 0u);
  }
  for (var i = 0u; i < dims.length; i += 1u) {
    let at = first + i * dims.inner;
    dx[at] = select(y[at] * (dy[at] - sum), dy[at] - exp(y[at]) * sum, dims.log != 0u);
  }
}
