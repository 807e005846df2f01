// Maximum or average over bins (PyTorch's adaptive pooling).
//
//   y[p, i, j] = maximum or average of x[p, h, w],  h from floor(i H / OH) to ceil((i + 1) H / OH) - 1, w likewise
//   argmax     = h * W + w of the first maximum in row-major order, written unless AVERAGE
//
//   x [P, H, W],  y, argmax [P, OH, OW], both overwritten
//
// One invocation computes one result in loops: bins differ in size. NaN counts as the largest number; it is recognised
// by its bits because compilers may fold x != x.

const AVERAGE: bool = false;

struct Dims {
  h: u32,
  w: u32,
  oh: u32,
  ow: u32,
  count: u32,
  per_oh: f32, // 1 / OH
  per_ow: f32,
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
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let row = divided(index, dims.ow, dims.per_ow);
  let number = divided(row, dims.oh, dims.per_oh);
  let i = row - number * dims.oh;
  let j = index - row * dims.ow;
  let plane = number * dims.h * dims.w;
  let top = divided(i * dims.h, dims.oh, dims.per_oh);
  let bottom = divided((i + 1u) * dims.h + dims.oh - 1u, dims.oh, dims.per_oh);
  let left = divided(j * dims.w, dims.ow, dims.per_ow);
  let right = divided((j + 1u) * dims.w + dims.ow - 1u, dims.ow, dims.per_ow);
  var best = -3.4028234e38;
  var position = top * dims.w + left;
  var sum = 0.0;
  for (var h = top; h < bottom; h += 1u) {
    for (var w = left; w < right; w += 1u) {
      let at = h * dims.w + w;
      let v = x[plane + at];
      if AVERAGE {
        sum += v;
      } else {
        let better = v > best || (is_nan(v) && !is_nan(best));
        best = select(best, v, better);
        position = select(position, at, better);
      }
    }
  }
  if AVERAGE {
    y[index] = sum / f32((bottom - top) * (right - left));
  } else {
    y[index] = best;
    argmax[index] = position;
  }
}
