// Copies planes, cropped or with a constant around them, to where they belong in y: padding, slices, concatenation.
//
//   y[p * Y_STRIDE + Y_FIRST + i * OW + j] = act'(mask there) * x[p, i - top, j - left],  or value outside of x
//
//   x [P, H, W],  y: P planes [OH, OW], each Y_STRIDE after the one before
//   mask like y, read if MASK: from number MASK_FIRST on, with MASK_GAP numbers more between planes
//
// top and left are negative where x is cropped. Where rows are copied whole, the host makes one row of all of them, and
// an element is a vector of four if everything is a multiple of four.

alias Element = f32;
const MASK: bool = false;

struct Dims {
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  top: i32,
  left: i32,
  y_first: i32,
  y_stride: i32,
  count: i32,
  mask_first: i32,
  mask_gap: i32,
  value: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> mask: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

fn derivative(v: Element) -> Element { return Element(1.0); }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let plane = index / (dims.ow * dims.oh);
  let within = index - plane * dims.ow * dims.oh;
  let row = within / dims.ow - dims.top;
  let column = within % dims.ow - dims.left;
  let inside = row >= 0 && row < dims.h && column >= 0 && column < dims.w;
  let at = plane * dims.y_stride + dims.y_first + within;
  var v = select(Element(dims.value), x[select(0, (plane * dims.h + row) * dims.w + column, inside)], inside);
  if MASK {
    v *= derivative(mask[at + plane * dims.mask_gap + dims.mask_first]);
  }
  y[at] = v;
}
