//! Matrix product on `matmul`.

use super::activation::{codes, with_activations};
use super::reduce::add_splits;
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{MatMul, Node};
use crate::plan::{Class, Lowering, Operand};

pub fn lower(ctx: &mut Lowering, node: &Node, matmul: &MatMul) -> Result<()> {
    let (a, b) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let [m, n, k] = matmul.extents(&a, &b).unwrap_or_default();
    // Large tiles make fewer loads per product, small ones more invocations.
    let (tm, tn) = match ctx.target.class {
        Class::Cpu => (8, 8),
        _ => (4, 4),
    };
    let (tiles_m, tiles_n) = (m.div_ceil(tm), n.div_ceil(tn));
    let bias = node.inputs.get(2).map(|&bias| Operand::Value(bias));
    let [activation, mask] = codes(&node.epilogue);

    // Where tiles are few and K is long, ranges of K are computed side by side; not with an epilogue, which wants the sum.
    let plain = bias.is_none() && activation == 0 && mask == 0;
    let wanted = match plain {
        true => (ctx.target.busy() as usize / 8).div_ceil(tiles_m * tiles_n).min(k.div_ceil(256)),
        false => 1,
    };
    let k_per_split = k.div_ceil(wanted.max(1)).next_multiple_of(4).min(k.max(4)).min(131_072).next_multiple_of(4);
    let splits = if plain { k.div_ceil(k_per_split) } else { 1 };
    let k_per_split = if plain { k_per_split } else { k.next_multiple_of(4) };
    let a_by_row = !matmul.transpose_a;
    let b_by_row = matmul.transpose_b;
    let mut kernel = with_activations(Kernel::new("matmul"))
        .define("A_BY_ROW", a_by_row)
        .define("B_BY_ROW", b_by_row)
        .define("TM", format!("{tm}u"))
        .define("TN", format!("{tn}u"))
        .define("NV", format!("{}u", tn / 4))
        .define("MV", format!("{}u", tm / 4))
        .define("TILE", format!("{}u", tm * tn / 4));
    if (if a_by_row { k } else { m }) % 4 == 0 {
        kernel = kernel.define("A", "vec4<f32>").define("load_a", "return a[at / 4u];");
    }
    if (if b_by_row { k } else { n }) % 4 == 0 {
        kernel = kernel.define("B", "vec4<f32>").define("load_b", "return b[at / 4u];");
    }
    let invocations = (tiles_m * tiles_n * splits) as u64;
    let dims = [
        Dim::U(m as u32),
        Dim::U(n as u32),
        Dim::U(k as u32),
        Dim::U(tiles_m as u32),
        Dim::U(tiles_n as u32),
        Dim::U(k_per_split as u32),
        Dim::U(bias.is_some().into()),
        Dim::I(activation),
        Dim::I(mask),
        Dim::U(matmul.row_sums.into()),
        Dim::U(invocations as u32),
    ];
    let mask = node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output));
    let sums = node.outputs.get(1).map_or(Operand::Null, |&sums| Operand::Value(sums));
    let results = [(Operand::Value(node.outputs[0]), m * n), (sums, if matmul.row_sums { m } else { 0 })];
    add_splits(ctx, splits, results, |ctx, [y, sums]| {
        let [a, b] = [Operand::Value(node.inputs[0]), Operand::Value(node.inputs[1])];
        let operands = [a, b, bias.unwrap_or(Operand::Null), mask, y, sums];
        let note = format!("M {m}, N {n}, K {k}{}", if splits > 1 { format!(", {splits} splits") } else { String::new() });
        ctx.launch(kernel, &dims, &operands, invocations)?.cost(2 * (m * n) as u64 * k as u64, note);
        Ok(())
    })
}
