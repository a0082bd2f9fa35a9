//! What ends one connection from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use futures::task::AtomicWaker;

/// Whether a connection is cut, and the task to wake when it is. Clones share it.
///
/// The one task that drives the connection waits: another that waited too would take its place.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    waiting: AtomicWaker,
}

impl Cut {
    /// Ends the connection.
    pub(super) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::Release);
        self.0.waiting.wake();
    }

    /// Whether the connection is cut.
    pub(super) fn is_cut(&self) -> bool {
        self.0.is_cut.load(Ordering::Acquire)
    }

    /// Whether the connection is cut; where not, the task of `cx` is woken when it is.
    pub(super) fn is_cut_or_wakes(&self, cx: &Context<'_>) -> bool {
        if self.is_cut() {
            return true;
        }
        self.0.waiting.register(cx.waker());
        // It may have been cut before the task was registered.
        self.is_cut()
    }
}
