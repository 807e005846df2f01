//! Tiles of a subgroup each over operands in panels, on `matmul_panels` with `matmul_pack`: for large products on CPU
//! drivers.

use super::super::activation::{runtime_epilogue, with_runtime_epilogue};
use super::super::{Dim, Kernel};
use super::{Product, Size, UNSPLIT, sized};
use crate::Result;
use crate::graph::{Mask, Unary, Value};
use crate::plan::{Lowering, Operand};

/// From so many rows on it pays to lay the right matrix in panels, too: each number of it is read once for 32 rows.
const PACKED: usize = 128;

/// Whether `product` is one for this family.
pub(super) fn suit(ctx: &Lowering, product: &Product) -> bool {
    let [m, n, k] = product.extents;
    let limit = ctx.target.max_workgroups as usize;
    let fits = |rows: usize| (4 * rows.next_multiple_of(128) * k.next_multiple_of(4)) as u64 <= ctx.target.max_binding;
    let sums = !product.flags.row_sums || product.flags.transpose_a;
    let right = !packs_right(product) || fits(n);
    product.large && m >= 8 && n >= 32 && sums && fits(m) && right && m.max(n) / 16 < limit
}

/// Whether the right matrix is laid in panels: it is not whole vectors, or is read often enough and not too large.
fn packs_right(product: &Product) -> bool {
    let [m, n, k] = product.extents;
    let whole = k % 4 == 0 && (product.flags.transpose_b || n % 8 == 0);
    !whole || (m >= PACKED && ((4 * n * k) as u64) < UNSPLIT)
}

pub(super) fn launch(ctx: &mut Lowering, product: Product, lanes: u32) -> Result<()> {
    let [m, n, k] = product.extents;
    let lanes = lanes as usize;
    let rm = if m <= 16 && lanes <= 8 { 16 } else { 32 };
    let tn = 8 * lanes;
    let [tiles_m, tiles_n] = [m.div_ceil(rm), n.div_ceil(tn)];
    let k_per_split = product.k_per_split(tiles_m * tiles_n, ctx.target.busy() as usize / 64);
    let splits = k.div_ceil(k_per_split);
    let whole = n % 4 == 0 && n >= 8;
    let packs = packs_right(&product);
    let by_row = product.flags.transpose_b && !packs;

    let a = pack(ctx, product.a, !product.flags.transpose_a, [m, k], rm, false)?;
    let b = match packs {
        true => pack(ctx, product.b, product.flags.transpose_b, [n, k], tn, whole)?,
        false => product.b,
    };
    let padded = k.next_multiple_of(4);
    let [b_tile, b_step, b_last] = match packs {
        true => [padded * lanes, lanes, u32::MAX as usize],
        false => [lanes, n / 8, (n / 8).saturating_sub(1)],
    };

    // With a mask or without is a number, so that gradients share a pipeline.
    let mut epilogue = product.epilogue.clone();
    let masked = epilogue.mask.is_some();
    if !masked && epilogue.activation.is_none() {
        epilogue.mask = Some(Mask::new(Unary::Relu, Value(0)));
    }
    let kernel = with_runtime_epilogue(Kernel::new("matmul_panels"), &epilogue);
    let kernel = sized(kernel, &[("LANES", lanes), ("RM", rm), ("LOADS", rm / 2 / lanes), ("ACC", 2 * rm)]);
    let mut kernel = kernel.define("B_BY_ROW", by_row).define("TOUCH", !packs && !by_row);
    if ctx.target.wide {
        kernel = in_eights(kernel, by_row);
    }
    if product.before != Operand::Null {
        kernel = kernel.define("RESUME", true);
    }
    if whole {
        kernel = kernel
            .define("WHOLE", true)
            .define("Y", "vec4<f32>")
            .define("load_mask", "return mask[at.x / 4u];")
            .define("load_before", "return before[at.x / 4u];")
            .define("store", "y[at.x / 4u] = v;");
    }
    let mut dims = [m, n, padded, k_per_split, b_tile, b_step, b_last].map(|value| Dim::U(value as u32)).to_vec();
    dims.extend(runtime_epilogue(&epilogue, product.bias != Operand::Null));
    dims.extend([masked, product.flags.row_sums].map(|flag| Dim::U(flag.into())));
    let product = Product { a, b, ..product };
    product.run(ctx, kernel, &dims, splits, Size::Grid([tiles_n, tiles_m, splits]))
}

/// The eight numbers in the integers of 64 bits `v`.
pub const HALVES: &str = "return Eight(\
    bitcast<vec4<f32>>(vec4<u32>(u32(v.x), u32(v.x >> 32u), u32(v.y), u32(v.y >> 32u))), \
    bitcast<vec4<f32>>(vec4<u32>(u32(v.z), u32(v.z >> 32u), u32(v.w), u32(v.w >> 32u))));";

/// `kernel` with eight numbers as four integers of 64 bits, the widest that WGSL can load.
fn in_eights(kernel: Kernel, by_row: bool) -> Kernel {
    let kernel = kernel.define("Vector", "vec4<u64>").define("load_a", format!("let v = a[at]; {HALVES}"));
    match by_row {
        true => kernel.define("load_b", "return Eight(b[at], b[at]);"),
        false => kernel
            .define("Row", "vec4<u64>")
            .define("load_b", format!("let v = b[at]; {HALVES}"))
            .define("touch_b", "return u32(b[at].x);")
            .define("row_b", "return vec4<f32>();"),
    }
}

/// `x` in panels of `width` rows, where `rows` by `k` numbers are stored by row or not.
fn pack(
    ctx: &mut Lowering,
    x: Operand,
    by_row: bool,
    [rows, k]: [usize; 2],
    width: usize,
    by_eights: bool,
) -> Result<Operand> {
    let (panels, blocks) = (rows.div_ceil(width), k.div_ceil(4));
    let y = ctx.temporary(16 * (panels * width * blocks) as u64);
    let mut kernel = Kernel::new("matmul_pack").define("BY_ROW", by_row).define("FOURS", format!("{}u", width / 4));
    if [rows, k][usize::from(by_row)] % 4 == 0 {
        // Behind the last row all indices are the last's.
        let load = "let v = x[(row + i.x) / 4u]; return select(v, vec4<f32>(v.w), vec4<bool>(i.x == i.y));";
        kernel = kernel.define("T", "vec4<f32>").define("load", load);
    }
    let dims = [rows, k, blocks, usize::from(by_eights)].map(|value| Dim::U(value as u32));
    let launch = ctx.launch_groups(kernel, &dims, &[x, y], 1)?;
    launch.workgroups = [blocks.div_ceil(256 / width) as u32, panels as u32, 1];
    launch.cost(0, format!("{rows} rows of {k} in panels of {width}"));
    Ok(y)
}
