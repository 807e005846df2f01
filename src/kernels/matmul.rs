//! Matrix product on `matmul`, or on `matmul_lanes` where the adapter has lanes and rows are whole vectors.
//!
//! A matrix above what a binding covers is multiplied part by part. Parts are rows of it as it is stored, so they are
//! ranges of M, N or K. Ranges of M and N are products of their own; those of K resume the sum where the one before left
//! it, so that numbers are those of the whole product to the last bit.

use super::activation::{runtime_epilogue, with_epilogue, with_runtime_epilogue};
use super::pad::{put_columns, take_columns};
use super::reduce::add_splits;
use super::{Dim, Kernel, LIGHT};
use crate::Result;
use crate::graph::{Epilogue, Mask, MatMul, Node, Unary, Value};
use crate::plan::{Class, Lowering, Operand};

/// A right matrix of so many bytes gives an adapter work enough without splits of K, which would have to know of parts.
const UNSPLIT: u64 = 32 << 20;

/// The longest K of one range: a quarter as many iterations, and some drivers end loops after 65,535 of them.
const LONGEST: usize = 131_072;

/// A product with what is bound to it.
#[derive(Clone)]
struct Product {
    /// M, N and K.
    extents: [usize; 3],
    flags: MatMul,
    epilogue: Epilogue,
    a: Operand,
    b: Operand,
    bias: Operand,
    mask: Operand,
    y: Operand,
    sums: Operand,
    /// The sum over earlier K, if there is one.
    before: Operand,
    /// Whether K may be split.
    splits: bool,
    /// Large tiles make fewer loads per product; small ones more invocations, and they compile faster.
    large: bool,
}

/// An axis of a product, as an index into its extents.
const M: usize = 0;
const N: usize = 1;
const K: usize = 2;

pub fn lower(ctx: &mut Lowering, node: &Node, matmul: &MatMul) -> Result<()> {
    let [a, b, y] = [node.inputs[0], node.inputs[1], node.outputs[0]];
    let extents = matmul.extents(&ctx.shape(a), &ctx.shape(b)).unwrap_or_default();
    let optional = |value: Option<&Value>| value.map_or(Operand::Null, |&value| Operand::Value(value));
    let whole = Product {
        extents,
        flags: matmul.clone(),
        epilogue: node.epilogue.clone(),
        a: Operand::Value(a),
        b: Operand::Value(b),
        bias: optional(node.inputs.get(2)),
        mask: optional(node.epilogue.mask.as_ref().map(|mask| &mask.output)),
        y: Operand::Value(y),
        sums: optional(node.outputs.get(1)),
        before: Operand::Null,
        splits: ctx.graph.info(b).bytes() < UNSPLIT,
        large: 2 * extents.iter().map(|&extent| extent as u64).product::<u64>() >= LIGHT,
    };
    let rows_of = [(a, if matmul.transpose_a { K } else { M }), (b, if matmul.transpose_b { N } else { K }), (y, M)];
    let cut = rows_of.into_iter().find_map(|(value, axis)| Some((axis, ctx.rows_per_binding(value)?)));
    match cut {
        None if extents[K] > LONGEST && !whole.is_plain() => whole.in_parts(ctx, K, LONGEST),
        None => whole.launch(ctx),
        Some((axis, per_part)) => whole.in_parts(ctx, axis, per_part),
    }
}

impl Product {
    /// One launch for each `per_part` of the extent along `axis`.
    fn in_parts(self, ctx: &mut Lowering, axis: usize, per_part: usize) -> Result<()> {
        let [m, n, k] = self.extents;
        let mut before = Operand::Null;
        for first in (0..self.extents[axis]).step_by(per_part) {
            let count = per_part.min(self.extents[axis] - first);
            let mut part = Self { splits: false, before, ..self.clone() };
            part.extents[axis] = count;
            // A matrix is cut by rows in place; of its columns a copy is made.
            let cut = |ctx: &mut Lowering, x: Operand, by_rows: bool, rows: usize| match (x, by_rows) {
                (Operand::Value(value), true) => Ok(Operand::Rows(value, first, count)),
                (Operand::Null, _) => Ok(x),
                _ => take_columns(ctx, x, [rows, self.extents[axis]], first, count),
            };
            match axis {
                M => {
                    part.a = cut(ctx, self.a, !self.flags.transpose_a, k)?;
                    part.y = cut(ctx, self.y, true, m)?;
                    part.mask = cut(ctx, self.mask, true, m)?;
                    if self.sums != Operand::Null {
                        part.sums = ctx.temporary(4 * count as u64);
                    }
                }
                N => {
                    part.b = cut(ctx, self.b, self.flags.transpose_b, k)?;
                    part.bias = cut(ctx, self.bias, false, 1)?;
                    part.y = ctx.temporary(4 * (m * count) as u64);
                    part.mask = cut(ctx, self.mask, false, m)?;
                }
                _ => {
                    part.a = cut(ctx, self.a, self.flags.transpose_a, m)?;
                    part.b = cut(ctx, self.b, !self.flags.transpose_b, n)?;
                    if first + count < k {
                        part = Self { bias: Operand::Null, mask: Operand::Null, epilogue: Epilogue::default(), ..part };
                        part.y = ctx.temporary(4 * (m * n) as u64);
                        before = part.y;
                    }
                }
            }
            let Self { y, sums, .. } = part;
            part.launch(ctx)?;
            if axis == N {
                put_columns(ctx, y, self.y, [m, n], first, count)?;
            }
            if axis == M && sums != Operand::Null {
                put_columns(ctx, sums, self.sums, [1, m], first, count)?;
            }
        }
        Ok(())
    }

    /// Whether the result is nothing but the sum, which may then be computed in ranges side by side.
    fn is_plain(&self) -> bool {
        self.bias == Operand::Null && self.before == Operand::Null && self.epilogue == Epilogue::default()
    }

    fn launch(self, ctx: &mut Lowering) -> Result<()> {
        let plain = self.is_plain();
        let Self { extents: [m, n, k], flags, bias, mask, before, large, .. } = self;
        let mut epilogue = self.epilogue;
        let whole_a = (if flags.transpose_a { m } else { k }) % 4 == 0;
        let whole_b = (if flags.transpose_b { k } else { n }) % 4 == 0;
        let lanes = ctx.target.lanes.filter(|_| whole_a && whole_b && (!flags.row_sums || flags.transpose_a));
        let (tm, tn) = match (lanes, ctx.target.class) {
            (Some(lanes), _) => (if large && m > 16 { 32 } else { 8.max(lanes as usize) }, 4 * lanes as usize),
            (None, Class::Cpu) if large => (8, 8),
            _ => (4, 4),
        };
        let (tiles_m, tiles_n) = (m.div_ceil(tm), n.div_ceil(tn));

        // Where tiles are few and K is long, ranges of K are computed side by side; not with an epilogue, which wants the
        // sum. A range is never so long that an invocation loops more than some drivers allow (65,535 iterations).
        let busy = ctx.target.busy() as usize / if lanes.is_some() { 64 } else { 8 };
        let wanted = match (plain, self.splits) {
            (true, true) => busy.div_ceil(tiles_m * tiles_n).min(k.div_ceil(256)).max(k.div_ceil(LONGEST)),
            (true, false) => k.div_ceil(LONGEST),
            _ => 1,
        };
        let k_per_split = k.div_ceil(wanted.max(1)).next_multiple_of(4);
        let splits = k.div_ceil(k_per_split);

        let kernel = Kernel::new(if lanes.is_some() { "matmul_lanes" } else { "matmul" });
        // Gradients by the input come with and without a mask; one kernel for both saves a compilation.
        let masked = epilogue.mask.is_some();
        if lanes.is_some() && !masked && !flags.transpose_a && !flags.transpose_b && epilogue.activation.is_none() {
            epilogue.mask = Some(Mask::new(Unary::Relu, Value(0)));
        }
        let kernel = match lanes {
            Some(_) => with_runtime_epilogue(kernel, &epilogue),
            None => with_epilogue(kernel, &epilogue, false).define("BIAS", bias != Operand::Null),
        };
        let mut kernel = kernel
            .define("A_BY_ROW", !flags.transpose_a)
            .define("B_BY_ROW", flags.transpose_b)
            .define("SUMS", flags.row_sums);
        if before != Operand::Null {
            kernel = kernel.define("RESUME", true);
        }
        let own = match lanes {
            Some(lanes) => vec![("LANES", lanes as usize), ("RM", tm), ("LOADS", tm / lanes as usize)],
            None => vec![("TM", tm), ("TN", tn), ("NV", tn / 4), ("MV", tm / 4), ("TILE", tm * tn / 4)],
        };
        kernel = own.into_iter().fold(kernel, |kernel, (name, value)| kernel.define(name, format!("{value}u")));
        // By row any N will do; small layers share the kernel that takes it one by one.
        if lanes.is_some() && n % 4 == 0 && (large || !flags.transpose_b) {
            kernel = kernel
                .define("WHOLE", true)
                .define("Y", "vec4<f32>")
                .define("load_mask", "return mask[at.x / 4u];")
                .define("load_before", "return before[at.x / 4u];")
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
                dims.extend(runtime_epilogue(&epilogue, bias != Operand::Null));
                dims.push(Dim::U(masked.into()));
            }
            None => dims.push(Dim::U(total as u32)),
        }
        let results = [(self.y, m * n), (self.sums, if flags.row_sums { m } else { 0 })];
        add_splits(ctx, splits, results, |ctx, [y, sums]| {
            let operands = [self.a, self.b, bias, mask, y, sums, before];
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
}
