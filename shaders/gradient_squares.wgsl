// Sums of squares of a range of the gradients, the first half of clipping by norm.
//
//   partial[out + j] = sum over i = j, j + invocations, ... of |grad[first + i]|^2,  j < invocations
//
//   grad: vectors of four, of which the range has `vectors`; of the last one only the first `tail` numbers count: what
//   pads a tensor to whole vectors may be anything. partial overwritten in [out, out + invocations).

struct Dims {
  first: u32,
  vectors: u32,
  tail: u32,
  invocations: u32,
  out: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let j = id.x;
  if j >= dims.invocations {
    return;
  }
  var sum = 0.0;
  for (var i = j; i < dims.vectors; i += dims.invocations) {
    let g = grad[dims.first + i];
    let tail = select(4u, dims.tail, i + 1u == dims.vectors);
    let counted = select(vec4<f32>(0.0), g, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(tail));
    sum += dot(counted, counted);
  }
  partial[dims.out + j] = sum;
}
