//! Matrix products in all four transposes, around and off the sizes of tiles.

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
const TILES: [[usize; 3]; 3] = [[1200, 1100, 17], [40, 17_003, 18], [770, 1001, 19]];

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
    matmul.chain(tiles).chain(biased).chain(large).chain(linears).chain(layers).chain(rows).collect()
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
