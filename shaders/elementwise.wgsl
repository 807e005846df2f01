// A function of one or two tensors of the same shape, four or eight elements to an invocation.
//
//   y[i] = gated(apply(a[i], b[i]), mask[i])
//
//   a, b, mask, y [4 HALVES count] (tensors are padded to whole vectors); y overwritten
//
// apply is replaced by the function at hand; b is bound to nothing where there is one operand. gated and gates are the
// gradient of an activation and what it is computed from, where there is one; elsewhere mask is bound to nothing.

const HALVES: u32 = 1u;
alias Packed = vec4<f32>;

struct Dims {
  count: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<Packed>;
@group(0) @binding(2) var<storage, read> b: array<Packed>;
@group(0) @binding(3) var<storage, read> mask: array<Packed>;
@group(0) @binding(4) var<storage, read_write> y: array<Packed>;

fn second(i: u32) -> Packed { return Packed(); }
fn gates(i: u32) -> Packed { return Packed(); }
fn apply(a: vec4<f32>, b: vec4<f32>, scale: f32) -> vec4<f32> { return a; }
fn gated(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> { return a; }

// The half h of what one load takes, and what one store takes: one vector, or two, see wide.rs.
fn part(v: Packed, h: u32) -> vec4<f32> { return v; }
fn join(a: vec4<f32>, b: vec4<f32>) -> Packed { return a; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i < dims.count {
    let first = a[i];
    let other = second(i);
    let gate = gates(i);
    var result: array<vec4<f32>, HALVES>;
    // unroll
    for (var h = 0u; h < HALVES; h += 1u) {
      result[h] = gated(apply(part(first, h), part(other, h), dims.scale), part(gate, h));
    }
    y[i] = join(result[0u], result[HALVES - 1u]);
  }
}
