// Gradient of local response normalisation, from its operand. With d the base of the power of response_norm,
//
//   dx[c] = act'(mask[c]) * (dy[c] * d[c]^-beta - factor * x[c] * sum of dy[c'] * x[c'] * d[c']^(-beta - 1))
//
//   summed over the c' in whose window c lies: c - AFTER to c - AFTER + SIZE - 1;  factor = 2 * beta * scale
//
//   dy, x, dx [N, C, S],  mask likewise, read if MASK,  dx overwritten
//
// As in response_norm an invocation computes CHANNELS results and works d out anew: two loads and a power for each
// result are cheaper than a tensor more.

alias Element = f32;
const SIZE: i32 = 5;
const BEFORE: i32 = 2;
const AFTER: i32 = 2;
const CHANNELS: i32 = 8;
const TERMS: i32 = 12; // CHANNELS + SIZE - 1
const LOADED: i32 = 16; // CHANNELS + 2 * (SIZE - 1)
const MASK: bool = false;

struct Dims {
  channels: i32,
  inner: i32, // S
  count: i32,
  k: f32,
  scale: f32,
  beta: f32,
  factor: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> dy: array<Element>;
@group(0) @binding(2) var<storage, read> x: array<Element>;
@group(0) @binding(3) var<storage, read> mask: array<Element>;
@group(0) @binding(4) var<storage, read_write> dx: array<Element>;

/// d^-beta
fn power(d: Element) -> Element { return exp2(-dims.beta * log2(d)); }
fn derivative(v: Element) -> Element { return Element(1.0); }

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
  var v: array<Element, LOADED>; // from channel first - BEFORE - AFTER on
  // unroll
  for (var i = 0; i < LOADED; i += 1) {
    let c = first - BEFORE - AFTER + i;
    let inside = c >= 0 && c < dims.channels;
    v[i] = select(Element(0.0), x[at + select(0, c, inside) * dims.inner], inside);
  }
  var direct: array<Element, TERMS>; // from channel first - AFTER on
  var terms: array<Element, TERMS>;
  // unroll
  for (var t = 0; t < TERMS; t += 1) {
    let c = first - AFTER + t;
    let inside = c >= 0 && c < dims.channels;
    let grad = select(Element(0.0), dy[at + select(0, c, inside) * dims.inner], inside);
    var sum = Element(0.0);
    // unroll
    for (var j = 0; j < SIZE; j += 1) {
      sum += v[t + j] * v[t + j];
    }
    let d = dims.k + dims.scale * sum;
    direct[t] = grad * power(d);
    terms[t] = select(Element(0.0), direct[t] * v[t + BEFORE] / d, inside);
  }
  // unroll
  for (var c = 0; c < CHANNELS; c += 1) {
    var sum = Element(0.0);
    // unroll
    for (var j = 0; j < SIZE; j += 1) {
      sum += terms[c + j];
    }
    var result = direct[c + AFTER] - dims.factor * v[c + BEFORE + AFTER] * sum;
    if MASK {
      result *= derivative(mask[at + (first + c) * dims.inner]);
    }
    dx[at + (first + c) * dims.inner] = result;
  }
}
