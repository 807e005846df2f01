//! Padding, slices and concatenation on `pad`.

use super::activation::with_mask;
use super::{Dim, Kernel};
use crate::Result;
use crate::graph::{Concat, Epilogue, Node, Pad, Slice, around};
use crate::plan::{Lowering, Operand};

/// Planes of `x` and their places in the result.
struct Copy {
    planes: usize,
    /// Rows and columns of a plane of `x`, and of what is written.
    from: [usize; 2],
    to: [usize; 2],
    /// Rows and columns by which `x` is moved.
    shift: [isize; 2],
    /// Where the first plane lies in the result, and the distance between planes.
    first: usize,
    stride: usize,
    value: f32,
}

impl Copy {
    /// With each plane as one row, if rows are copied whole.
    fn flattened(self) -> Self {
        if self.from[1] != self.to[1] || self.shift[1] != 0 {
            return self;
        }
        let flat = |[h, w]: [usize; 2]| [1, h * w];
        let shift = [0, self.shift[0] * self.from[1] as isize];
        Self { from: flat(self.from), to: flat(self.to), shift, ..self }
    }

    /// With vectors of four as elements, and whether that is possible.
    fn vectors(self) -> (Self, bool) {
        let [_, w] = self.from;
        let [_, ow] = self.to;
        let numbers = [w, ow, self.shift[1].unsigned_abs(), self.first, self.stride];
        if self.from[0] != 1 || self.to[0] != 1 || numbers.iter().any(|number| number % 4 != 0) {
            return (self, false);
        }
        let shift = [0, self.shift[1] / 4];
        let (first, stride) = (self.first / 4, self.stride / 4);
        (Self { from: [1, w / 4], to: [1, ow / 4], shift, first, stride, ..self }, true)
    }
}

fn launch(ctx: &mut Lowering, epilogue: &Epilogue, x: Operand, y: Operand, copy: Copy, note: String) -> Result<()> {
    let mask = epilogue.mask.as_ref().map(|mask| mask.output);
    let place = mask.map(|mask| ctx.apart(mask)).unwrap_or_default();
    let copy = copy.flattened();
    let (copy, vector) = if (place.first | place.gap).is_multiple_of(4) { copy.vectors() } else { (copy, false) };
    let count = copy.planes * copy.to[0] * copy.to[1];
    let sizes = [copy.from[0], copy.from[1], copy.to[0], copy.to[1]].map(|size| Dim::I(size as i32));
    let mut dims = sizes.to_vec();
    dims.extend(copy.shift.map(|shift| Dim::I(shift as i32)));
    dims.extend([copy.first, copy.stride, count].map(|size| Dim::I(size as i32)));
    let width = if vector { 4 } else { 1 };
    dims.extend([place.first, place.gap].map(|size| Dim::I((size / width) as i32)));
    dims.push(Dim::F(copy.value));
    let mut kernel = with_mask(Kernel::new("pad"), epilogue, vector);
    if vector {
        kernel = kernel.define("Element", "vec4<f32>");
    }
    let mask = mask.map_or(Operand::Null, Operand::Value);
    ctx.launch(kernel, &dims, &[x, mask, y], count as u64)?.cost(0, note);
    Ok(())
}

/// Columns `first..first + count` of a matrix `[rows, width]`, as a matrix of their own.
pub fn take_columns(
    ctx: &mut Lowering,
    x: Operand,
    [rows, width]: [usize; 2],
    first: usize,
    count: usize,
) -> Result<Operand> {
    let y = ctx.temporary(4 * (rows * count) as u64);
    let (from, to, shift) = ([1, width], [1, count], [0, -(first as isize)]);
    let copy = Copy { planes: rows, from, to, shift, first: 0, stride: count, value: 0.0 };
    launch(ctx, &Epilogue::default(), x, y, copy, format!("columns {first} to {} of {width}", first + count))?;
    Ok(y)
}

/// Puts `x [rows, count]` into columns `first..first + count` of `y [rows, width]`.
pub fn put_columns(
    ctx: &mut Lowering,
    x: Operand,
    y: Operand,
    [rows, width]: [usize; 2],
    first: usize,
    count: usize,
) -> Result<()> {
    let copy = Copy { planes: rows, from: [1, count], to: [1, count], shift: [0; 2], first, stride: width, value: 0.0 };
    launch(ctx, &Epilogue::default(), x, y, copy, format!("columns {first} to {} of {width}", first + count))
}

/// Each operand goes to its range of the result, in a launch of its own.
pub fn concat(ctx: &mut Lowering, node: &Node, concat: &Concat) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let [planes, inner] = around(&shape, concat.axis);
    let stride = shape[concat.axis] * inner;
    let mut first = 0;
    for &input in &node.inputs {
        let from = ctx.shape(input);
        let run = from[concat.axis] * inner;
        if ctx.is_view(input) {
            first += run;
            continue;
        }
        let copy = Copy { planes, from: [1, run], to: [1, run], shift: [0; 2], first, stride, value: 0.0 };
        let [x, y] = [input, node.outputs[0]].map(Operand::Value);
        launch(ctx, &node.epilogue, x, y, copy, format!("{from:?} into {shape:?}"))?;
        first += run;
    }
    Ok(())
}

pub fn slice(ctx: &mut Lowering, node: &Node, slice: &Slice) -> Result<()> {
    if ctx.is_view(node.outputs[0]) {
        return Ok(());
    }
    let from = ctx.shape(node.inputs[0]);
    let [planes, inner] = around(&from, slice.axis);
    let pad = Pad { rows: [-(slice.start as isize), 0], columns: [0; 2], value: 0.0 };
    cropped(ctx, node, planes, [from[slice.axis], inner], [slice.length, inner], &pad)
}

pub fn pad(ctx: &mut Lowering, node: &Node, pad: &Pad) -> Result<()> {
    let (from, to) = (ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]));
    let rank = from.len();
    let planes = from[..rank - 2].iter().product();
    cropped(ctx, node, planes, [from[rank - 2], from[rank - 1]], [to[rank - 2], to[rank - 1]], pad)
}

fn cropped(ctx: &mut Lowering, node: &Node, planes: usize, from: [usize; 2], to: [usize; 2], pad: &Pad) -> Result<()> {
    let note = format!("{:?} -> {:?}", ctx.shape(node.inputs[0]), ctx.shape(node.outputs[0]));
    let shift = [pad.rows[0], pad.columns[0]];
    let copy = Copy { planes, from, to, shift, first: 0, stride: to[0] * to[1], value: pad.value };
    let [x, y] = [node.inputs[0], node.outputs[0]].map(Operand::Value);
    launch(ctx, &node.epilogue, x, y, copy, note)
}
