//! The matrices of Winograd's algorithms: `y = A^T ((G g G^T) * (B^T d B)) A`.
//!
//! Points are those of `winograd_tiles`: 0, 1, -1 and infinity for F(2x2); 0, +-sqrt(1/2), +-sqrt(2) and infinity for F(4x4).

use std::f32::consts::{FRAC_1_SQRT_2 as NEAR, SQRT_2 as FAR};

/// Rows of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix(Vec<Vec<f32>>);

/// What brings windows, gradients and filters to the points; transposed, the latter two bring products back.
pub struct Matrices {
    /// `[points, window]`
    pub bt: Matrix,
    /// `[points, results]`
    pub a: Matrix,
    /// `[points, 3]`
    pub g: Matrix,
}

/// Those of tiles of `m` by `m` results.
pub fn matrices(m: usize) -> Matrices {
    // By the factors 1 / prod (p_i - p_j) of the points, those of G.
    let near = [-2.0 / 3.0, -2.0 / 3.0 * NEAR, -1.0 / 3.0];
    let far = [1.0 / 6.0, FAR / 6.0, 1.0 / 3.0];
    let odd = |[even, odd, square]: [f32; 3]| vec![even, -odd, square];
    let (bt, a, g) = match m {
        2 => (
            vec![
                vec![1.0, 0.0, -1.0, 0.0],
                vec![0.0, 1.0, 1.0, 0.0],
                vec![0.0, -1.0, 1.0, 0.0],
                vec![0.0, 1.0, 0.0, -1.0],
            ],
            vec![vec![1.0, 0.0], vec![1.0, 1.0], vec![1.0, -1.0], vec![0.0, -1.0]],
            vec![vec![1.0, 0.0, 0.0], vec![0.5; 3], odd([0.5; 3]), vec![0.0, 0.0, 1.0]],
        ),
        _ => (
            vec![
                vec![1.0, 0.0, -2.5, 0.0, 1.0, 0.0],
                vec![0.0, -FAR, -2.0, NEAR, 1.0, 0.0],
                vec![0.0, FAR, -2.0, -NEAR, 1.0, 0.0],
                vec![0.0, -NEAR, -0.5, FAR, 1.0, 0.0],
                vec![0.0, NEAR, -0.5, -FAR, 1.0, 0.0],
                vec![0.0, 1.0, 0.0, -2.5, 0.0, 1.0],
            ],
            vec![
                vec![1.0, 0.0, 0.0, 0.0],
                vec![1.0, NEAR, 0.5, 0.5 * NEAR],
                vec![1.0, -NEAR, 0.5, -0.5 * NEAR],
                vec![1.0, FAR, 2.0, 2.0 * FAR],
                vec![1.0, -FAR, 2.0, -2.0 * FAR],
                vec![0.0, 0.0, 0.0, 1.0],
            ],
            vec![vec![1.0, 0.0, 0.0], near.into(), odd(near), far.into(), odd(far), vec![0.0, 0.0, 1.0]],
        ),
    };
    Matrices { bt: Matrix(bt), a: Matrix(a), g: Matrix(g) }
}

impl Matrix {
    pub fn rows(&self) -> usize {
        self.0.len()
    }

    pub fn columns(&self) -> usize {
        self.0[0].len()
    }

    pub fn transposed(&self) -> Self {
        Self((0..self.columns()).map(|column| self.0.iter().map(|row| row[column]).collect()).collect())
    }

    /// As a constant of WGSL.
    pub fn text(&self) -> String {
        let numbers: Vec<String> = self.0.iter().flatten().map(|number| format!("{number:?}")).collect();
        format!("array<f32, {}>({})", numbers.len(), numbers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one dimension: `A^T ((G g) * (B^T d))` is the correlation of `d` with `g`, for each pair of unit vectors.
    #[test]
    fn algorithms_are_correlations() {
        for m in [2, 4] {
            let Matrices { bt, a, g } = matrices(m);
            assert_eq!([bt.rows(), bt.columns(), a.columns(), g.columns()], [m + 2, m + 2, m, 3]);
            for tap in 0..3 {
                for place in 0..m + 2 {
                    for result in 0..m {
                        let term = |xi: usize| a.0[xi][result] * g.0[xi][tap] * bt.0[xi][place];
                        let found: f32 = (0..m + 2).map(term).sum();
                        let expected = if place == result + tap { 1.0 } else { 0.0 };
                        assert!((found - expected).abs() < 1e-6, "F({m}) {tap} {place} {result}: {found}");
                    }
                }
            }
        }
    }
}
