//! Tiles of a workgroup each, on `matmul_tiles`: for GPUs.

use super::super::activation::with_epilogue;
use super::super::tiles::{Choice, choose};
use super::super::{Dim, Kernel};
use super::{K, LONGEST, Product, Size, stored};
use crate::Result;
use crate::plan::{Lowering, Operand};

/// The most ranges into which K is cut.
const SPLITS: usize = 64;

/// The tile and the ranges of K, if `product` is one for this family.
pub(super) fn suit(ctx: &Lowering, product: &Product) -> Option<Choice> {
    let most = if product.is_plain() && product.splits { SPLITS } else { 1 };
    // What Winograd's algorithms multiply is known to lose too much in 16 bits.
    let form = ctx.target.cooperative.iter().find(|form| !(form.half && product.counts_as.is_some()));
    let choice = choose(ctx, "matmul", product.batch, product.extents, most, form)?;
    let least = if product.is_plain() { product.extents[K].div_ceil(LONGEST) } else { 1 };
    Some(Choice { splits: choice.splits.max(least), ..choice })
}

pub(super) fn launch(ctx: &mut Lowering, product: Product, Choice { tile, splits }: Choice) -> Result<()> {
    let [m, n, k] = product.extents;
    let k_per_split = k.div_ceil(splits).next_multiple_of(tile.k);
    let splits = k.div_ceil(k_per_split);
    let kernel = with_epilogue(stored(Kernel::new("matmul_tiles"), &product), &product.epilogue, true);
    let kernel = tile.constants(kernel.define("BIAS", product.bias != Operand::Null));
    let units = tile.across([m, n]) * product.batch * splits;
    let dims = [m, n, k, m.div_ceil(tile.m), n.div_ceil(tile.n), k_per_split, units];
    let dims: Vec<Dim> = dims.into_iter().chain(product.steps()).map(|value| Dim::U(value as u32)).collect();
    product.run(ctx, kernel, &dims, splits, Size::Groups(units))
}
