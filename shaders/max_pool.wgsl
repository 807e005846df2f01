// Maximum over windows, and where in its window each maximum lies.
//
//   y[p, oh, ow] = max over r, s of x[p, oh * stride + r - padding, ...], positions outside of x do not take part
//   argmax       = r * S + s of the first maximum in row-major order, one byte each
//
//   x [P, H, W] with P = N * C,  y [P, OH, OW],  argmax: bytes, four to a word; both overwritten
//
// An invocation computes four neighbouring results, so that it owns a whole word of argmax. NaN counts as the largest
// number; it is recognised by its bits because compilers may fold x != x. Windows are small and known, so they are
// unrolled: loops would cost CPU drivers more than the maximum. INSIDE where no window reaches over an edge.

const KERNEL_H: i32 = 2;
const KERNEL_W: i32 = 2;
const INSIDE: bool = false;

struct Dims {
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  stride_h: i32,
  stride_w: i32,
  padding_h: i32,
  padding_w: i32,
  count: i32,
  per_ow: f32, // 1 / OW
  per_oh: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> argmax: array<u32>;

const EXACT: bool = false;

// i / by, from a reciprocal and mended by one: drivers divide lane by lane. EXACT where that may not be enough.
fn divided(i: u32, by: u32, reciprocal: f32) -> u32 {
  if EXACT {
    return i / by;
  }
  let q = u32(f32(i) * reciprocal);
  let rest = i32(i) - i32(q * by);
  return u32(i32(q) + select(0, 1, rest >= i32(by)) - select(0, 1, rest < 0));
}

fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let word = id.x + id.y * groups.x * 64u;
  if i32(word) * 4 >= dims.count {
    return;
  }
  let row = divided(4u * word, u32(dims.ow), dims.per_ow);
  var ow = i32(4u * word) - i32(row) * dims.ow;
  let first_plane = i32(divided(row, u32(dims.oh), dims.per_oh));
  var oh = i32(row) - first_plane * dims.oh;
  var plane = first_plane * dims.h * dims.w;
  var positions = 0u;
  for (var i = 0; i < 4; i += 1) {
    let index = i32(word) * 4 + i;
    if index < dims.count {
      let top = oh * dims.stride_h - dims.padding_h;
      let left = ow * dims.stride_w - dims.padding_w;
      var best = -3.4028234e38;
      var position = -1;
      // unroll
      for (var r = 0; r < KERNEL_H; r += 1) {
        // unroll
        for (var s = 0; s < KERNEL_W; s += 1) {
          let inside = INSIDE || (top + r >= 0 && top + r < dims.h && left + s >= 0 && left + s < dims.w);
          let v = x[select(0, plane + (top + r) * dims.w + left + s, inside)];
          let better = inside && (position < 0 || v > best || (is_nan(v) && !is_nan(best)));
          best = select(best, v, better);
          position = select(position, r * KERNEL_W + s, better);
        }
      }
      y[index] = best;
      positions |= u32(position) << u32(8 * i);
    }
    ow += 1;
    if ow == dims.ow {
      ow = 0;
      oh += 1;
    }
    if oh == dims.oh {
      oh = 0;
      plane += dims.h * dims.w;
    }
  }
  argmax[word] = positions;
}
