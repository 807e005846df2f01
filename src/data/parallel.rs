//! Work on all cores.

use std::sync::Mutex;
use std::thread;

/// Runs `work` for each item on all cores; results come in the order of the items. `watch` hears how many of how many are
/// done.
pub(super) fn parallel<T: Send, R: Send>(
    items: Vec<T>,
    watch: &(dyn Fn(usize, usize) + Sync),
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let count = items.len();
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let queue = Mutex::new((0, items.into_iter().zip(&mut results)));
    let next = || {
        // Nothing panics while it holds the lock.
        let mut queue = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (done, items) = &mut *queue;
        let item = items.next()?;
        *done += 1;
        Some((*done - 1, item))
    };
    let drain = || {
        while let Some((done, (item, result))) = next() {
            watch(done, count);
            *result = Some(work(item));
        }
    };
    // This thread works too, so that it goes on where there are no others to be had.
    let others = thread::available_parallelism().map_or(1, usize::from).min(count).saturating_sub(1);
    thread::scope(|scope| {
        for _ in 0..others {
            if thread::Builder::new().spawn_scoped(scope, drain).is_err() {
                break;
            }
        }
        drain();
    });
    watch(count, count);
    results.into_iter().flatten().collect()
}
