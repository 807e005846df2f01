//! Reading samples ahead of the steps that need them, on threads of its own.
//!
//! Threads take the places of an order one after the other and lay what they read into a shelf of limited length; the one
//! who trains takes from it place by place. What arrives is therefore a matter of the order alone, not of which thread was
//! faster. An error lies in its place on the shelf like anything else.

use crate::data::Samples;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

/// Threads that read ahead; they end when it is dropped.
pub(super) struct Ahead {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    samples: Arc<dyn Samples>,
    /// Bytes of a sample.
    size: usize,
    /// Places between what was taken last and what is read, at most.
    most: usize,
    state: Mutex<State>,
    /// Threads wait here for places to read.
    room: Condvar,
    /// The one who takes waits here for a place to be filled.
    filled: Condvar,
}

#[derive(Default)]
struct State {
    order: Vec<u32>,
    /// Counts new beginnings: what was begun before one is thrown away.
    turn: u64,
    /// The next place to be taken.
    taken: usize,
    /// The next place to be read.
    next: usize,
    shelf: BTreeMap<usize, Result<Vec<u8>>>,
    closed: bool,
}

impl State {
    fn begin_at(&mut self, place: usize) {
        (self.taken, self.next) = (place, place);
        self.turn += 1;
        self.shelf.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What each thread does.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            let place = state.next;
            if place >= state.order.len() || place - state.taken >= self.most {
                state = self.room.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            }
            state.next += 1;
            let (turn, sample) = (state.turn, state.order[place] as usize);
            drop(state);
            let read = self.read(sample);
            state = self.lock();
            if state.turn == turn {
                state.shelf.insert(place, read);
                self.filled.notify_all();
            }
        }
    }

    fn read(&self, sample: usize) -> Result<Vec<u8>> {
        let mut pixels = vec![0; self.size];
        let read = catch_unwind(AssertUnwindSafe(|| self.samples.read(sample, &mut pixels)));
        read.unwrap_or_else(|_| Err(Error::usage(format!("image {sample}: its reader panicked"))))?;
        Ok(pixels)
    }
}

impl Ahead {
    /// Reads `samples` of so many bytes in this order, up to `most` of them ahead of the last that was taken; idle until
    /// the first is taken or another order [begins](Self::begin).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where there are no threads to be had.
    pub fn new(samples: Arc<dyn Samples>, size: usize, most: usize, order: Vec<u32>) -> Result<Self> {
        let end = order.len();
        let state = Mutex::new(State { order, taken: end, next: end, ..State::default() });
        let (room, filled) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { samples, size, most: most.max(1), state, room, filled });
        let mut ahead = Self { shared, threads: vec![] };
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let shared = ahead.shared.clone();
            match thread::Builder::new().name("wgrad reader".into()).spawn(move || shared.work()) {
                Ok(thread) => ahead.threads.push(thread),
                Err(_) if !ahead.threads.is_empty() => break,
                Err(error) => {
                    return Err(Error::usage(format!(
                        "no thread to read images with ({error}); a streamed data set needs one"
                    )));
                }
            }
        }
        Ok(ahead)
    }

    /// Drops what was read, and begins to read in another order.
    pub fn begin(&self, order: Vec<u32>) {
        let mut state = self.shared.lock();
        state.order = order;
        state.begin_at(0);
        self.shared.room.notify_all();
    }

    /// Fills `pixels` with the samples at the places from `first` on, waiting for them where need be. Whoever takes place
    /// after place finds them read ahead.
    pub fn take(&self, first: usize, pixels: &mut [u8]) -> Result<()> {
        let mut state = self.shared.lock();
        if state.taken != first {
            state.begin_at(first);
            self.shared.room.notify_all();
        }
        for pixels in pixels.chunks_exact_mut(self.shared.size.max(1)) {
            let place = state.taken;
            if place >= state.order.len() {
                return Err(Error::usage(format!("sample {place} of {}: there are not so many", state.order.len())));
            }
            let read = loop {
                match state.shelf.remove(&place) {
                    Some(read) => break read,
                    None => state = self.shared.filled.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                }
            };
            state.taken += 1;
            self.shared.room.notify_all();
            pixels.copy_from_slice(&read?);
        }
        Ok(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // It has caught every panic of its reader.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
