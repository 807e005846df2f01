//! Tiles of a subgroup each over operands in panels, on `matmul_panels` with `matmul_pack`: for large products on CPU
//! drivers.

use super::super::activation::{runtime_epilogue, with_runtime_epilogue};
use super::super::reduce::add_splits;
use super::super::{Dim, Kernel, LIGHT};
use super::{Product, UNSPLIT, sized};
use crate::Result;
use crate::graph::{Epilogue, Mask, Unary, Value};
use crate::plan::{Lowering, Operand};

/// From so many rows on it pays to lay the right matrix in panels, too: each number of it is read once for 32 rows.
const PACKED: usize = 128;

/// Whether `product` is one for this family.
pub(super) fn suit(ctx: &Lowering, product: &Product) -> bool {
    let [m, n, k] = product.extents;
    let limit = ctx.target.max_workgroups as usize;
    let fits = |rows: usize, matrices: usize| {
        (4 * matrices * rows.next_multiple_of(128) * k.next_multiple_of(4)) as u64 <= ctx.target.max_binding
    };
    let sums = !product.flags.row_sums || product.flags.transpose_a;
    let [a, b] = product.matrices();
    let operands = fits(m, a) && (!packs_right(product) || fits(n, b));
    // Along z there may be as many ranges of K for each product as keep the adapter busy.
    let groups = (m.max(n) / 16).max(product.batch * k.div_ceil(256));
    // Of a batch each product must be worth the packing of its operands.
    let large = product.large && (product.batch == 1 || 2 * (m * n) as u64 * k as u64 >= LIGHT);
    large && m >= 8 && n >= 32 && sums && operands && groups < limit
}

/// Whether the right matrix is laid in panels: it is not whole vectors, or is read often enough and not too large.
fn packs_right(product: &Product) -> bool {
    let [m, n, k] = product.extents;
    let whole = k % 4 == 0 && (product.flags.transpose_b || n % 8 == 0);
    !whole || (m >= PACKED && ((4 * n * k) as u64) < UNSPLIT)
}

/// Rows of a tile.
pub fn tile_rows(m: usize, lanes: usize) -> usize {
    if m <= 16 && lanes <= 8 { 16 } else { 32 }
}

pub(super) fn launch(ctx: &mut Lowering, product: Product, lanes: u32) -> Result<()> {
    let [m, n, k] = product.extents;
    let lanes = lanes as usize;
    let (rm, tn) = (tile_rows(m, lanes), 8 * lanes);
    let k_per_split =
        product.k_per_split(m.div_ceil(rm) * n.div_ceil(tn) * product.batch, ctx.target.busy() as usize / 64);
    let splits = k.div_ceil(k_per_split);
    let vectors = n % 4 == 0 && n >= 8;
    let by_row = product.flags.transpose_b;

    let matrices = product.matrices();
    let rows = Unpacked { count: m, k, by_row: !product.flags.transpose_a, planes: None, matrices: matrices[0] };
    let a = rows.pack(ctx, product.a, rm, false)?;
    let (b, right) = match packs_right(&product) {
        true => {
            let columns = Unpacked { count: n, k, by_row, planes: None, matrices: matrices[1] };
            (columns.pack(ctx, product.b, tn, vectors)?, Right::Panels { pitch: k.next_multiple_of(4), columns: None })
        }
        false if by_row => (product.b, Right::ByRow),
        false => (product.b, Right::Rows),
    };
    let mut panels = Panels {
        batch: product.batch,
        shared: product.shared,
        k_per_split,
        bias: product.bias,
        mask: product.mask,
        before: product.before,
        vectors,
        moved: vectors,
        ..Panels::new([a, b, Operand::Null], product.extents, right, &product.epilogue)
    };
    add_splits(ctx, splits, product.results(), |ctx, [y, sums]| {
        panels.y = y;
        panels.sums = product.flags.row_sums.then_some(sums);
        panels.launch(ctx, product.flops(), product.note(splits))
    })
}

/// Where columns of a matrix are the pixels of images, [N, rows, plane]: those of an image follow those of the one before.
#[derive(Clone, Copy)]
pub struct Planes {
    /// Pixels of a plane.
    pub plane: usize,
    /// Rows of the matrix: channels of the images.
    pub rows: usize,
    /// Where the columns at hand begin, among all pixels.
    pub first: usize,
}

impl Planes {
    /// Whether four columns, the first a multiple of four, are neighbours in one plane.
    pub fn fours(&self) -> bool {
        self.plane.is_multiple_of(4) && self.first.is_multiple_of(4)
    }

    /// `kernel` with these places, and the numbers that it takes them from.
    fn place(planes: Option<Self>, pitch: usize, kernel: Kernel) -> (Kernel, [usize; 3]) {
        let Some(planes) = planes else { return (kernel, [pitch, 0, 0]) };
        // Drivers divide lane by lane: once for four where that is enough.
        let place = match planes.fours() {
            true => "let g = I.x + dims.first; return I + vec4<u32>(dims.first + g / dims.pitch * dims.skip);",
            false => "let g = I + vec4<u32>(dims.first); return g + g / vec4<u32>(dims.pitch) * dims.skip;",
        };
        let index = if kernel.name == "matmul_pack" { "k" } else { "n" };
        let kernel = kernel.define("place", place.replace('I', index));
        (kernel, [planes.plane, planes.first, (planes.rows - 1) * planes.plane])
    }
}

/// Rows of a matrix that are to lie in panels.
pub struct Unpacked {
    pub count: usize,
    /// Numbers of each.
    pub k: usize,
    /// Whether those of a row lie together.
    pub by_row: bool,
    /// Likewise, but in images.
    pub planes: Option<Planes>,
    /// How many such matrices lie one after the other.
    pub matrices: usize,
}

impl Unpacked {
    /// The rows of `x` in panels of `width`; with `by_eights`, those behind the last are the last eight once more.
    pub fn pack(&self, ctx: &mut Lowering, x: Operand, width: usize, by_eights: bool) -> Result<Operand> {
        let Self { count, k, by_row, planes, matrices } = *self;
        let (panels, blocks) = (count.div_ceil(width), k.div_ceil(4));
        let y = ctx.temporary(16 * (matrices * panels * width * blocks) as u64);
        let kernel = Kernel::new("matmul_pack").define("BY_ROW", by_row).define("FOURS", format!("{}u", width / 4));
        let (mut kernel, place) = Planes::place(planes, if by_row { k } else { count }, kernel);
        if [count, k][usize::from(by_row)] % 4 == 0 && planes.is_none_or(|planes| planes.fours()) {
            // Behind the last row all indices are the last's.
            let load = "let v = x[(row + i.x) / 4u]; return select(v, vec4<f32>(v.w), vec4<bool>(i.x == i.y));";
            kernel = kernel.define("T", "vec4<f32>").define("load", load);
        }
        let dims = [count, k, blocks, usize::from(by_eights)].into_iter().chain(place).chain([count * k]);
        let dims: Vec<Dim> = dims.map(|value| Dim::U(value as u32)).collect();
        let launch = ctx.launch_groups(kernel, &dims, &[x, y], 1)?;
        launch.workgroups = [blocks.div_ceil(256 / width), panels, matrices].map(|extent| extent as u32);
        let note = if matrices > 1 { format!("{matrices} times ") } else { String::new() };
        launch.cost(0, format!("{note}{count} rows of {k} in panels of {width}"));
        Ok(y)
    }
}

/// How the right matrix is stored.
#[derive(Clone, Copy)]
pub enum Right {
    /// [K, N], N a multiple of eight.
    Rows,
    /// [N, K], K a multiple of four.
    ByRow,
    /// In panels of [`pitch`, 8 lanes]. Columns behind the last repeat those before them, or there are only so many.
    Panels { pitch: usize, columns: Option<usize> },
}

/// A product of operands in panels.
pub struct Panels<'a> {
    /// M, N and K.
    pub extents: [usize; 3],
    /// So many products of these extents.
    pub batch: usize,
    /// Whether all have the same left matrix, and the same right one.
    pub shared: [bool; 2],
    /// In panels of [`tile_rows`].
    pub a: Operand,
    pub b: Operand,
    pub right: Right,
    /// As much of K as is summed at once, a multiple of four.
    pub k_per_split: usize,
    /// Where sums over the first range of K go, in `y` and `sums`.
    pub first_split: usize,
    pub epilogue: &'a Epilogue,
    /// One number for each column, or for each row where results are planes.
    pub bias: Operand,
    pub mask: Operand,
    pub before: Operand,
    pub y: Operand,
    /// How `y` lies, if not as a matrix.
    pub planes: Option<Planes>,
    /// Where sums over the rows of `a` go.
    pub sums: Option<Operand>,
    /// Whether results lie in whole vectors.
    pub vectors: bool,
    /// Whether columns behind the last are the last eight once more, not the last one.
    pub moved: bool,
    /// Whether masks lie where results go.
    pub in_place: bool,
}

impl<'a> Panels<'a> {
    /// The product alone: all of K at once, `y` a matrix.
    pub fn new([a, b, y]: [Operand; 3], extents: [usize; 3], right: Right, epilogue: &'a Epilogue) -> Self {
        let null = Operand::Null;
        Self {
            extents,
            batch: 1,
            shared: [false; 2],
            a,
            b,
            right,
            k_per_split: extents[2].next_multiple_of(4),
            first_split: 0,
            epilogue,
            bias: null,
            mask: null,
            before: null,
            y,
            planes: None,
            sums: None,
            vectors: extents[1].is_multiple_of(4),
            moved: true,
            in_place: false,
        }
    }

    /// Appends the launch, which counts as so many operations.
    pub fn launch(&self, ctx: &mut Lowering, flops: u64, note: String) -> Result<()> {
        let [m, n, k] = self.extents;
        let lanes = ctx.target.lanes.unwrap_or(8) as usize;
        let (rm, tn) = (tile_rows(m, lanes), 8 * lanes);
        let padded = k.next_multiple_of(4);
        let by_row = matches!(self.right, Right::ByRow);
        let [b_tile, b_step, eights] = match self.right {
            Right::Panels { pitch, columns } => {
                [pitch * lanes, lanes, columns.map_or(u32::MAX as usize, |columns| columns / 8)]
            }
            _ => [lanes, n / 8, (n / 8).max(1)],
        };
        // With a mask or without is a number, so that gradients share a pipeline.
        let mut epilogue = self.epilogue.clone();
        let masked = epilogue.mask.is_some();
        if !masked && epilogue.activation.is_none() {
            epilogue.mask = Some(Mask::new(Unary::Relu, Value(0)));
        }
        let kernel = with_runtime_epilogue(Kernel::new("matmul_panels"), &epilogue);
        let kernel = sized(kernel, &[("LANES", lanes), ("RM", rm), ("LOADS", rm / 2 / lanes), ("ACC", 2 * rm)]);
        let mut kernel = kernel.define("B_BY_ROW", by_row).define("TOUCH", matches!(self.right, Right::Rows));
        if ctx.target.wide {
            kernel = in_eights(kernel, by_row);
        }
        if self.before != Operand::Null {
            kernel = kernel.define("RESUME", true);
        }
        if self.batch > 1 {
            kernel = kernel.define("BATCHED", true);
        }
        if self.moved {
            kernel = kernel.define("MOVED", true);
        }
        let mask = if self.in_place { "y" } else { "mask" };
        if self.vectors {
            kernel = kernel
                .define("Y", "vec4<f32>")
                .define("load_mask", format!("return {mask}[at.x / 4u];"))
                .define("load_before", "return before[at.x / 4u];")
                .define("store", "y[at.x / 4u] = v;");
        } else if self.in_place {
            kernel = kernel.define("load_mask", "return vec4<f32>(y[at.x], y[at.y], y[at.z], y[at.w]);");
        }
        let by_row_bias = self.planes.is_some() && self.bias != Operand::Null;
        if by_row_bias {
            kernel = kernel.define("BIAS_BY_ROW", true);
        }
        let (kernel, place) = Planes::place(self.planes, n, kernel);
        let dims = [m, n, padded, self.k_per_split, b_tile, b_step, eights, self.first_split].into_iter().chain(place);
        let mut dims: Vec<Dim> = dims.map(|value| Dim::U(value as u32)).collect();
        dims.extend(runtime_epilogue(&epilogue, self.bias != Operand::Null && !by_row_bias));
        dims.extend([masked, self.sums.is_some()].map(|flag| Dim::U(flag.into())));
        let a_next = m.div_ceil(rm) * padded * rm / 8;
        let b_next = match self.right {
            Right::Rows => n * k / 8,
            Right::ByRow => n * k / 4,
            Right::Panels { pitch, .. } => n.div_ceil(tn) * pitch * lanes,
        };
        let next = |shared: bool, next: usize| if shared { 0 } else { next };
        let [a, b] = self.shared;
        dims.extend([self.batch, next(a, a_next), next(b, b_next)].map(|value| Dim::U(value as u32)));
        let mask = if self.in_place { Operand::Null } else { self.mask };
        let operands = [self.a, self.b, self.bias, mask, self.y, self.sums.unwrap_or(Operand::Null), self.before];
        let splits = k.div_ceil(self.k_per_split);
        let launch = ctx.launch_groups(kernel, &dims, &operands, 1)?;
        launch.workgroups = [n.div_ceil(tn), m.div_ceil(rm), splits * self.batch].map(|extent| extent as u32);
        launch.cost(flops, note);
        launch.in_place = self.in_place;
        Ok(())
    }
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
