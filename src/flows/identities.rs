//! The identity keys that a node holds: the one in use and, while a change waits, the next one.
//!
//! Which of them signs is decided by the member list in force at the moment of signing, so a change
//! counts for everything at once, and a node that is killed in between signs with whichever key the
//! list pins when it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crypto::IdentityKey;

/// The identity keys of one node.
#[derive(Debug)]
pub struct Identities(Mutex<Held>);

#[derive(Debug)]
struct Held {
    own: Arc<IdentityKey>,
    next: Option<Arc<IdentityKey>>,
}

impl Identities {
    /// The key in use, and the next one where a change waits.
    #[must_use]
    pub fn new(own: IdentityKey, next: Option<IdentityKey>) -> Self {
        Self(Mutex::new(Held {
            own: Arc::new(own),
            next: next.map(Arc::new),
        }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that the list pins; the one in use where it pins neither.
    #[must_use]
    pub fn pinned(&self, pinned: Option<&[u8; 32]>) -> Arc<IdentityKey> {
        let held = self.held();
        let is_next = |next: &&Arc<IdentityKey>| Some(&next.public()) == pinned;
        Arc::clone(held.next.as_ref().filter(is_next).unwrap_or(&held.own))
    }

    /// Both keys, the one that the list pins first.
    #[must_use]
    pub fn in_order(&self, pinned: Option<&[u8; 32]>) -> Vec<Arc<IdentityKey>> {
        let first = self.pinned(pinned);
        let held = self.held();
        let others = [Some(&held.own), held.next.as_ref()];
        let others = others.into_iter().flatten();
        let others = others.filter(|key| key.public() != first.public()).cloned();
        std::iter::once(Arc::clone(&first)).chain(others).collect()
    }

    /// The next key, while a change waits.
    #[must_use]
    pub fn next(&self) -> Option<Arc<IdentityKey>> {
        self.held().next.clone()
    }

    /// A change waits from now on.
    pub fn propose(&self, next: IdentityKey) {
        self.held().next = Some(Arc::new(next));
    }

    /// Takes the keys that another replica put into the store.
    pub fn take(&self, others: Self) {
        let theirs = others.0.into_inner();
        *self.held() = theirs.unwrap_or_else(PoisonError::into_inner);
    }

    /// The next key is the one in use, and the old one is gone.
    pub fn settle(&self) {
        let mut held = self.held();
        if let Some(next) = held.next.take() {
            held.own = next;
        }
    }
}
