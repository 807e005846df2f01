//! Tiles of which subgroups multiply square matrices, with the parts of `tiles_cooperative`.

use super::{Kernel, Part, TILES, Tile, sized};
use crate::plan::Cooperative;

/// The subgroups of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subgroups {
    form: Cooperative,
    /// So many are one below the other.
    down: usize,
    /// And so many side by side.
    across: usize,
}

impl Subgroups {
    /// The sizes of [`TILES`] with matrices of this form, and as many invocations.
    ///
    /// No GPU was at hand: that operands of 16 bits go four times as fast and others a little faster is a guess.
    pub fn tiles(form: Cooperative) -> impl Iterator<Item = Tile> {
        TILES.into_iter().filter_map(move |tile| {
            let Tile { m, n, rate, .. } = tile;
            let k = 16;
            let count = tile.threads() / form.lanes;
            let down = 1 << (count.ilog2() / 2);
            let subgroups = Self { form, down, across: count / down };
            let rate = if form.half { 4 * rate } else { rate * 5 / 4 };
            subgroups.suit([m, n, k]).then_some(Tile { m, n, k, part: Part::Subgroup(subgroups), rate })
        })
    }

    pub fn threads(&self) -> usize {
        self.down * self.across * self.form.lanes
    }

    /// By how many vectors a row in workgroup memory is longer than the tile: by 16 bytes, which is what Vulkan aligns
    /// matrices to, and keeps columns out of each other's banks.
    pub fn padding(&self) -> usize {
        if self.form.half { 2 } else { 1 }
    }

    /// Matrices of a subgroup of such a tile, one below the other and side by side.
    fn matrices(&self, [m, n]: [usize; 2]) -> [usize; 2] {
        [m / self.down / self.form.size, n / self.across / self.form.size]
    }

    /// `kernel` with the parts that multiply matrices, and their constants.
    pub fn constants(&self, kernel: Kernel, extents: [usize; 2]) -> Kernel {
        let Cooperative { size, half, lanes } = self.form;
        let [rows, cols] = self.matrices(extents);
        let number = if half { "f16" } else { "f32" };
        let matrix = |number: &str, role: &str| format!("coop_mat{size}x{size}<{number}, {role}>");
        let own = [("SIDE", size), ("ROWS", rows), ("COLS", cols), ("ACROSS", self.across), ("LANES", lanes)];
        let kernel = Kernel { parts: Some("tiles_cooperative"), ..sized(kernel, &own) };
        kernel
            .define("Number", number)
            .define("Left", matrix(number, "A"))
            .define("Right", matrix(number, "B"))
            .define("Sum", matrix("f32", "C"))
    }

    /// Whether a tile is whole matrices, and what is kept of it fits into workgroup memory: operands, and the strips that
    /// results pass through.
    fn suit(&self, [m, n, k]: [usize; 3]) -> bool {
        let Self { form: Cooperative { size, half, .. }, down, across } = *self;
        let whole = m % (down * size) == 0 && n % (across * size) == 0 && k % size == 0;
        let vectors = k * (m / 4 + n / 4 + 2 * self.padding());
        let strips = down * size * n;
        whole && vectors * if half { 8 } else { 16 } + 4 * strips <= Cooperative::MEMORY as usize
    }
}
