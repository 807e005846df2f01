//! Eight numbers to a load and to a store.
//!
//! CPU drivers load and store lane by lane, component by component, and take hardly longer for a component of 64 bits
//! than for one of 32. Kernels that are all loads and stores read and write `Packed`s of one vector (or number), or, as
//! [`widened`] makes them, of two in four integers of 64 bits; they work on the halves one after the other.

use super::Kernel;

/// Numbers of a wide `Packed`.
pub const WIDTH: usize = 8;

/// The body of a function that joins the vectors `a` and `b` to one of those.
pub const JOIN: &str = "let p = bitcast<vec4<u32>>(a); let q = bitcast<vec4<u32>>(b); \
    return vec4<u64>(u64(p.x) | (u64(p.y) << 32u), u64(p.z) | (u64(p.w) << 32u), \
    u64(q.x) | (u64(q.y) << 32u), u64(q.z) | (u64(q.w) << 32u));";

/// `kernel` with eight numbers to a `Packed`: it declares that alias, `HALVES`, and the functions `part` and `join`.
pub fn widened(kernel: Kernel) -> Kernel {
    const PART: &str = "let p = select(v.xy, v.zw, h == 1u); \
        return bitcast<vec4<f32>>(vec4<u32>(u32(p.x), u32(p.x >> 32u), u32(p.y), u32(p.y >> 32u)));";
    kernel.define("Packed", "vec4<u64>").define("HALVES", "2u").define("part", PART).define("join", JOIN)
}
