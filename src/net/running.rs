//! How many calls run at once, under a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A count of running calls. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct CallCount(Arc<AtomicUsize>);

impl CallCount {
    /// Counts one more call until the place is dropped; `None` where `bound` calls run already.
    pub(super) fn take(&self, bound: usize) -> Option<CallPlace> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        // Where there is no place, dropping this one takes the count back.
        let place = CallPlace(Arc::clone(&self.0));
        (before < bound).then_some(place)
    }
}

/// One running call's place in a count.
#[derive(Debug)]
pub(super) struct CallPlace(Arc<AtomicUsize>);

impl Drop for CallPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_calls_run_than_the_bound_and_a_place_is_given_back() {
        let count = CallCount::default();
        let held: Vec<CallPlace> = (0..3).filter_map(|_| count.take(3)).collect();
        assert_eq!(held.len(), 3);
        assert!(count.take(3).is_none());
        drop(held);
        assert!(count.take(1).is_some());
    }
}
