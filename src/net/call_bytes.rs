//! What calls hold in memory together, under a bound: where it is passed, the oldest calls end with
//! their connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use tonic::body::Body;

use super::cut::Cut;

/// The calls that hold bytes. Clones share the count.
#[derive(Debug, Clone)]
pub(super) struct CallBytes {
    held: Arc<Mutex<Held>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    total: usize,
    /// In the order in which they came.
    calls: BTreeMap<u64, (usize, Cut)>,
}

fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallBytes {
    pub(super) fn new(most: usize) -> Self {
        Self {
            held: Arc::default(),
            most,
        }
    }

    /// Counts a call on the connection that `cut` ends, with the bytes that it holds from its
    /// beginning.
    pub(super) fn begin(&self, cut: Cut, bytes: usize) -> HeldBytes {
        let mut held = locked(&self.held);
        let id = held.next;
        held.next += 1;
        held.calls.insert(id, (0, cut));
        drop(held);
        let call = HeldBytes(Arc::new(OneCall {
            all: self.clone(),
            id,
        }));
        call.grow(bytes);
        call
    }

    fn grow(&self, id: u64, bytes: usize) {
        let mut cuts = Vec::new();
        let mut held = locked(&self.held);
        if let Some((own, _)) = held.calls.get_mut(&id) {
            *own = own.saturating_add(bytes);
            held.total = held.total.saturating_add(bytes);
        }
        while held.total > self.most {
            let oldest = held.calls.iter().find(|(_, (bytes, _))| *bytes > 0);
            let Some((oldest, _)) = oldest.map(|(id, one)| (*id, one.0)) else {
                break;
            };
            if let Some((bytes, cut)) = held.calls.remove(&oldest) {
                held.total = held.total.saturating_sub(bytes);
                cuts.push(cut);
            }
        }
        drop(held);
        for cut in cuts {
            cut.cut();
        }
    }

    /// Bytes held now.
    #[cfg(test)]
    fn total(&self) -> usize {
        locked(&self.held).total
    }
}

#[derive(Debug)]
struct OneCall {
    all: CallBytes,
    id: u64,
}

impl Drop for OneCall {
    fn drop(&mut self) {
        let mut held = locked(&self.all.held);
        if let Some((bytes, _)) = held.calls.remove(&self.id) {
            held.total = held.total.saturating_sub(bytes);
        }
    }
}

/// What one call holds; given back when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct HeldBytes(Arc<OneCall>);

impl HeldBytes {
    /// Counts more bytes.
    pub(super) fn grow(&self, bytes: usize) {
        self.0.all.grow(self.0.id, bytes);
    }
}

/// The body of a request that may have at most so many bytes, and whose bytes are counted.
pub(super) fn counted(body: Body, most: usize, held: HeldBytes) -> Body {
    Body::new(Limited::new(body, most).map_frame(move |frame| {
        held.grow(frame.data_ref().map_or(0, Bytes::len));
        frame
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_bound_the_oldest_calls_end_and_what_they_held_comes_back() {
        let all = CallBytes::new(100);
        let cuts: Vec<Cut> = (0..3).map(|_| Cut::default()).collect();
        let idle = all.begin(cuts[0].clone(), 0);
        let old = all.begin(cuts[1].clone(), 60);
        let new = all.begin(cuts[2].clone(), 30);
        assert_eq!(all.total(), 90);
        new.grow(20);
        assert!(cuts[1].is_cut() && !cuts[0].is_cut() && !cuts[2].is_cut());
        assert_eq!(all.total(), 50);
        old.grow(1_000);
        assert_eq!(all.total(), 50, "one that was ended counts no more");
        new.clone().grow(30);
        assert_eq!(all.total(), 80);
        drop((idle, old, new));
        assert_eq!(all.total(), 0);
    }
}
