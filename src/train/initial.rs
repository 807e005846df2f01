//! First values of parameters.

use crate::graph::{Graph, Init, Op};
use rand::Rng;
use rand_pcg::Pcg64;

/// The first values of each parameter of `graph`, in the order of declaration. They are drawn on the host from `seed`,
/// each parameter from a stream of its own, so that they are the same on every device.
pub fn initial_parameters(graph: &Graph, seed: u64) -> Vec<Vec<f32>> {
    let draw = |(index, (_, value))| {
        let count = graph.info(value).elements();
        let Op::Parameter(init) = graph.producer(value).op else { return vec![0.0; count] };
        match init {
            Init::Constant(number) => vec![number; count],
            Init::Uniform(bound) => {
                let mut random = Pcg64::new(u128::from(seed), 2 * index as u128);
                (0..count).map(|_| bound * uniform(random.next_u32())).collect()
            }
        }
    };
    graph.parameters().enumerate().map(draw).collect()
}

/// A number in [-1, 1) from 24 of 32 random bits: every step is exact in f32.
fn uniform(bits: u32) -> f32 {
    (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::models;

    #[test]
    fn weights_fill_their_range() {
        let network = models::lenet5(10).trace(1, [1, 28, 28]).unwrap();
        let drawn = initial_parameters(&network.graph, 3);
        assert_eq!(drawn, initial_parameters(&network.graph, 3));
        assert_ne!(drawn, initial_parameters(&network.graph, 4));
        // fc1.weight: 48,000 numbers in ±1/20.
        let fc1 = &drawn[4];
        assert_eq!(fc1.len(), 48_000);
        let mean = fc1.iter().sum::<f32>() / fc1.len() as f32;
        let largest = fc1.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        assert!(mean.abs() < 5e-4 && largest <= 0.05 && largest > 0.0499, "{mean} {largest}");
    }
}
