// Gradient of edge_pad: each position collects what its copies were given, in the order of their places but for its own,
// which comes first.
//
//   dx[o, i, k] = sum of dy[o, j, k] over all j with source(j - before) = i
//
//   replicate: the first position has all places before it for copies, the last all behind it
//   reflect:   a position has at most two copies, its mirror images at either end
//
//   dy [outer, before + L + after, inner],  dx [outer, L, inner], overwritten

const REFLECT: bool = false;

struct Dims {
  length: i32,
  padded: i32,
  inner: i32,
  before: i32,
  count: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let row = index / dims.inner;
  let outer = row / dims.length;
  let i = row - outer * dims.length;
  let first = outer * dims.padded * dims.inner + index - row * dims.inner;
  let last = dims.length - 1;
  var sum = dy[first + (i + dims.before) * dims.inner];
  if REFLECT {
    let front = dims.before - i;
    if i > 0 && front >= 0 {
      sum += dy[first + front * dims.inner];
    }
    let back = dims.before + 2 * last - i;
    if i < last && back < dims.padded {
      sum += dy[first + back * dims.inner];
    }
  } else {
    let front = select(0, dims.before, i == 0);
    for (var j = 0; j < front; j++) {
      sum += dy[first + j * dims.inner];
    }
    let back = select(dims.padded, dims.before + dims.length, i == last);
    for (var j = back; j < dims.padded; j++) {
      sum += dy[first + j * dims.inner];
    }
  }
  dx[index] = sum;
}
