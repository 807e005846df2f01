// Batch normalisation with given coefficients.
//
//   y[n, c, i] = act((x[n, c, i] - mean[c]) * scale[c] + bias[c] + residual[n, c, i])
//
//   x, residual, y [N, C, HW] in HALVES vectors T of 4 or 1 elements,  coefficients [C, 4] of batch_norm_merge: mean, -, scale, bias
//   residual read if RESIDUAL;  y overwritten, from Y_FIRST on with gaps of Y_GAP between samples

const HALVES: u32 = 1u;
alias T = f32;
alias Packed = f32;
const RESIDUAL: bool = false;

struct Dims {
  c: u32,
  plane: u32, // of what one load takes, in a plane
  count: u32, // and in all
  per_plane: f32, // 1 / plane
  per_c: f32, // 1 / c
  y_first: u32,
  y_gap: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<Packed>;
@group(0) @binding(2) var<storage, read> coefficients: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> residual: array<Packed>;
@group(0) @binding(4) var<storage, read_write> y: array<Packed>;

fn activate(v: T) -> T { return v; }

// The half h of what one load takes, and what one store takes: one T, or two, see wide.rs.
fn part(v: Packed, h: u32) -> T { return v; }
fn join(a: T, b: T) -> Packed { return a; }

// i / by. Reciprocals, mended by one, because drivers divide lane by lane.
fn divided(i: u32, by: u32, reciprocal: f32) -> u32 {
  let q = u32(f32(i) * reciprocal);
  let rest = i32(i) - i32(q * by);
  return u32(i32(q) + select(0, 1, rest >= i32(by)) - select(0, 1, rest < 0));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i >= dims.count {
    return;
  }
  let plane = divided(i, dims.plane, dims.per_plane);
  let sample = divided(plane, dims.c, dims.per_c);
  let k = coefficients[plane - sample * dims.c];
  let numbers = x[i];
  var others = Packed();
  if RESIDUAL {
    others = residual[i];
  }
  var result: array<T, HALVES>;
  // unroll
  for (var h = 0u; h < HALVES; h += 1u) {
    var v = (part(numbers, h) - T(k.x)) * k.z + T(k.w);
    if RESIDUAL {
      v += part(others, h);
    }
    result[h] = activate(v);
  }
  y[i + sample * dims.y_gap + dims.y_first] = join(result[0u], result[HALVES - 1u]);
}
