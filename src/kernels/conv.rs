//! Convolution and its gradients on `conv`, `conv_pack`, `conv_weight` and `reduce_splits`.

use super::activation::{codes, with_activations};
use super::reduce::add_splits;
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Conv2d, Conv2dBackwardData, Conv2dBackwardWeight, Node};
use crate::plan::{Lowering, Operand};

/// Output positions of an invocation of `conv`, and the positions that `conv_weight` takes at a time.
const ROWS: usize = 2;
const COLS: usize = 4;

/// One dense convolution as `conv` runs it: the forward pass, or one phase of the gradient by the input.
struct Direct {
    n: usize,
    groups: usize,
    inputs: usize,
    input: [usize; 2],
    outputs: usize,
    output: [usize; 2],
    taps: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// May be negative: a phase can begin inside of the input.
    padding: [i64; 2],
    out_shape: [usize; 2],
    out_stride: [usize; 2],
    out_offset: [usize; 2],
}

/// Channels of an invocation: eight, or four where eight would be mostly empty.
fn channel_tile(outputs: usize) -> usize {
    if outputs <= 4 { 4 } else { 8 }
}

/// Filter rows of an iteration: all, where the unrolled body stays small enough for an instruction cache.
fn tap_rows(taps: [usize; 2]) -> usize {
    if taps[0] * taps[1] <= 25 { taps[0] } else { 1 }
}

fn span(count: usize, stride: usize, taps: usize, dilation: usize) -> usize {
    (count - 1) * stride + (taps - 1) * dilation + 1
}

fn i(value: usize) -> Dim {
    Dim::I(value as i32)
}

pub fn forward(ctx: &mut Lowering, node: &Node, conv: &Conv2d) -> Result<()> {
    let (x, w) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let y = ctx.shape(node.outputs[0]);
    let direct = Direct {
        n: x[0],
        groups: conv.groups,
        inputs: w[1],
        input: [x[2], x[3]],
        outputs: w[0] / conv.groups,
        output: [y[2], y[3]],
        taps: [w[2], w[3]],
        stride: conv.stride,
        dilation: conv.dilation,
        padding: conv.padding.map(|padding| padding as i64),
        out_shape: [y[2], y[3]],
        out_stride: [1; 2],
        out_offset: [0; 2],
    };
    let packed = direct.pack(ctx, Operand::Value(node.inputs[1]), [w[2], w[3]], None)?;
    let bias = node.inputs.get(2).map(|&bias| Operand::Value(bias));
    direct.launch(ctx, node, packed, bias, format!("x {x:?}, w {w:?} -> {y:?}"))
}

/// Each phase of the output (its position modulo the stride) sees every `stride / gcd`-th tap: a dense convolution with
/// stride 1 of the gradient with those taps, flipped.
pub fn backward_data(ctx: &mut Lowering, node: &Node, back: &Conv2dBackwardData) -> Result<()> {
    let (dy, w) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let conv = &back.conv;
    for row in phases(conv, 0, w[2], back.input[2]) {
        for column in phases(conv, 1, w[3], back.input[3]) {
            let direct = Direct {
                n: dy[0],
                groups: conv.groups,
                inputs: w[0] / conv.groups,
                input: [dy[2], dy[3]],
                outputs: w[1],
                output: [row.count, column.count],
                taps: [row.taps, column.taps],
                stride: [1; 2],
                dilation: [row.dilation, column.dilation],
                padding: [row.padding, column.padding],
                out_shape: [back.input[2], back.input[3]],
                out_stride: conv.stride,
                out_offset: [row.offset, column.offset],
            };
            let weight = Operand::Value(node.inputs[1]);
            let packed = direct.pack(ctx, weight, [w[2], w[3]], Some([&row, &column]))?;
            direct.launch(ctx, node, packed, None, format!("dy {dy:?}, w {w:?} -> {:?}", back.input))?;
        }
    }
    Ok(())
}

/// One axis of a phase.
struct Phase {
    /// Positions of the input: `offset + i * stride` for `i < count`.
    offset: usize,
    count: usize,
    /// Taps `first + t * step` reach them, at distances of `dilation` in the gradient.
    first: usize,
    step: usize,
    taps: usize,
    dilation: usize,
    padding: i64,
}

fn phases(conv: &Conv2d, axis: usize, kernel: usize, extent: usize) -> Vec<Phase> {
    let [stride, padding, dilation] = [conv.stride[axis], conv.padding[axis], conv.dilation[axis]];
    let step = stride / gcd(stride, dilation);
    let distance = dilation / gcd(stride, dilation);
    (0..stride.min(extent))
        .map(|offset| {
            let first = (0..kernel.min(step)).find(|r| (offset + padding) % stride == (r * dilation) % stride);
            let taps = first.map_or(0, |first| (kernel - first).div_ceil(step));
            let first = first.unwrap_or(0);
            // Input offset + i * stride meets tap first + t * step at output (offset + padding - first * dilation) /
            // stride + i - t * distance. Flipped, tap t' = taps - 1 - t reads at i + t' * distance - pad.
            let shift = (offset + padding) as i64 - (first * dilation) as i64;
            let pad = (taps.max(1) as i64 - 1) * distance as i64 - shift.div_euclid(stride as i64);
            let count = (extent - offset).div_ceil(stride);
            Phase { offset, count, first, step, taps, dilation: distance, padding: pad }
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Direct {
    fn tiles(&self) -> usize {
        self.outputs.div_ceil(channel_tile(self.outputs))
    }

    /// The weights in the order in which `conv` reads them; `phase` asks for the transposed, flipped taps of a phase.
    fn pack(&self, ctx: &mut Lowering, w: Operand, stored: [usize; 2], phase: Option<[&Phase; 2]>) -> Result<Operand> {
        let kt = channel_tile(self.outputs);
        let count = self.groups * self.tiles() * self.inputs * self.taps[0] * self.taps[1] * kt;
        let packed = ctx.temporary(4 * count.max(4) as u64);
        if count == 0 {
            return Ok(packed);
        }
        let mut dims = vec![self.inputs, self.outputs, self.tiles(), self.taps[0], self.taps[1], stored[0], stored[1]];
        match phase {
            None => dims.extend([0, 0, 1, 1, 0, count]),
            Some([row, column]) => dims.extend([row.first, column.first, row.step, column.step, 1, count]),
        }
        let dims: Vec<Dim> = dims.into_iter().map(|value| Dim::U(value as u32)).collect();
        let kernel = Kernel::new("conv_pack").define("KT", format!("{kt}u"));
        ctx.launch(kernel, &dims, &[w, packed], count as u64)?;
        Ok(packed)
    }

    fn launch(&self, ctx: &mut Lowering, node: &Node, packed: Operand, bias: Option<Operand>, note: String) -> Result<()> {
        let kt = channel_tile(self.outputs);
        let rows_per_step = tap_rows(self.taps);
        let [taps_h, taps_w] = [rows_per_step.max(1), self.taps[1].max(1)];
        let span_h = span(ROWS, self.stride[0], taps_h, self.dilation[0]);
        let span_w = span(COLS, self.stride[1], taps_w, self.dilation[1]);
        let kernel = [
            ("TAP_ROWS", taps_h),
            ("TAP_COLS", taps_w),
            ("STRIDE_H", self.stride[0]),
            ("STRIDE_W", self.stride[1]),
            ("DILATION_H", self.dilation[0]),
            ("DILATION_W", self.dilation[1]),
            ("ROWS", ROWS),
            ("COLS", COLS),
            ("KT", kt),
            ("KV", kt / 4),
            ("SPAN_H", span_h),
            ("SPAN_W", span_w),
            ("WINDOW", span_h * span_w),
            ("TILE", ROWS * COLS * kt / 4),
        ]
        .into_iter()
        .fold(with_activations(Kernel::new("conv")), |kernel, (name, value)| kernel.define(name, value));
        let [activation, mask] = codes(&node.epilogue);
        // A phase without taps still writes its zeros: no input channels, no iterations.
        let empty = self.taps[0] * self.taps[1] == 0;
        let blocks = if empty { 1 } else { self.taps[0] / taps_h };
        let tiles = self.groups * self.tiles();
        let invocations =
            (self.n * tiles * self.output[0].div_ceil(ROWS) * self.output[1].div_ceil(COLS)) as u64;
        let dims = [
            i(self.n),
            i(self.groups),
            i(if empty { 0 } else { self.inputs }),
            i(self.input[0]),
            i(self.input[1]),
            i(self.outputs),
            i(self.tiles()),
            i(self.output[0]),
            i(self.output[1]),
            i(blocks),
            Dim::I(self.padding[0] as i32),
            Dim::I(self.padding[1] as i32),
            i(self.out_shape[0]),
            i(self.out_shape[1]),
            i(self.out_stride[0]),
            i(self.out_stride[1]),
            i(self.out_offset[0]),
            i(self.out_offset[1]),
            Dim::I(bias.is_some().into()),
            Dim::I(activation),
            Dim::I(mask),
            Dim::U(invocations as u32),
        ];
        let operands = [
            Operand::Value(node.inputs[0]),
            packed,
            bias.unwrap_or(Operand::Null),
            node.epilogue.mask.as_ref().map_or(Operand::Null, |mask| Operand::Value(mask.output)),
            Operand::Value(node.outputs[0]),
        ];
        let products = self.n * self.groups * self.outputs * self.output[0] * self.output[1];
        let flops = 2 * products as u64 * (self.inputs * self.taps[0] * self.taps[1]) as u64;
        ctx.launch(kernel, &dims, &operands, invocations)?.cost(flops, note);
        Ok(())
    }
}

pub fn backward_weight(ctx: &mut Lowering, node: &Node, back: &Conv2dBackwardWeight) -> Result<()> {
    let (x, dy) = (ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1]));
    let (conv, w) = (&back.conv, &back.weight);
    let outputs = w[0] / conv.groups;
    let kt = channel_tile(outputs);
    let tiles = outputs.div_ceil(kt);
    let taps_h = tap_rows([w[2], w[3]]);
    let blocks = w[2] / taps_h;
    let units = conv.groups * tiles * w[1] * blocks;
    let weights: usize = w.iter().product();

    // Enough splits to keep the adapter busy, not so many that adding them up dominates; and never so few that an
    // invocation loops more than some drivers allow (65,535 iterations).
    let rows = dy[0] * dy[2];
    let blocks_w = dy[3].div_ceil(COLS);
    let wanted = (ctx.target.busy() as usize).div_ceil(units).min((16 << 20) / (4 * weights)).max(1);
    let rows_per_split = rows.div_ceil(wanted).min((32_768 / blocks_w).max(1));
    let splits = rows.div_ceil(rows_per_split);

    let kernel = [
        ("TAP_ROWS", taps_h),
        ("TAP_COLS", w[3]),
        ("STRIDE_W", conv.stride[1]),
        ("DILATION_H", conv.dilation[0]),
        ("DILATION_W", conv.dilation[1]),
        ("COLS", COLS),
        ("KT", kt),
        ("KV", kt / 4),
        ("SPAN_W", span(COLS, conv.stride[1], w[3], conv.dilation[1])),
        ("TILE", taps_h * w[3] * kt / 4),
    ]
    .into_iter()
    .fold(Kernel::new("conv_weight"), |kernel, (name, value)| kernel.define(name, value));
    let invocations = (units * splits) as u64;
    let dims = [
        i(x[0]),
        i(conv.groups),
        i(w[1]),
        i(x[2]),
        i(x[3]),
        i(outputs),
        i(tiles),
        i(dy[2]),
        i(dy[3]),
        i(conv.stride[0]),
        i(w[2]),
        i(blocks),
        i(conv.padding[0]),
        i(conv.padding[1]),
        i(rows_per_split),
        Dim::I(back.bias.into()),
        Dim::U(invocations as u32),
    ];
    let flops = 2 * (weights * rows) as u64 * dy[3] as u64;
    let note = format!("x {x:?}, dy {dy:?} -> {w:?}, {splits} splits");
    let bias = node.outputs.get(1).map_or(Operand::Null, |&bias| Operand::Value(bias));
    let results = [(Operand::Value(node.outputs[0]), weights), (bias, if back.bias { w[0] } else { 0 })];
    add_splits(ctx, splits, results, |ctx, [dw, db]| {
        let operands = [Operand::Value(node.inputs[0]), Operand::Value(node.inputs[1]), dw, db];
        ctx.launch(kernel, &dims, &operands, invocations)?.cost(flops, note);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of input position and tap that a convolution joins is met by exactly one phase, at the right output.
    #[test]
    fn phases_cover_the_convolution() {
        for (stride, padding, dilation, kernel, extent) in
            [(1, 0, 1, 3, 7), (2, 1, 1, 3, 8), (3, 0, 1, 2, 10), (2, 2, 2, 3, 9), (4, 2, 1, 11, 21), (3, 1, 2, 3, 12), (5, 0, 1, 1, 3)]
        {
            let conv = Conv2d { stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2], groups: 1 };
            let mut met = vec![];
            for phase in phases(&conv, 0, kernel, extent) {
                for position in 0..phase.count {
                    for flipped in 0..phase.taps {
                        let output = (position + flipped * phase.dilation) as i64 - phase.padding;
                        let tap = phase.first + phase.step * (phase.taps - 1 - flipped);
                        met.push((phase.offset + position * stride, tap, output));
                    }
                }
            }
            let mut expected = vec![];
            for input in 0..extent {
                for tap in 0..kernel {
                    let scaled = (input + padding) as i64 - (tap * dilation) as i64;
                    if scaled.rem_euclid(stride as i64) == 0 {
                        expected.push((input, tap, scaled / stride as i64));
                    }
                }
            }
            met.sort_unstable();
            expected.sort_unstable();
            assert_eq!(met, expected, "stride {stride} padding {padding} dilation {dilation} kernel {kernel}");
        }
    }
}
