//! Matrix products on `matmul`, on `matmul_lanes` where the adapter has lanes and rows are whole vectors, or on
//! `matmul_tiles` where it is a GPU and there are tiles to fill.
//!
//! A matrix above what a binding covers is multiplied part by part. Parts are rows of it as it is stored, so they are
//! ranges of M, N or K. Ranges of M and N are products of their own; those of K resume the sum where the one before left
//! it, so that numbers are those of the whole product to the last bit (row sums are added up behind). A batch of matrices
//! is cut by its first axis (`windows`).

mod lanes;
mod panels;
mod registers;
mod tiles;

pub use panels::{HALVES, Panels, Planes, Right, Unpacked, tile_rows};

use super::pad::{put_columns, take_columns};
use super::reduce::{add_splits, sum};
use super::{Dim, Kernel, LIGHT};
use crate::Result;
use crate::graph::{Epilogue, MatMul, Node, Value};
use crate::plan::{Lowering, Operand};

/// A right matrix of so many bytes gives an adapter work enough without splits of K, which would have to know of parts.
const UNSPLIT: u64 = 32 << 20;

/// The longest K of one range: a quarter as many iterations, and some drivers end loops after 65,535 of them.
pub const LONGEST: usize = 131_072;

/// Products with what is bound to them.
#[derive(Clone)]
struct Product {
    /// M, N and K.
    extents: [usize; 3],
    /// So many products of these extents, whose operands and results lie one after the other.
    batch: usize,
    /// Whether all have the same left matrix, and the same right one.
    shared: [bool; 2],
    flags: MatMul,
    epilogue: Epilogue,
    a: Operand,
    b: Operand,
    bias: Operand,
    mask: Operand,
    y: Operand,
    sums: Operand,
    /// What is added: the sum over earlier K, or another tensor.
    before: Operand,
    /// Whether K may be split.
    splits: bool,
    /// Large tiles make fewer loads per product; small ones more invocations, and they compile faster.
    large: bool,
    /// Operations and shapes of what it is a part of, if it is one.
    counts_as: Option<(u64, String)>,
}

/// An axis of a product, as an index into its extents.
const M: usize = 0;
const N: usize = 1;
const K: usize = 2;

pub fn lower(ctx: &mut Lowering, node: &Node, matmul: &MatMul) -> Result<()> {
    let [a, b, y] = [node.inputs[0], node.inputs[1], node.outputs[0]];
    let [of_a, of_b] = [a, b].map(|value| ctx.shape(value));
    let [m, n, k] = matmul.extents(&of_a, &of_b).unwrap_or_default();
    let count: usize = MatMul::batch(&of_a, &of_b).iter().product();
    let shared = [&of_a, &of_b].map(|shape| shape.len() == 2);
    // Rows of many matrices that all meet one are rows of one matrix.
    let (batch, m) = if shared[1] && !matmul.transpose_a { (1, count * m) } else { (count, m) };
    let extents = [m, n, k];
    let whole_rows = ctx.graph.info(y).elements() / n.max(1);
    let optional = |value: Option<&Value>| value.map_or(Operand::Null, |&value| Operand::Value(value));
    let whole = Product {
        extents,
        batch,
        shared,
        flags: matmul.clone(),
        epilogue: node.epilogue.clone(),
        a: Operand::Value(a),
        b: Operand::Value(b),
        bias: optional(node.inputs.get(2)),
        mask: optional(node.epilogue.mask.as_ref().map(|mask| &mask.output)),
        y: Operand::Value(y),
        sums: optional(node.outputs.get(1)),
        before: optional(node.epilogue.add.as_ref()),
        // Of a batch that may be computed range by range the whole decides, here and below.
        splits: match of_a.len().max(of_b.len()) {
            2 => ctx.graph.info(b).bytes() < UNSPLIT,
            _ => [a, b, y].iter().all(|&value| ctx.graph.info(value).bytes() < UNSPLIT),
        },
        large: 2 * whole_rows as u64 * (n * k) as u64 >= LIGHT,
        counts_as: None,
    };
    let rows_of = [(a, if matmul.transpose_a { K } else { M }), (b, if matmul.transpose_b { N } else { K }), (y, M)];
    let mut matrices = rows_of.into_iter().filter(|(value, _)| is_matrix(ctx, *value));
    let cut = matrices.find_map(|(value, axis)| Some((axis, ctx.rows_per_binding(value)?)));
    match cut {
        None if extents[K] > LONGEST && !whole.is_plain() => whole.in_parts(ctx, K, LONGEST),
        None => whole.launch(ctx),
        Some((axis, per_part)) => whole.in_parts(ctx, axis, per_part),
    }
}

/// `y = a b`, or `a b^T` if asked for, of so many matrices of these extents that lie one after the other, and what is in
/// `before`. It counts as `flops` operations. Only the latter are cut along K: the others' columns come from samples, as many
/// as are at hand, and no sum may depend on their number.
pub fn batch(
    ctx: &mut Lowering,
    [a, b, y]: [Operand; 3],
    before: Operand,
    (batch, extents, transpose_b): (usize, [usize; 3], bool),
    flops: u64,
    note: &str,
) -> Result<()> {
    let product = Product {
        extents,
        batch,
        shared: [false; 2],
        flags: MatMul { transpose_b, ..MatMul::default() },
        epilogue: Epilogue::default(),
        a,
        b,
        bias: Operand::Null,
        mask: Operand::Null,
        y,
        sums: Operand::Null,
        before,
        splits: transpose_b,
        large: true,
        counts_as: Some((flops, note.into())),
    };
    product.launch(ctx)
}

/// Whether `value` is a single matrix; others are cut by their first axis before they come here.
fn is_matrix(ctx: &Lowering, value: Value) -> bool {
    ctx.graph.shape(value).len() == 2
}

impl Product {
    /// One launch for each `per_part` of the extent along `axis`.
    fn in_parts(self, ctx: &mut Lowering, axis: usize, per_part: usize) -> Result<()> {
        let ([m, n, k], batch) = (self.extents, self.batch);
        let extent = self.extents[axis];
        let [of_a, of_b] = self.matrices();
        let mut before = self.before;
        let parts = extent.div_ceil(per_part);
        let sums_of_parts = match axis {
            K if self.sums != Operand::Null => ctx.temporary(4 * (parts * batch * m) as u64),
            _ => Operand::Null,
        };
        for index in 0..parts {
            let first = index * per_part;
            let count = per_part.min(extent - first);
            let mut part = Self { splits: false, before, ..self.clone() };
            part.extents[axis] = count;
            // Of `copies` matrices, `axis` by `other`: one is cut by rows in place, of all else a copy is made.
            let cut = |ctx: &mut Lowering, x: Operand, copies: usize, by_rows: bool, other: usize| match x {
                Operand::Null => Ok(x),
                Operand::Value(value) if by_rows && is_matrix(ctx, value) => Ok(Operand::Rows(value, first, count)),
                _ if by_rows => take_columns(ctx, x, [copies, extent * other], first * other, count * other),
                _ => take_columns(ctx, x, [copies * other, extent], first, count),
            };
            match axis {
                M => {
                    part.a = cut(ctx, self.a, of_a, !self.flags.transpose_a, k)?;
                    part.mask = cut(ctx, self.mask, batch, true, n)?;
                    part.before = cut(ctx, self.before, batch, true, n)?;
                    part.y = match self.y {
                        Operand::Value(y) if is_matrix(ctx, y) => Operand::Rows(y, first, count),
                        _ => ctx.temporary(4 * (batch * count * n) as u64),
                    };
                    if self.sums != Operand::Null {
                        part.sums = ctx.temporary(4 * (batch * count) as u64);
                    }
                }
                N => {
                    part.b = cut(ctx, self.b, of_b, self.flags.transpose_b, k)?;
                    part.bias = cut(ctx, self.bias, 1, false, 1)?;
                    part.mask = cut(ctx, self.mask, batch, false, m)?;
                    part.before = cut(ctx, self.before, batch, false, m)?;
                    part.y = ctx.temporary(4 * (batch * m * count) as u64);
                }
                _ => {
                    part.a = cut(ctx, self.a, of_a, self.flags.transpose_a, m)?;
                    part.b = cut(ctx, self.b, of_b, !self.flags.transpose_b, n)?;
                    if self.sums != Operand::Null {
                        part.sums = ctx.temporary(4 * (batch * m) as u64);
                    }
                    if first + count < k {
                        part = Self { bias: Operand::Null, mask: Operand::Null, epilogue: Epilogue::default(), ..part };
                        part.y = ctx.temporary(4 * (batch * m * n) as u64);
                        before = part.y;
                    }
                }
            }
            let Self { y, sums, .. } = part;
            part.launch(ctx)?;
            match (axis, y) {
                (N, _) => put_columns(ctx, y, self.y, [batch * m, n], first, count)?,
                (M, Operand::Temporary(_)) => put_columns(ctx, y, self.y, [batch, m * n], first * n, count * n)?,
                _ => {}
            }
            match axis {
                _ if sums == Operand::Null => {}
                M => put_columns(ctx, sums, self.sums, [batch, m], first, count)?,
                K => put_columns(ctx, sums, sums_of_parts, [1, parts * batch * m], index * batch * m, batch * m)?,
                _ => {}
            }
        }
        match sums_of_parts {
            Operand::Null => Ok(()),
            sums => sum(ctx, sums, self.sums, [1, parts, batch * m], 1.0),
        }
    }

    /// Whether the result is nothing but a sum, which may then be computed in ranges side by side.
    fn is_plain(&self) -> bool {
        self.bias == Operand::Null && self.epilogue.activation.is_none() && self.epilogue.mask.is_none()
    }

    /// How many left and right matrices there are.
    fn matrices(&self) -> [usize; 2] {
        self.shared.map(|shared| if shared { 1 } else { self.batch })
    }

    /// The last three numbers of a kernel's dimensions: the products of the batch, and how far apart their operands lie.
    fn steps(&self) -> [usize; 3] {
        let [m, n, k] = self.extents;
        let step = |shared: bool, step: usize| if shared { 0 } else { step };
        [self.batch, step(self.shared[0], m * k), step(self.shared[1], k * n)]
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
        let times = if self.batch > 1 { format!("{} of ", self.batch) } else { String::new() };
        format!("matmul {a}{b} {times}{m}x{n}x{k}")
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
        add_splits(ctx, splits, self.results(), |ctx, [y, sums]| {
            let operands = [self.a, self.b, self.bias, self.mask, y, sums, self.before];
            let launch = match size {
                Size::Groups(count) => ctx.launch_groups(kernel, dims, &operands, count as u64)?,
                Size::Invocations(count) => ctx.launch(kernel, dims, &operands, count as u64)?,
            };
            launch.cost(self.flops(), self.note(splits));
            Ok(())
        })
    }

    /// Where results and row sums go, and how many numbers they are.
    fn results(&self) -> [(Operand, usize); 2] {
        let [m, n, _] = self.extents;
        [(self.y, self.batch * m * n), (self.sums, if self.flags.row_sums { self.batch * m } else { 0 })]
    }

    fn flops(&self) -> u64 {
        if let Some((flops, _)) = self.counts_as {
            return flops;
        }
        2 * self.batch as u64 * self.extents.iter().map(|&extent| extent as u64).product::<u64>()
    }

    /// The extents, for people.
    fn note(&self, splits: usize) -> String {
        let [m, n, k] = self.extents;
        let times = if self.batch > 1 { format!("{} of ", self.batch) } else { String::new() };
        let ranges = if splits > 1 { format!(", {splits} splits") } else { String::new() };
        let part = self.counts_as.as_ref().map_or(String::new(), |(_, note)| format!(": {note}"));
        format!("{times}M {m}, N {n}, K {k}{ranges}{part}")
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
    let kernel = if product.batch > 1 { kernel.define("BATCHED", true) } else { kernel };
    if product.before == Operand::Null { kernel } else { kernel.define("RESUME", true) }
}

/// `kernel` with integer constants.
fn sized(kernel: Kernel, constants: &[(&'static str, usize)]) -> Kernel {
    constants.iter().fold(kernel, |kernel, &(name, value)| kernel.define(name, format!("{value}u")))
}
