//! Matrix products in all four transposes, one and many, around and off the sizes of tiles.

use super::{Case, case};
use crate::Result;
use crate::graph::{MatMul, Op};

/// `M, N, K` of products that count as large, off the sizes of tiles: with a right matrix read in place, and in panels.
const LARGE: [[usize; 3]; 3] = [[44, 1032, 1484], [13, 3203, 1614], [259, 258, 1007]];

/// `M, N, K`.
const SIZES: [[usize; 3]; 12] = [
    [1, 1, 1],
    [3, 7, 65],
    [7, 130, 3],
    [64, 64, 64],
    [65, 130, 7],
    [130, 65, 64],
    [1, 130, 65],
    [130, 1, 7],
    [65, 7, 130],
    [64, 3, 1],
    [3, 1, 2049],
    [257, 129, 515],
];

/// Sizes for which GPUs take the larger tiles, with edges, and K that no tile divides.
const TILES: [[usize; 3]; 3] = [[1200, 1100, 17], [40, 25_003, 29], [770, 1001, 19]];

pub(super) fn list() -> Vec<Result<Case>> {
    let flags = [(false, false), (false, true), (true, false), (true, true)];
    let matmul = SIZES.into_iter().flat_map(|size| flags.map(|(a, b)| product(size, a, b, false)));
    let biased = [[5, 7, 3], [65, 66, 67]].into_iter().flat_map(|size| flags.map(|(a, b)| product(size, a, b, true)));
    let large = [(false, false), (false, true), (true, true)].into_iter().zip(LARGE);
    let large = large.map(|((a, b), size)| product(size, a, b, a));
    // N, I, O: with a bias the weight gradient carries the row sums, over N terms.
    let sizes =
        [[1, 1, 1], [3, 7, 65], [64, 130, 10], [65, 64, 7], [7, 65, 130], [1, 257, 3], [4099, 3, 2], [2, 4099, 5]];
    let layers = [linear([36, 1490, 1256], true), linear([133, 514, 982], true)];
    let linears = sizes.into_iter().flat_map(|size| [linear(size, true), linear(size, false)]);
    // Between them they load each operand by row, and by column.
    let [first, second, third] = TILES;
    let tiles = [(first, false, true), (first, true, false), (second, false, false), (third, true, true)];
    let tiles = tiles.map(|(size, a, b)| in_tiles(product(size, a, b, false)));
    let rows = [[17, 1100, 1200], [1000, 33, 35]].map(|size| in_tiles(linear(size, true)));
    let single = matmul.chain(tiles).chain(biased).chain(large).chain(linears).chain(layers).chain(rows);
    single.chain(batches()).chain(with_epilogues()).collect()
}

/// What the operands of a batch of products are.
#[derive(Clone, Copy, Debug)]
enum Batch {
    Both,
    /// One left matrix meets all right ones.
    Right,
    /// One right matrix meets all left ones.
    Left,
}

/// Many products: of whole vectors and not, with K in ranges, large ones with a right matrix in place and in panels, and in
/// tiles with and without ranges of K.
fn batches() -> Vec<Result<Case>> {
    let small: [(&[usize], _); 2] = [(&[2, 3], [9, 11, 13]), (&[3], [16, 24, 20])];
    let flags = [(false, false), (false, true), (true, false), (true, true)];
    let kinds = [Batch::Both, Batch::Right, Batch::Left];
    let small = small.into_iter().flat_map(|at| flags.map(|flags| (at, flags)));
    let small = small.flat_map(|((batch, size), flags)| kinds.map(|kind| products(batch, size, flags, kind, false)));
    let more = [
        products(&[1], [6, 7, 5], (false, true), Batch::Both, true),
        products(&[3], [5, 6, 2051], (false, false), Batch::Both, false),
        products(&[2], [8, 12, 4096], (true, false), Batch::Both, false),
        products(&[1000], [3, 2, 4], (false, false), Batch::Both, true),
        products(&[6], [130, 262, 701], (false, false), Batch::Both, true),
        products(&[2], [131, 262, 2001], (false, false), Batch::Both, true),
        products(&[2], [44, 1032, 1484], (true, false), Batch::Both, false),
        products(&[2], [44, 1031, 1488], (true, true), Batch::Left, true),
        products(&[2], [133, 520, 972], (false, true), Batch::Right, false),
    ];
    let tiles = [
        products(&[2, 3], [70, 90, 40], (false, false), Batch::Both, true),
        products(&[5], [33, 140, 70], (true, false), Batch::Left, true),
        products(&[4], [129, 65, 35], (false, true), Batch::Right, true),
        products(&[3], [40, 48, 1500], (true, true), Batch::Both, false),
    ];
    small.chain(more).chain(tiles.map(in_tiles)).collect()
}

/// Products that take in a bias, another tensor and an activation, or, as gradients, the derivative of one; and with K in
/// ranges another tensor alone.
fn with_epilogues() -> Vec<Result<Case>> {
    let forms: [(&[usize], _); 5] = [
        (&[], [17, 19, 23]),
        (&[], [40, 36, 28]),
        (&[3], [9, 11, 13]),
        (&[2, 2], [16, 24, 20]),
        (&[2], [132, 516, 988]),
    ];
    let tiles: [(&[usize], _); 2] = [(&[], [65, 70, 33]), (&[3], [40, 50, 60])];
    let residuals: [(&[usize], _); 2] = [(&[], [6, 8, 2052]), (&[2], [5, 7, 1030])];
    let cases = forms.into_iter().map(|(batch, size)| activated(batch, size));
    let tiles = tiles.into_iter().map(|(batch, size)| in_tiles(activated(batch, size)));
    let sums = residuals.into_iter().map(|(batch, size)| added(batch, size));
    cases.chain(tiles).chain(sums).chain([in_tiles(added(&[2], [40, 36, 1100]))]).collect()
}

/// `relu(relu(a) b + bias + c)`.
fn activated(batch: &[usize], [m, n, k]: [usize; 3]) -> Result<Case> {
    case(format!("matmul {batch:?} of {m}x{k} {k}x{n} with bias, addend and activations"), |g| {
        let (a, b) = (g.tensor(&[batch, &[m, k]].concat())?, g.tensor(&[batch, &[k, n]].concat())?);
        let (bias, c) = (g.tensor(&[n])?, g.tensor(&[batch, &[m, n]].concat())?);
        let a = g.relu(a)?;
        let y = g.add_one(Op::MatMul(MatMul::default()), &[a, b, bias])?;
        let y = g.add(c, y)?;
        g.relu(y)
    })
}

/// `a b + c`.
fn added(batch: &[usize], [m, n, k]: [usize; 3]) -> Result<Case> {
    case(format!("matmul {batch:?} of {m}x{k} {k}x{n} with addend"), |g| {
        let (a, b) = (g.tensor(&[batch, &[m, k]].concat())?, g.tensor(&[batch, &[k, n]].concat())?);
        let c = g.tensor(&[batch, &[m, n]].concat())?;
        let y = g.matmul(a, b, false, false)?;
        g.add(y, c)
    })
}

fn products(
    batch: &[usize],
    [m, n, k]: [usize; 3],
    (transpose_a, transpose_b): (bool, bool),
    kind: Batch,
    bias: bool,
) -> Result<Case> {
    let mark = |transposed| if transposed { 'T' } else { 'N' };
    let name = format!("matmul {batch:?} of {m}x{k} {k}x{n} {}{} {kind:?}", mark(transpose_a), mark(transpose_b));
    case(name + if bias { " bias" } else { "" }, |g| {
        let a = if transpose_a { [k, m] } else { [m, k] };
        let b = if transpose_b { [n, k] } else { [k, n] };
        let many = |matrix: [usize; 2]| [batch, &matrix].concat();
        let (a, b) = match kind {
            Batch::Both => (many(a), many(b)),
            Batch::Right => (a.into(), many(b)),
            Batch::Left => (many(a), b.into()),
        };
        let mut inputs = vec![g.tensor(&a)?, g.tensor(&b)?];
        if bias {
            inputs.push(g.tensor(&[n])?);
        }
        g.add_one(Op::MatMul(MatMul { transpose_a, transpose_b, row_sums: false }), &inputs)
    })
}

fn in_tiles(case: Result<Case>) -> Result<Case> {
    case.map(|case| Case { name: case.name + " in tiles", ..case })
}

fn product([m, n, k]: [usize; 3], transpose_a: bool, transpose_b: bool, bias: bool) -> Result<Case> {
    let mark = |transposed| if transposed { 'T' } else { 'N' };
    let name = format!("matmul {m}x{k} {k}x{n} {}{}", mark(transpose_a), mark(transpose_b));
    case(name + if bias { " bias" } else { "" }, |g| {
        let mut inputs = vec![
            g.tensor(&if transpose_a { [k, m] } else { [m, k] })?,
            g.tensor(&if transpose_b { [n, k] } else { [k, n] })?,
        ];
        if bias {
            inputs.push(g.tensor(&[n])?);
        }
        g.add_one(Op::MatMul(MatMul { transpose_a, transpose_b, row_sums: false }), &inputs)
    })
}

fn linear([batch, inputs, outputs]: [usize; 3], bias: bool) -> Result<Case> {
    let name = format!("linear {batch} rows {inputs} to {outputs}");
    case(name + if bias { " bias" } else { "" }, |g| {
        let (x, weight) = (g.tensor(&[batch, inputs])?, g.tensor(&[outputs, inputs])?);
        let bias = if bias { Some(g.tensor(&[outputs])?) } else { None };
        g.linear(x, weight, bias)
    })
}
