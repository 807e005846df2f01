//! The tiles of `conv_weight_rows`, and which weight gradients run on it.

use crate::graph::Conv2dBackwardWeight;
use crate::kernels::{Kernel, LIGHT};

/// How `conv_weight_rows` cuts a gradient up.
pub struct Rows {
    lanes: usize,
    /// Filter rows and columns.
    taps: [usize; 2],
    dilation: usize,
    width: usize,
    /// Output channels of a lane.
    pub kl: usize,
    /// Input channels of a workgroup.
    pub ct: usize,
    /// Columns of x at a time.
    pub pos: usize,
}

/// The most sums of a lane, and of them for layers whose kernels are to compile fast.
const SUMS: usize = 144;
const LIGHT_SUMS: usize = 72;

impl Rows {
    /// The tiles for rows of `width` in x and `result` in dy, if they are as long and see the same to either side.
    pub fn new(back: &Conv2dBackwardWeight, lanes: usize, [width, result]: [usize; 2], flops: u64) -> Option<Self> {
        let (conv, w) = (&back.conv, &back.weight);
        let [r, s] = [w[2], w[3]];
        let dense = conv.stride[1] == 1 && conv.dilation[1] == 1 && s == 2 * conv.padding[1] + 1;
        // Narrow groups would leave most lanes with the same channel, and larger filters have too much beside their rows.
        let outputs = w[0] / conv.groups;
        if !(dense && width == result && r * s <= 9 && s <= 3 && outputs >= lanes) {
            return None;
        }
        let kl = match outputs / lanes {
            // Where there are few channels to share the pixels with, or few taps to reuse them for.
            4.. if w[1] <= 4 || r * s == 1 => 4,
            1 if outputs == lanes => 1,
            _ => 2,
        };
        let most = (if flops < LIGHT { LIGHT_SUMS } else { SUMS } / (r * s * kl)).clamp(1, 32);
        let ct = w[1].div_ceil(w[1].div_ceil(most));
        let pos = match width {
            1 | 2 => width,
            _ if (1..=4).contains(&(width % 8)) => 4,
            _ => 8,
        };
        Some(Self { lanes, taps: [r, s], dilation: conv.dilation[0], width, kl, ct, pos })
    }

    /// The shader with these tiles.
    pub fn kernel(&self) -> Kernel {
        let [r, s] = self.taps;
        let read = [4, 2].into_iter().find(|read| (self.width % read, self.pos % read) == (0, 0)).unwrap_or(1);
        let (vectors, pad) = (self.pos / read, s / 2);
        let (window, span) = (self.ct * r * vectors, self.pos + 2 * pad);
        let kernel = match read {
            1 => Kernel::new("conv_weight_rows"),
            _ => Kernel::new("conv_weight_rows")
                .define("X", format!("vec{read}<f32>"))
                .define("part", "return v[i];")
                .define("single", format!("return dy[at / {read}][at % {read}];")),
        };
        [
            ("TAP_ROWS", r),
            ("TAP_COLS", s),
            ("PAD", pad),
            ("DILATION_H", self.dilation),
            ("POS", self.pos),
            ("KL", self.kl),
            ("CT", self.ct),
            ("IN", read),
            ("VECTORS", vectors),
            ("WINDOW", window),
            ("LOADS", window.div_ceil(self.lanes)),
            ("SPAN", span),
            ("GRADS", self.kl * span),
            ("TILE", r * s * self.ct * self.kl),
            ("BESIDE", if self.width > self.pos { pad } else { 0 }),
        ]
        .into_iter()
        .fold(kernel.define("LANES", format!("{}u", self.lanes)), |kernel, (name, value)| kernel.define(name, value))
    }
}
