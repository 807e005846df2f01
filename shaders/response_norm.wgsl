// Local response normalisation across channels.
//
//   y[n, c, s] = x[n, c, s] * (k + scale * sum over j in 0..SIZE of x[n, c - BEFORE + j, s]^2)^-beta
//
//   x, y [N, C, S], channels that do not exist count as zero; scale = alpha / SIZE; y overwritten
//
// An invocation computes CHANNELS results, one above the other, so that a number is loaded for several windows; C is a
// multiple of CHANNELS. Each window is added up anew, in ascending order: a running sum would gather roundings.

alias Element = f32;
const SIZE: i32 = 5;
const BEFORE: i32 = 2;
const CHANNELS: i32 = 8;
const LOADED: i32 = 12; // CHANNELS + SIZE - 1

struct Dims {
  channels: i32,
  inner: i32, // S
  count: i32,
  k: f32,
  scale: f32,
  beta: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

/// d^-beta
fn power(d: Element) -> Element { return exp2(-dims.beta * log2(d)); }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = i32(id.x + id.y * groups.x * 64u);
  if index >= dims.count {
    return;
  }
  let runs = dims.channels / CHANNELS;
  let first = index / dims.inner % runs * CHANNELS;
  let sample = index / dims.inner / runs * dims.channels;
  let at = sample * dims.inner + index % dims.inner;
  var v: array<Element, LOADED>;
  // unroll
  for (var i = 0; i < LOADED; i += 1) {
    let c = first - BEFORE + i;
    let inside = c >= 0 && c < dims.channels;
    v[i] = select(Element(0.0), x[at + select(0, c, inside) * dims.inner], inside);
  }
  // unroll
  for (var c = 0; c < CHANNELS; c += 1) {
    var sum = Element(0.0);
    // unroll
    for (var j = 0; j < SIZE; j += 1) {
      sum += v[c + j] * v[c + j];
    }
    y[at + (first + c) * dims.inner] = v[c + BEFORE] * power(dims.k + dims.scale * sum);
  }
}
