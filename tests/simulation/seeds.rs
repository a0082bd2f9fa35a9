//! Which seeds a long test runs, and running them on all threads.

use std::collections::BTreeMap;
use std::thread;

const THREADS: u64 = 2;

fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the size of a long test")]
    std::env::var(name).ok()
}

/// The one of `CREDITMESH_TEST_SEED`, or else the first `full` where `CREDITMESH_TEST_SIZE=full`,
/// and otherwise the first `small`.
pub(crate) fn wanted(small: u64, full: u64) -> Vec<u64> {
    if let Some(seed) = setting("CREDITMESH_TEST_SEED") {
        return vec![seed.parse().unwrap()];
    }
    let is_full = setting("CREDITMESH_TEST_SIZE").as_deref() == Some("full");
    (0..if is_full { full } else { small }).collect()
}

/// Runs seeds on all threads and keeps what they came to.
pub(crate) fn run_all<O: Send>(seeds: &[u64], run: impl Fn(u64) -> O + Sync) -> BTreeMap<u64, O> {
    let part = |thread: u64| {
        let mine = seeds.iter().filter(|seed| **seed % THREADS == thread);
        mine.map(|seed| (*seed, run(*seed))).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let part = &part;
                scope.spawn(move || part(thread))
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}
