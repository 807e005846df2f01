// What a convolution sums, in columns: with them it is a product of matrices, whatever its strides and filters.
//
//   y[(c, r, s), p] = x[n, c, oh * stride_h + r * dilation_h - padding_h, ow * STRIDE_W + s * DILATION_W - padding_w],
//   (n, oh, ow) being pixel dims.first + p of all results, of which dims.count are at hand
//
//   x  [N, C, H, W], zero outside
//   y  in the panels that matmul_panels reads, overwritten. [pixels / (8 LANES)][rows][8 LANES], rows (c, r, s) rounded up
//      to four and those behind the last zero; pixels behind the last are the last eight once more. Or, for products that
//      sum over pixels, TURNED: [rows / (8 LANES)][pitch][8 LANES], pixels and channels behind the last being zero.
//
// One subgroup to a workgroup, for 8 or (TURNED) 4 pixels per lane and a range of channels. Pixels come in runs of UNIT
// from one row. Where they lie is worked out once: CPU drivers divide lane by lane.

const LANES: u32 = 8u;
const TURNED: bool = false;
const UNIT: u32 = 1u; // OW is a multiple of it
const RUNS: u32 = 8u; // PIXELS / UNIT
const PIXELS: u32 = 8u; // 4 if TURNED
const FOURS: u32 = 2u; // PIXELS / 4
const CHANNELS: u32 = 1u; // at a time: 4 if TURNED
const AT_ONCE: u32 = 1u; // rows of the filter: all of them if TURNED
const TAP_COLS: u32 = 3u;
const TAPS: u32 = 3u; // AT_ONCE * TAP_COLS
const STRIDE_W: u32 = 1u;
const DILATION_W: u32 = 1u;
const IN: i32 = 1; // pixels to a vector of x: W and where windows begin are multiples of it
const OFFSET: i32 = 0; // pixels before the window, so that it begins with a whole vector
const VECTORS: u32 = 3u; // the window of a run in vectors, with OFFSET
const WIDTH: u32 = 3u; // VECTORS * IN
const WINDOW: u32 = 24u; // RUNS * WIDTH
const ROWS: u32 = 3u; // CHANNELS * TAPS
const VALUES: u32 = 24u; // ROWS * PIXELS
alias X = f32;

struct Dims {
  channels: i32,
  taps_h: i32,
  per_group: i32, // channels of a workgroup, a multiple of CHANNELS
  h: i32,
  w: i32,
  oh: i32,
  ow: i32,
  stride_h: i32,
  dilation_h: i32,
  padding_h: i32,
  padding_w: i32,
  first: i32,
  count: i32,
  rows: i32, // of a panel, unless TURNED
  pitch: i32, // pixels of a panel, if TURNED
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn part(v: X, i: i32) -> f32 { return v; }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let own = i32((workgroup.x * LANES + lane) * PIXELS);
  var p0 = min(own, dims.count - 8);
  if TURNED {
    p0 = own;
  }
  let plane = dims.oh * dims.ow;
  var row0: array<i32, RUNS>;
  var column0: array<i32, RUNS>;
  var image: array<i32, RUNS>;
  var known: array<bool, RUNS>;
  // unroll
  for (var run = 0u; run < RUNS; run += 1u) {
    let p = dims.first + p0 + i32(run * UNIT);
    let n = p / plane;
    let rest = p - n * plane;
    let row = rest / dims.ow;
    row0[run] = row * dims.stride_h - dims.padding_h;
    column0[run] = (rest - row * dims.ow) * i32(STRIDE_W) - dims.padding_w - OFFSET;
    image[run] = n * dims.channels * dims.h;
    known[run] = p0 + i32(run * UNIT) < dims.count;
  }
  let begin = i32(workgroup.y) * dims.per_group;
  let end = min(begin + dims.per_group, dims.channels);
  // One loop over channels and rows of the filter: each has variables to carry.
  var c = begin;
  var r0 = 0;
  // Within loops, CPU drivers read a uniform once for each lane.
  let h = dims.h;
  let w = dims.w;
  let channels = dims.channels;
  let taps_h = dims.taps_h;
  let dilation_h = dims.dilation_h;
  let rows = dims.rows;
  let pitch = dims.pitch;
  for (var i = begin * taps_h; i < end * taps_h; i += i32(CHANNELS * AT_ONCE)) {
    var values: array<f32, VALUES>;
    // unroll
    for (var e = 0u; e < CHANNELS; e += 1u) {
      let channel = c + i32(e);
      // unroll
      for (var r = 0u; r < AT_ONCE; r += 1u) {
        var window: array<f32, WINDOW>;
        // unroll
        for (var run = 0u; run < RUNS; run += 1u) {
          let row = row0[run] + (r0 + i32(r)) * dilation_h;
          let row_inside = known[run] && row >= 0 && row < h && channel < channels;
          let line = (image[run] + channel * h + row) * w + column0[run];
          // unroll
          for (var j = 0u; j < VECTORS; j += 1u) {
            let column = column0[run] + i32(j) * IN;
            let inside = row_inside && column >= 0 && column < w;
            let read = x[select(0, line + i32(j) * IN, inside) / IN];
            // unroll
            for (var element = 0; element < IN; element += 1) {
              window[run * WIDTH + j * u32(IN) + u32(element)] = select(0.0, part(read, element), inside);
            }
          }
        }
        // unroll
        for (var s = 0u; s < TAP_COLS; s += 1u) {
          // unroll
          for (var p = 0u; p < PIXELS; p += 1u) {
            values[((e * AT_ONCE + r) * TAP_COLS + s) * PIXELS + p] = window[p / UNIT * WIDTH + p % UNIT * STRIDE_W + s * DILATION_W + u32(OFFSET)];
          }
        }
      }
    }
    if TURNED {
      // Four rows (c, r, s) to a vector: those of four channels are whole ones. Compilers look at indices here in any case.
      // unroll
      for (var j = 0u; j < TAPS; j += 1u) {
        let quad = u32(c) / 4u * TAPS + j;
        let to = (quad / (2u * LANES) * u32(pitch) + u32(own)) * (2u * LANES) + quad % (2u * LANES);
        // unroll
        for (var p = 0u; p < PIXELS; p += 1u) {
          y[to + p * 2u * LANES] = vec4<f32>(values[4u * j % ROWS * PIXELS + p], values[(4u * j + 1u) % ROWS * PIXELS + p], values[(4u * j + 2u) % ROWS * PIXELS + p], values[(4u * j + 3u) % ROWS * PIXELS + p]);
        }
      }
    } else {
      let to = ((i32(workgroup.x) * rows + i * i32(TAP_COLS)) * i32(LANES) + i32(lane)) * i32(FOURS);
      // unroll
      for (var k = 0u; k < TAPS; k += 1u) {
        // unroll
        for (var q = 0u; q < FOURS; q += 1u) {
          y[to + i32(k * 2u * LANES + q)] = vec4<f32>(values[k * PIXELS + 4u * q], values[k * PIXELS + 4u * q + 1u], values[k * PIXELS + 4u * q + 2u], values[k * PIXELS + 4u * q + 3u]);
        }
      }
    }
    r0 += i32(AT_ONCE);
    let done = r0 == taps_h;
    c += select(0, i32(CHANNELS), done);
    r0 = select(r0, 0, done);
  }
  if !TURNED && end == channels {
    for (var row = channels * taps_h * i32(TAP_COLS); row < rows; row += 1) {
      let to = ((i32(workgroup.x) * rows + row) * i32(LANES) + i32(lane)) * 2;
      y[to] = vec4<f32>(0.0);
      y[to + 1] = vec4<f32>(0.0);
    }
  }
}
