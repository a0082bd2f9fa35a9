//! Streams from peers, one task each: begun where they are wanted, ended where they are not.

use std::collections::BTreeMap;

use tokio::task::{AbortHandle, JoinSet};

/// The streams that run, by what each follows.
#[derive(Debug)]
pub(super) struct Streams<K> {
    tasks: JoinSet<()>,
    running: BTreeMap<K, AbortHandle>,
}

impl<K: Ord + Clone> Streams<K> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        }
    }

    /// Ends the streams that are not wanted any more, and begins those that do not run.
    pub(super) fn keep<F>(&mut self, wanted: Vec<K>, begin: impl Fn(K) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.retain(|key, stream| {
            let kept = wanted.contains(key) && !stream.is_finished();
            if !kept {
                stream.abort();
            }
            kept
        });
        for key in wanted {
            let tasks = &mut self.tasks;
            self.running
                .entry(key.clone())
                .or_insert_with(|| tasks.spawn(begin(key)));
        }
        while self.tasks.try_join_next().is_some() {}
    }
}
