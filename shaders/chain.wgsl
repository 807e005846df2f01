// A group of functions of elements, four or eight elements to an invocation. Each operand is read once; what no kernel
// but this one reads is not stored.
//
//   b0, b1, ...: operands, then results, as many as there are, [4 HALVES count] (tensors are padded to whole vectors);
//   results overwritten; some are written where an operand was
//
// An operand with fewer elements is repeated: element i is number i / inner % extent of it. Where that is the same for
// all of a vector, inner counts vectors. Such an operand is read number by number: its alias becomes f32.
//
// chain is replaced by the functions at hand.

const HALVES: u32 = 1u;
alias Packed = vec4<f32>;
alias T0 = Packed;
alias T1 = Packed;
alias T2 = Packed;
alias T3 = Packed;
alias T4 = Packed;
alias T5 = Packed;
alias T6 = Packed;
alias T7 = Packed;

struct Dims {
  inner_lo: vec4<u32>,
  inner_hi: vec4<u32>,
  extent_lo: vec4<u32>,
  extent_hi: vec4<u32>,
  count: u32,
  zero: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read_write> b0: array<T0>; // read before it is written
@group(0) @binding(2) var<storage, read_write> b1: array<T1>; // read before it is written
@group(0) @binding(3) var<storage, read_write> b2: array<T2>; // read before it is written
@group(0) @binding(4) var<storage, read_write> b3: array<T3>; // read before it is written
@group(0) @binding(5) var<storage, read_write> b4: array<T4>; // read before it is written
@group(0) @binding(6) var<storage, read_write> b5: array<T5>; // read before it is written
@group(0) @binding(7) var<storage, read_write> b6: array<T6>; // read before it is written
@group(0) @binding(8) var<storage, read_write> b7: array<T7>; // read before it is written

// What a step takes. Compilers may rearrange sums and products within a kernel, and do so the more of them they see;
// through an exclusive or with a 0 that they do not know, another one for each step, they see nothing, so that a function
// yields the bits that it yields in a kernel of its own. Where dimensions are baked in they know it, and are free.
fn sealed(v: vec4<f32>, step: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(v) ^ vec4<u32>(dims.zero << step));
}

// The half h of what one load takes, and what one store takes: one vector, or two, see wide.rs.
fn part(v: Packed, h: u32) -> vec4<f32> { return v; }
fn join(a: vec4<f32>, b: vec4<f32>) -> Packed { return a; }

fn chain(i: u32) { b1[i] = b0[i]; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if i < dims.count {
    chain(i);
  }
}
