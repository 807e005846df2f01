// Gradient of average pooling: each pixel gathers its share from the windows that cover it.
//
//   dx[p, h, w] = act'(mask[p, h, w]) * sum over windows (oh, ow) that cover (h, w) of dy[p, oh, ow] / divisor(oh, ow)
//
//   dy [P, OH, OW],  mask [P, H, W] read if MASK,  dx [P, H, W] overwritten

const KERNEL_H: i32 = 2;
const KERNEL_W: i32 = 2;
const MASK: bool = false;

struct Dims {
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  stride_h: i32,
  stride_w: i32,
  padding_h: i32,
  padding_w: i32,
  include_pad: i32,
  count: i32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

fn derivative(v: f32) -> f32 { return 1.0; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let column = index % dims.w + dims.padding_w;
  let row = index / dims.w % dims.h + dims.padding_h;
  let plane = index / (dims.w * dims.h) * dims.oh * dims.ow;
  let first_h = max(0, (row - KERNEL_H + dims.stride_h) / dims.stride_h);
  let first_w = max(0, (column - KERNEL_W + dims.stride_w) / dims.stride_w);
  let last_h = min(dims.oh - 1, row / dims.stride_h);
  let last_w = min(dims.ow - 1, column / dims.stride_w);
  var sum = 0.0;
  for (var oh = first_h; oh <= last_h; oh += 1) {
    for (var ow = first_w; ow <= last_w; ow += 1) {
      let top = oh * dims.stride_h - dims.padding_h;
      let left = ow * dims.stride_w - dims.padding_w;
      var divisor = (min(top + KERNEL_H, dims.h) - max(0, top)) * (min(left + KERNEL_W, dims.w) - max(0, left));
      if dims.include_pad != 0 {
        let bottom = min(top + KERNEL_H, dims.h + dims.padding_h);
        let right = min(left + KERNEL_W, dims.w + dims.padding_w);
        divisor = (bottom - top) * (right - left);
      }
      sum += dy[plane + oh * dims.ow + ow] / f32(divisor);
    }
  }
  if MASK {
    sum *= derivative(mask[index]);
  }
  dx[index] = sum;
}
