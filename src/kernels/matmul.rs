//! Matrix product on `matmul`, or on `matmul_lanes` where the adapter has lanes and rows are whole vectors.

use super::activation::{runtime_epilogue, with_epilogue, with_runtime_epilogue};
use super::reduce::add_splits;
use super::{Dim, Kernel, LIGHT};
use crate::Result;
use crate::graph::{Epilogue, Mask, MatMul, Node, Unary};
use crate::plan::{Class, Lowering, Operand};

pub fn lower(ctx: &mut Lowering, node: &Node, matmul: &MatMul) -> Result<()> {
    let (a, b) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let [m, n, k] = matmul.extents(&a, &b).unwrap_or_default();
    let whole_a = (if matmul.transpose_a { m } else { k }) % 4 == 0;
    let whole_b = (if matmul.transpose_b { k } else { n }) % 4 == 0;
    let lanes = ctx.target.lanes.filter(|_| whole_a && whole_b && (!matmul.row_sums || matmul.transpose_a));
    // Large tiles make fewer loads per product; small ones more invocations, and they compile faster.
    let large = 2 * (m * n) as u64 * k as u64 >= LIGHT;
    let (tm, tn) = match (lanes, ctx.target.class) {
        (Some(lanes), _) => (if large && m > 16 { 32 } else { 8.max(lanes as usize) }, 4 * lanes as usize),
        (None, Class::Cpu) if large => (8, 8),
        _ => (4, 4),
    };
    let (tiles_m, tiles_n) = (m.div_ceil(tm), n.div_ceil(tn));
    let bias = node.inputs.get(2).map(|&bias| Operand::Value(bias));

    // Where tiles are few and K is long, ranges of K are computed side by side; not with an epilogue, which wants the
    // sum. A range is never so long that an invocation loops more than some drivers allow (65,535 iterations).
    let plain = bias.is_none() && node.epilogue == Epilogue::default();
    let busy = ctx.target.busy() as usize / if lanes.is_some() { 64 } else { 8 };
    let wanted = if plain { busy.div_ceil(tiles_m * tiles_n).min(k.div_ceil(256)).max(k.div_ceil(131_072)) } else { 1 };
    let k_per_split = k.div_ceil(wanted.max(1)).next_multiple_of(4);
    let splits = k.div_ceil(k_per_split);

    let kernel = Kernel::new(if lanes.is_some() { "matmul_lanes" } else { "matmul" });
    let mut epilogue = node.epilogue.clone();
    // Gradients by the input come with and without a mask; one kernel for both saves a compilation.
    let masked = epilogue.mask.is_some();
    if lanes.is_some() && !masked && !matmul.transpose_a && !matmul.transpose_b && epilogue.activation.is_none() {
        epilogue.mask = Some(Mask { activation: Unary::Relu, output: node.outputs[0] });
    }
    let kernel = match lanes {
        Some(_) => with_runtime_epilogue(kernel, &epilogue),
        None => with_epilogue(kernel, &epilogue, false).define("BIAS", bias.is_some()),
    };
    let mut kernel = kernel
        .define("A_BY_ROW", !matmul.transpose_a)
        .define("B_BY_ROW", matmul.transpose_b)
        .define("SUMS", matmul.row_sums);
    let own = match lanes {
        Some(lanes) => vec![("LANES", lanes as usize), ("RM", tm), ("LOADS", tm / lanes as usize)],
        None => vec![("TM", tm), ("TN", tn), ("NV", tn / 4), ("MV", tm / 4), ("TILE", tm * tn / 4)],
    };
    kernel = own.into_iter().fold(kernel, |kernel, (name, value)| kernel.define(name, format!("{value}u")));
    // By row any N will do; small layers share the kernel that takes it one by one.
    if lanes.is_some() && n % 4 == 0 && (large || !matmul.transpose_b) {
        kernel = kernel
            .define("WHOLE", true)
            .define("Y", "vec4<f32>")
            .define("load_mask", "return mask[at.x / 4u];")
            .define("store", "y[at.x / 4u] = v;");
    }
    if lanes.is_none() {
        kernel = kernel.define("EDGE", m < tm || n < tn);
    }
    if lanes.is_none() && whole_a {
        kernel = kernel.define("A", "vec4<f32>").define("load_a", "return a[at / 4u];");
    }
    if lanes.is_none() && whole_b {
        kernel = kernel.define("B", "vec4<f32>").define("load_b", "return b[at / 4u];");
    }
    let total = (tiles_m * tiles_n * splits) as u64;
    let mut dims: Vec<Dim> = [m, n, k, tiles_m, tiles_n, k_per_split].map(|value| Dim::U(value as u32)).into();
    match lanes {
        Some(_) => {
            dims.extend(runtime_epilogue(&epilogue, bias.is_some()));
            dims.push(Dim::U(masked.into()));
        }
        None => dims.push(Dim::U(total as u32)),
    }
    let mask = node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output));
    let sums = node.outputs.get(1).map_or(Operand::Null, |&sums| Operand::Value(sums));
    let results = [(Operand::Value(node.outputs[0]), m * n), (sums, if matmul.row_sums { m } else { 0 })];
    add_splits(ctx, splits, results, |ctx, [y, sums]| {
        let [a, b] = [Operand::Value(node.inputs[0]), Operand::Value(node.inputs[1])];
        let operands = [a, b, bias.unwrap_or(Operand::Null), mask, y, sums];
        let launch = match lanes {
            Some(_) => ctx.launch_groups(kernel, &dims, &operands, total)?,
            None => ctx.launch(kernel, &dims, &operands, total)?,
        };
        let note =
            format!("M {m}, N {n}, K {k}{}", if splits > 1 { format!(", {splits} splits") } else { String::new() });
        launch.cost(2 * (m * n) as u64 * k as u64, note);
        Ok(())
    })
}
