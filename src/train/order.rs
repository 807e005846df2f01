//! The order in which an epoch visits the samples.

use rand::Rng;
use rand_pcg::Pcg64;

/// A permutation of `0..count` that depends on nothing but its arguments, so that a run can be continued anywhere; the
/// identity with `shuffle` off.
pub fn epoch_order(count: usize, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    if shuffle {
        let mut random = Pcg64::new(u128::from(seed), 2 * u128::from(epoch) + 1);
        // Fisher and Yates, with the draw spelled out: the order of a seed must outlive changes in any library.
        for last in (1..count).rev() {
            let other = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
            order.swap(last, other as usize);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_once_in_an_order_of_its_own() {
        let first = epoch_order(1000, 1, 0, true);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, epoch_order(1000, 1, 0, false));
        assert_eq!(first, epoch_order(1000, 1, 0, true));
        assert_ne!(first, epoch_order(1000, 1, 1, true));
        assert_ne!(first, epoch_order(1000, 2, 0, true));
    }

    #[test]
    fn the_order_of_a_seed_stays() {
        assert_eq!(epoch_order(8, 7, 3, true), [5, 4, 3, 6, 1, 2, 7, 0]);
    }
}
