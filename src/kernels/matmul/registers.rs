//! Tiles in the registers of single invocations, on `matmul`: for any adapter.

use super::super::activation::with_epilogue;
use super::super::{Dim, Kernel};
use super::{Product, Size, sized, stored};
use crate::Result;
use crate::plan::{Class, Lowering, Operand};

pub(super) fn launch(ctx: &mut Lowering, product: Product) -> Result<()> {
    let [m, n, k] = product.extents;
    let (tm, tn) = if ctx.target.class == Class::Cpu && product.large { (8, 8) } else { (4, 4) };
    let (tiles_m, tiles_n) = (m.div_ceil(tm), n.div_ceil(tn));
    let k_per_split = product.k_per_split(tiles_m * tiles_n * product.batch, ctx.target.busy() as usize / 8);
    let splits = k.div_ceil(k_per_split);

    let kernel = with_epilogue(stored(Kernel::new("matmul"), &product), &product.epilogue, false);
    let kernel = kernel.define("BIAS", product.bias != Operand::Null).define("EDGE", m < tm || n < tn);
    let tile = [("TM", tm), ("TN", tn), ("NV", tn / 4), ("MV", tm / 4), ("TILE", tm * tn / 4)];
    let mut kernel = sized(kernel, &tile);
    let [whole_a, whole_b] = product.whole();
    if whole_a {
        kernel = kernel.define("A", "vec4<f32>").define("load_a", "return a[at / 4u];");
    }
    if whole_b {
        kernel = kernel.define("B", "vec4<f32>").define("load_b", "return b[at / 4u];");
    }
    let total = tiles_m * tiles_n * product.batch * splits;
    let dims = [m, n, k, tiles_m, tiles_n, k_per_split, total].into_iter().chain(product.steps());
    let dims: Vec<Dim> = dims.map(|value| Dim::U(value as u32)).collect();
    product.run(ctx, kernel, &dims, splits, Size::Invocations(total))
}
