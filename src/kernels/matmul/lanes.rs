//! Tiles of a subgroup each, on `matmul_lanes`: for CPU drivers.

use super::super::activation::{runtime_epilogue, with_runtime_epilogue};
use super::super::{Dim, Kernel};
use super::{Product, Size, sized, stored};
use crate::Result;
use crate::graph::{Mask, Unary, Value};
use crate::plan::{Lowering, Operand};

/// Whether `product` is one for this family: rows must be whole vectors.
pub(super) fn suit(product: &Product) -> bool {
    let sums = !product.flags.row_sums || product.flags.transpose_a;
    product.whole() == [true; 2] && sums
}

pub(super) fn launch(ctx: &mut Lowering, product: Product, lanes: u32) -> Result<()> {
    let [m, n, k] = product.extents;
    let (large, flags) = (product.large, &product.flags);
    let lanes = lanes as usize;
    let (tm, tn) = (if large && m > 16 { 32 } else { 8.max(lanes) }, 4 * lanes);
    let (tiles_m, tiles_n) = (m.div_ceil(tm), n.div_ceil(tn));
    let k_per_split = product.k_per_split(tiles_m * tiles_n * product.batch, ctx.target.busy() as usize / 64);
    let splits = k.div_ceil(k_per_split);

    // Gradients by the input come with and without a mask; one kernel for both saves a compilation.
    let mut epilogue = product.epilogue.clone();
    let masked = epilogue.mask.is_some();
    if !masked && !flags.transpose_a && !flags.transpose_b && epilogue.activation.is_none() {
        epilogue.mask = Some(Mask::new(Unary::Relu, Value(0)));
    }
    let kernel = with_runtime_epilogue(stored(Kernel::new("matmul_lanes"), &product), &epilogue);
    let mut kernel = sized(kernel, &[("LANES", lanes), ("RM", tm), ("LOADS", tm / lanes)]);
    // By row any N will do; small layers share the kernel that takes it one by one.
    if n % 4 == 0 && (large || !flags.transpose_b) {
        kernel = kernel
            .define("WHOLE", true)
            .define("Y", "vec4<f32>")
            .define("load_mask", "return mask[at.x / 4u];")
            .define("load_before", "return before[at.x / 4u];")
            .define("store", "y[at.x / 4u] = v;");
    }
    let mut dims = [m, n, k, tiles_m, tiles_n, k_per_split].map(|value| Dim::U(value as u32)).to_vec();
    dims.extend(runtime_epilogue(&epilogue, product.bias != Operand::Null));
    dims.push(Dim::U(masked.into()));
    dims.extend(product.steps().map(|value| Dim::U(value as u32)));
    let groups = tiles_m * tiles_n * product.batch * splits;
    product.run(ctx, kernel, &dims, splits, Size::Groups(groups))
}
