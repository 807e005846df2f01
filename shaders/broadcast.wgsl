// A function of one or two tensors, each repeated along the axes where its stride is 0.
//
//   y[i0..i5] = apply(a[sum of i * a_stride], b[sum of i * b_stride])
//
//   y [extents], overwritten; shapes are padded with leading axes of extent 1 to six

struct Dims {
  extents_lo: vec4<u32>,
  a_strides_lo: vec4<u32>,
  b_strides_lo: vec4<u32>,
  extents_hi: vec4<u32>, // the two innermost axes
  a_strides_hi: vec4<u32>,
  b_strides_hi: vec4<u32>,
  count: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn second(i: u32) -> f32 { return 0.0; }
fn apply(a: f32, b: f32, scale: f32) -> f32 { return a; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  var rest = index;
  let i5 = rest % dims.extents_hi.y;
  rest /= dims.extents_hi.y;
  let i4 = rest % dims.extents_hi.x;
  rest /= dims.extents_hi.x;
  let i3 = rest % dims.extents_lo.w;
  rest /= dims.extents_lo.w;
  let i2 = rest % dims.extents_lo.z;
  rest /= dims.extents_lo.z;
  let i1 = rest % dims.extents_lo.y;
  let outer = vec4<u32>(rest / dims.extents_lo.y, i1, i2, i3);
  let inner = vec2<u32>(i4, i5);
  let at_a = dot(outer, dims.a_strides_lo) + dot(inner, dims.a_strides_hi.xy);
  let at_b = dot(outer, dims.b_strides_lo) + dot(inner, dims.b_strides_hi.xy);
  y[index] = apply(a[at_a], second(at_b), dims.scale);
}
