// The gradient of a batch normalisation by its operand.
//
//   dx = scale[c] * (dy - share * (dbias[c] + (x - mean[c]) * inverse[c] * dweight[c]))
//
//   dy, x, dx [N, C, HW] in vectors T of 4 or 1 elements,  coefficients [C, 4] of batch_norm_merge: mean, inverse, scale, -
//   dy from DY_FIRST on with gaps of DY_GAP between samples;  dweight, dbias [C];  dx overwritten
//   share is 1 / (N * HW), or 0 where mean and variance did not depend on x

const HALVES: u32 = 1u;
alias T = f32;
alias Packed = f32;

struct Dims {
  c: u32,
  plane: u32, // of what one load takes, in a plane
  count: u32, // and in all
  per_plane: f32, // 1 / plane
  per_c: f32, // 1 / c
  dy_first: u32,
  dy_gap: u32,
  share: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<Packed>;
@group(0) @binding(2) var<storage, read> x: array<Packed>;
@group(0) @binding(3) var<storage, read> coefficients: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> dweight: array<f32>;
@group(0) @binding(5) var<storage, read> dbias: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<Packed>;

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
  let c = plane - sample * dims.c;
  let k = coefficients[c];
  let mean = dims.share * dbias[c];
  let slope = dims.share * dweight[c] * k.y;
  let gradients = dy[i + sample * dims.dy_gap + dims.dy_first];
  let numbers = x[i];
  var result: array<T, HALVES>;
  // unroll
  for (var h = 0u; h < HALVES; h += 1u) {
    result[h] = k.z * (part(gradients, h) - T(mean) - slope * (part(numbers, h) - T(k.x)));
  }
  dx[i] = join(result[0u], result[HALVES - 1u]);
}
