//! Gradients by columns brought back to images, on `conv_columns_rows` or `conv_columns_sum`.

use super::super::choose::Problem;
use super::super::i;
use super::Columns;
use crate::Result;
use crate::graph::{Conv2d, Node};
use crate::kernels::activation::with_mask;
use crate::kernels::{Dim, Kernel};
use crate::plan::{Lowering, Operand};
use std::ops::Range;

impl Columns {
    /// The gradient by the input of a range of samples from that of its columns.
    pub(super) fn sum(&self, ctx: &mut Lowering, node: &Node, columns: Operand, range: &Range<usize>) -> Result<()> {
        let Problem { conv, x: [_, c, h, w], w: [.., r, s], y: [.., oh, ow], .. } = &self.problem;
        let [c, h, w, r, s, oh, ow] = [*c, *h, *w, *r, *s, *oh, *ow];
        let in_place = ctx.is_shared(node.outputs[0]);
        // Invocations of a workgroup: the elements of a plane at one remainder of the stride, as far as they go.
        let unit = self.rows_unit();
        let elements = h.div_ceil(conv.stride[0]) * w.div_ceil(unit.unwrap_or(1) * conv.stride[1]);
        let size = elements.next_power_of_two().clamp(8, 64);
        let (kernel, remainders) = match unit {
            Some(unit) => (rows_kernel(conv, s, unit), conv.stride[0]),
            None => (Kernel::new("conv_columns_sum"), conv.stride[0] * conv.stride[1]),
        };
        let kernel = with_mask(kernel, &node.epilogue, unit.is_some()).define("SIZE", format!("{size}u"));
        let kernel = if in_place { kernel.define("load_mask", "return y[at];") } else { kernel };
        let mask = node.epilogue.mask.as_ref().filter(|_| !in_place);
        let mask = mask.map_or(Operand::Null, |mask| Operand::Value(mask.output));
        let mut dims = vec![c, range.start, h, w, oh, ow, range.len() * oh * ow, r];
        match unit {
            Some(_) => dims.extend([conv.stride[0], conv.dilation[0], conv.padding[0]]),
            None => dims.extend([&[s][..], &conv.stride, &conv.dilation, &conv.padding].concat()),
        }
        let dims: Vec<Dim> = dims.into_iter().map(i).collect();
        let operands = [columns, mask, Operand::Value(node.outputs[0])];
        let launch = ctx.launch_groups(kernel, &dims, &operands, 1)?;
        launch.workgroups = [c, range.len(), remainders].map(|extent| extent as u32);
        launch.cost(0, format!("{} samples of [{c}, {h}, {w}]", range.len()));
        launch.in_place = in_place;
        Ok(())
    }

    /// Pixels that `conv_columns_rows` takes at a time, if it can bring columns back to the image.
    pub(super) fn rows_unit(&self) -> Option<usize> {
        let Problem { conv, x, w, y, .. } = &self.problem;
        let (stride, padding, dilation) = (conv.stride[1] as i64, conv.padding[1] as i64, conv.dilation[1] as i64);
        let near = |unit: i64| {
            let shift = |tap: i64| ((tap * dilation - padding).rem_euclid(stride) + padding - tap * dilation) / stride;
            (0..w[3] as i64).all(|tap| shift(tap).abs() <= unit)
        };
        let whole = |unit: &usize| {
            let out = unit * conv.stride[1];
            y[3].is_multiple_of(*unit) && x[3].is_multiple_of(out) && out.is_multiple_of(4) && near(*unit as i64)
        };
        [4, 2].into_iter().find(|unit| whole(unit) && unit * conv.stride[1] <= 16)
    }
}

/// `conv_columns_rows` for these attributes, filters of so many columns and so many pixels at a time.
fn rows_kernel(conv: &Conv2d, taps: usize, unit: usize) -> Kernel {
    let [stride, dilation, padding] = [conv.stride[1], conv.dilation[1], conv.padding[1]];
    let whole = (padding + taps * dilation).next_multiple_of(stride);
    let kernel = Kernel::new("conv_columns_rows").define("In", format!("vec{unit}<f32>"));
    [
        ("UNIT", unit),
        ("TAP_COLS", taps),
        ("STRIDE_W", stride),
        ("DILATION_W", dilation),
        ("PADDING_W", padding),
        ("WHOLE", whole),
        ("OUT", unit * stride),
        ("FOURS", unit * stride / 4),
        ("NEAR", 3 * unit),
    ]
    .into_iter()
    .fold(kernel, |kernel, (name, value)| kernel.define(name, format!("{value}u")))
}
