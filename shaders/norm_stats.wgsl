// Mean and sum of squared deviations of rows, in pieces; and the same of rows whose pieces are known.
//
//   n[i]     = 1, or with PARTS the elements that part i stands for: unit, fewer in the last
//   mean     = sum of n[i] * m[i] / sum of n[i]
//   squares  = sum of (s[i] + n[i] * (m[i] - mean)^2)         s[i] = 0 without PARTS
//   spread   = squares, or with FINAL  1 / sqrt(squares / total + eps)
//
//   m: x [ROWS, COUNT], or with PARTS means and squares [COUNT][ROWS],  means, spreads [parts][ROWS], both overwritten
//
// An invocation takes one piece of one row and goes over it twice: differences from the mean do not cancel as sums of
// squares do. Pieces stay short, see reduce.

const PARTS: bool = false;
const FINAL: bool = true;

struct Dims {
  rows: u32,
  count: u32,
  per_part: u32,
  unit: u32,
  total: u32, // elements of a row of x
  invocations: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> m: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read_write> means: array<f32>;
@group(0) @binding(4) var<storage, read_write> spreads: array<f32>;

/// Where number i of a row lies.
fn place(row: u32, i: u32) -> u32 {
  if PARTS {
    return i * dims.rows + row;
  }
  return row * dims.count + i;
}

/// How many elements it stands for.
fn elements(i: u32) -> f32 {
  if PARTS {
    return f32(min(dims.unit, dims.total - i * dims.unit));
  }
  return 1.0;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.invocations {
    return;
  }
  let row = index % dims.rows;
  let first = index / dims.rows * dims.per_part;
  let last = min(first + dims.per_part, dims.count);
  var sum = 0.0;
  for (var i = first; i < last; i += 1u) {
    sum += elements(i) * m[place(row, i)];
  }
  let mean = sum / f32(min(last * dims.unit, dims.total) - first * dims.unit);
  var squares = 0.0;
  for (var i = first; i < last; i += 1u) {
    let difference = m[place(row, i)] - mean;
    squares += elements(i) * difference * difference;
    if PARTS {
      squares += s[place(row, i)];
    }
  }
  means[index] = mean;
  if FINAL {
    spreads[index] = 1.0 / sqrt(squares / f32(dims.total) + dims.eps);
  } else {
    spreads[index] = squares;
  }
}
