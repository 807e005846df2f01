//! First values of parameters.

use crate::graph::{Graph, Init, Op};
use rand::Rng;
use rand_pcg::Pcg64;

/// The first values of each parameter and buffer of `graph`, in the order of declaration. They are drawn on the host from
/// `seed`, each parameter from a stream of its own, so that they are the same on every device.
pub fn initial_state(graph: &Graph, seed: u64) -> Vec<Vec<f32>> {
    let mut parameters = 0;
    let draw = |(_, value, trainable)| {
        let stream = 2 * parameters;
        parameters += u128::from(trainable);
        let mut random = Pcg64::new(u128::from(seed), stream);
        let count = graph.info(value).elements();
        let (Op::Parameter(init) | Op::Buffer(init)) = graph.producer(value).op else { return vec![0.0; count] };
        match init {
            Init::Constant(number) => vec![number; count],
            Init::Uniform(bound) => (0..count).map(|_| bound * uniform(random.next_u32())).collect(),
            Init::Normal(deviation) => normal(&mut random, deviation).take(count).collect(),
        }
    };
    graph.state().map(draw).collect()
}

/// Numbers of a normal distribution, by the polar method of Marsaglia and Bray (1964). Logarithm and root are computed in
/// f64 and rounded once, so that platforms agree.
fn normal(random: &mut Pcg64, deviation: f32) -> impl Iterator<Item = f32> {
    let draw = move || loop {
        let [a, b] = [(); 2].map(|()| f64::from(uniform(random.next_u32())));
        let square = a * a + b * b;
        if square > 0.0 && square < 1.0 {
            let factor = (-2.0 * square.ln() / square).sqrt() * f64::from(deviation);
            return [(a * factor) as f32, (b * factor) as f32];
        }
    };
    std::iter::repeat_with(draw).flatten()
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
        let drawn = initial_state(&network.graph, 3);
        assert_eq!(drawn, initial_state(&network.graph, 3));
        assert_ne!(drawn, initial_state(&network.graph, 4));
        // fc1.weight: 48,000 numbers in ±1/20.
        let fc1 = &drawn[4];
        assert_eq!(fc1.len(), 48_000);
        let mean = fc1.iter().sum::<f32>() / fc1.len() as f32;
        let largest = fc1.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        assert!(mean.abs() < 5e-4 && largest <= 0.05 && largest > 0.0499, "{mean} {largest}");
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let mut random = Pcg64::new(5, 1);
        let drawn: Vec<f64> = normal(&mut random, 0.5).take(100_000).map(f64::from).collect();
        let moment = |power| drawn.iter().map(|x| (x / 0.5).powi(power)).sum::<f64>() / drawn.len() as f64;
        let moments = [1, 2, 3, 4].map(moment);
        // The deviations of these means are sqrt(1, 2, 15, 96 / 100,000).
        let expected = [(0.0, 0.0032), (1.0, 0.0045), (0.0, 0.0123), (3.0, 0.031)];
        let near = |(found, (wanted, deviation)): (&f64, (f64, f64))| (found - wanted).abs() < 3.5 * deviation;
        assert!(moments.iter().zip(expected).all(near), "{moments:?}");
    }
}
