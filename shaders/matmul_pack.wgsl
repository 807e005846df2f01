// A matrix in panels, as matmul_panels reads it.
//
//   y[panel, k, w] = x[panel * WIDTH + w, k], rows behind the last being the last once more; 0 for k behind the last
//
//   x  [ROWS, K], or [K, ROWS] if BY_ROW is false, or planes of images (`place`): pixels of all images are K then
//   y  [panels][K][WIDTH] overwritten, K there a multiple of four
//   or as many of both as there are workgroups along z, one after the other
//
// An invocation takes four rows at four k, those of a workgroup a stretch of k: they read whole rows and write whole
// lines. With `by_eights` rows behind the last are the last eight once more, for kernels that store eight at a time.

const BY_ROW: bool = true;
const FOURS: u32 = 8u; // WIDTH / 4, which divides 64
alias T = f32;

struct Dims {
  rows: u32,
  k: u32,
  blocks: u32, // of four k
  by_eights: u32,
  pitch: u32, // from one row of x to the next
  first: u32, // where there are planes, the pixel in all images where K begins
  skip: u32, // from a plane to the same of the next image, less a plane
  step: u32, // from one x to the next
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

// Four neighbours in a row of x as it is stored, which begins at `row`.
fn load(i: vec4<u32>, row: u32) -> vec4<f32> { return vec4<f32>(x[row + i.x], x[row + i.y], x[row + i.z], x[row + i.w]); }

// Where numbers of a row lie within it: where they are. For images, pixels of each follow those of all rows before.
fn place(k: vec4<u32>) -> vec4<u32> { return k; }

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let block = group.x * (64u / FOURS) + index / FOURS;
  if block >= dims.blocks {
    return;
  }
  let w = group.y * (4u * FOURS) + index % FOURS * 4u;
  let lo = vec4<u32>(0u, 1u, 2u, 3u);
  var row = min(vec4<u32>(w) + lo, vec4<u32>(dims.rows - 1u));
  if dims.by_eights != 0u {
    row = vec4<u32>(min(w / 8u * 8u, dims.rows - 8u) + w % 8u) + lo;
  }
  let k = vec4<u32>(4u * block) + lo;
  let inside = k < vec4<u32>(dims.k);
  let k_read = min(k, vec4<u32>(dims.k - 1u));
  let x0 = group.z * dims.step;
  let to = ((group.z * groups.y + group.y) * dims.blocks + block) * (4u * FOURS) + index % FOURS;
  if BY_ROW {
    let at = place(k_read);
    let r0 = select(vec4<f32>(0.0), load(at, x0 + row.x * dims.pitch), inside);
    let r1 = select(vec4<f32>(0.0), load(at, x0 + row.y * dims.pitch), inside);
    let r2 = select(vec4<f32>(0.0), load(at, x0 + row.z * dims.pitch), inside);
    let r3 = select(vec4<f32>(0.0), load(at, x0 + row.w * dims.pitch), inside);
    y[to] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
    y[to + FOURS] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
    y[to + 2u * FOURS] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
    y[to + 3u * FOURS] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);
  } else {
    y[to] = select(vec4<f32>(0.0), load(row, x0 + k_read.x * dims.pitch), vec4<bool>(inside.x));
    y[to + FOURS] = select(vec4<f32>(0.0), load(row, x0 + k_read.y * dims.pitch), vec4<bool>(inside.y));
    y[to + 2u * FOURS] = select(vec4<f32>(0.0), load(row, x0 + k_read.z * dims.pitch), vec4<bool>(inside.z));
    y[to + 3u * FOURS] = select(vec4<f32>(0.0), load(row, x0 + k_read.w * dims.pitch), vec4<bool>(inside.w));
  }
}
