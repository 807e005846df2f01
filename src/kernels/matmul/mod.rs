//! Matrix product on `matmul`, on `matmul_lanes` where the adapter has lanes and rows are whole vectors, or on
//! `matmul_tiles` where it is a GPU and there are tiles to fill.
//!
//! A matrix above what a binding covers is multiplied part by part. Parts are rows of it as it is stored, so they are
//! ranges of M, N or K. Ranges of M and N are products of their own; those of K resume the sum where the one before left
//! it, so that numbers are those of the whole product to the last bit.

mod lanes;
mod panels;
mod registers;
mod tiles;

pub use panels::{HALVES, Panels, Planes, Right, Unpacked, tile_rows};

use super::pad::{put_columns, take_columns};
use super::reduce::add_splits;
use super::{Dim, Kernel, LIGHT};
use crate::Result;
use crate::graph::{Epilogue, MatMul, Node, Value};
use crate::plan::{Lowering, Operand};

/// A right matrix of so many bytes gives an adapter work enough without splits of K, which would have to know of parts.
const UNSPLIT: u64 = 32 << 20;

/// The longest K of one range: a quarter as many iterations, and some drivers end loops after 65,535 of them.
pub const LONGEST: usize = 131_072;

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

    /// Whether K is contiguous in `a`, and in `b`.
    fn by_row(&self) -> [bool; 2] {
        [!self.flags.transpose_a, self.flags.transpose_b]
    }

    /// Whether rows of `a` as it is stored, and of `b`, are whole vectors.
    fn whole(&self) -> [bool; 2] {
        let [m, n, k] = self.extents;
        let [a, b] = self.by_row();
        [if a { k } else { m }, if b { k } else { n }].map(|row| row % 4 == 0)
    }

    /// One launch on the family that this adapter and these shapes ask for.
    fn launch(self, ctx: &mut Lowering) -> Result<()> {
        let Some(count) = ctx.target.lanes else {
            return match tiles::suit(ctx, &self) {
                Some(choice) => tiles::launch(ctx, self, choice),
                None => registers::launch(ctx, self),
            };
        };
        let families = [("panels", panels::suit(ctx, &self)), ("lanes", lanes::suit(&self)), ("registers", true)];
        let families: Vec<String> =
            families.iter().filter(|(_, suits)| *suits).map(|(name, _)| name.to_string()).collect();
        match families[ctx.choose(self.question(), families.clone())].as_str() {
            "panels" => panels::launch(ctx, self, count),
            "lanes" => lanes::launch(ctx, self, count),
            _ => registers::launch(ctx, self),
        }
    }

    /// What is asked where several kernels can compute it.
    fn question(&self) -> String {
        let [m, n, k] = self.extents;
        let stored = |turned: bool| if turned { "t" } else { "n" };
        let [a, b] = [self.flags.transpose_a, self.flags.transpose_b].map(stored);
        format!("matmul {a}{b} {m}x{n}x{k}")
    }

    /// The length of the ranges into which K is cut, where `tiles` tiles are computed side by side and `busy` of them
    /// keep the adapter busy: a multiple of four.
    ///
    /// Where tiles are few and K is long, ranges of K are computed side by side; not with an epilogue, which wants the sum.
    /// A range is never so long that an invocation loops more than some drivers allow (65,535 iterations).
    fn k_per_split(&self, tiles: usize, busy: usize) -> usize {
        let k = self.extents[K];
        let wanted = match (self.is_plain(), self.splits) {
            (true, true) => busy.div_ceil(tiles).min(k.div_ceil(256)).max(k.div_ceil(LONGEST)),
            (true, false) => k.div_ceil(LONGEST),
            _ => 1,
        };
        k.div_ceil(wanted.max(1)).next_multiple_of(4)
    }

    /// Launches `kernel`, and adds up what `splits` ranges of K come to.
    fn run(self, ctx: &mut Lowering, kernel: Kernel, dims: &[Dim], splits: usize, size: Size) -> Result<()> {
        let [m, n, k] = self.extents;
        let results = [(self.y, m * n), (self.sums, if self.flags.row_sums { m } else { 0 })];
        add_splits(ctx, splits, results, |ctx, [y, sums]| {
            let operands = [self.a, self.b, self.bias, self.mask, y, sums, self.before];
            let launch = match size {
                Size::Groups(count) => ctx.launch_groups(kernel, dims, &operands, count as u64)?,
                Size::Invocations(count) => ctx.launch(kernel, dims, &operands, count as u64)?,
            };
            let note = if splits > 1 { format!(", {splits} splits") } else { String::new() };
            launch.cost(2 * (m * n) as u64 * k as u64, format!("M {m}, N {n}, K {k}{note}"));
            Ok(())
        })
    }
}

/// How large a launch is.
enum Size {
    Groups(usize),
    Invocations(usize),
}

/// The constants of `kernel` that say how `product` is stored.
fn stored(kernel: Kernel, product: &Product) -> Kernel {
    let [a, b] = product.by_row();
    let kernel = kernel.define("A_BY_ROW", a).define("B_BY_ROW", b).define("SUMS", product.flags.row_sums);
    if product.before == Operand::Null { kernel } else { kernel.define("RESUME", true) }
}

/// `kernel` with integer constants.
fn sized(kernel: Kernel, constants: &[(&'static str, usize)]) -> Kernel {
    constants.iter().fold(kernel, |kernel, &(name, value)| kernel.define(name, format!("{value}u")))
}
