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
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> argmax: array<u32>;

fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * 64u;
  if index >= dims.count {
    return;
  }
  let i = index / dims.ow % dims.oh;
  let j = index % dims.ow;
  let plane = index / (dims.ow * dims.oh) * dims.h * dims.w;
  let top = i * dims.h / dims.oh;
  let bottom = ((i + 1u) * dims.h + dims.oh - 1u) / dims.oh;
  let left = j * dims.w / dims.ow;
  let right = ((j + 1u) * dims.w + dims.ow - 1u) / dims.ow;
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
