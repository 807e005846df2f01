//! Readers that are slow, wrong and broken.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Sample `i` is two bytes `i`; some are slow, 90 fails, 91 panics.
#[derive(Debug, Default)]
struct Odd {
    reads: AtomicUsize,
}

impl Samples for Odd {
    fn count(&self) -> usize {
        100
    }

    fn read(&self, index: usize, pixels: &mut [u8]) -> Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if index.is_multiple_of(3) {
            thread::sleep(Duration::from_millis(2));
        }
        match index {
            90 => Err(Error::format("90.jpg", "is gone")),
            91 => panic!("on purpose"),
            _ => {
                pixels.fill(index as u8);
                Ok(())
            }
        }
    }
}

fn odd(most: usize) -> (Arc<Odd>, Ahead) {
    let odd = Arc::new(Odd::default());
    let ahead = Ahead::new(odd.clone(), 2, most, (0..100).collect()).unwrap();
    (odd, ahead)
}

fn take(ahead: &Ahead, first: usize, count: usize) -> Result<Vec<u8>> {
    let mut pixels = vec![0; 2 * count];
    ahead.take(first, &mut pixels)?;
    assert!(pixels.chunks(2).all(|pair| pair[0] == pair[1]));
    Ok(pixels.into_iter().step_by(2).collect())
}

#[test]
fn samples_come_in_their_order_however_few_lie_ready() {
    let order: Vec<u32> = (0..90).map(|i| i * 7 % 90).collect();
    let expected: Vec<u8> = order.iter().map(|&i| i as u8).collect();
    for most in [1, 5, 1000] {
        let (_, ahead) = odd(most);
        assert_eq!(take(&ahead, 0, 3).unwrap(), [0, 1, 2]);
        ahead.begin(order.clone());
        let all: Vec<u8> = (0..9).flat_map(|i| take(&ahead, 10 * i, 10).unwrap()).collect();
        assert_eq!(all, expected);
        // Anywhere else, the same again, and another order with the old one half read.
        assert_eq!(take(&ahead, 33, 4).unwrap(), expected[33..37]);
        assert_eq!(take(&ahead, 33, 4).unwrap(), expected[33..37]);
        ahead.begin((0..50).rev().collect());
        assert_eq!(take(&ahead, 0, 3).unwrap(), [49, 48, 47]);
        assert!(take(&ahead, 48, 3).unwrap_err().to_string().contains("sample 50 of 50"));
    }
}

#[test]
fn so_many_are_read_ahead_and_no_more() {
    let (odd, ahead) = odd(6);
    ahead.begin((0..50).collect());
    take(&ahead, 0, 4).unwrap();
    for _ in 0..1000 {
        thread::sleep(Duration::from_millis(1));
        if odd.reads.load(Ordering::Relaxed) == 10 {
            break;
        }
    }
    thread::sleep(Duration::from_millis(20));
    assert_eq!(odd.reads.load(Ordering::Relaxed), 10);
}

#[test]
fn errors_and_panics_come_in_their_place() {
    let (_, ahead) = odd(8);
    ahead.begin(vec![1, 90, 2, 91, 3]);
    assert_eq!(take(&ahead, 0, 1).unwrap(), [1]);
    assert_eq!(take(&ahead, 1, 2).unwrap_err().to_string(), "90.jpg: is gone");
    assert_eq!(take(&ahead, 2, 1).unwrap(), [2]);
    assert!(take(&ahead, 3, 1).unwrap_err().to_string().contains("image 91: its reader panicked"));
    assert_eq!(take(&ahead, 4, 1).unwrap(), [3]);
}

#[test]
fn threads_end_with_it_whatever_they_wait_for() {
    for taken in [0, 1, 30] {
        let (odd, ahead) = odd(4);
        if taken > 0 {
            ahead.begin((0..60).collect());
            take(&ahead, 0, taken).unwrap();
        }
        drop(ahead);
        assert_eq!(Arc::strong_count(&odd), 1);
    }
}
