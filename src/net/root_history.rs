//! The root documents that led to the one in force, for those who have not walked as far.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::connections::Opened;
use super::trust::TrustHandle;
use crate::limits::{ROOT_EXCHANGE_GRACE, ROOTS_HELD_MAX, ROOTS_SENT_MAX};
use crate::membership::{NetworkRoot, RootDocument, Signed};

/// Texts by version: without a gap up to the root in force, at most [`ROOTS_HELD_MAX`].
#[derive(Debug)]
pub(super) struct RootHistory {
    texts: Mutex<BTreeMap<u32, String>>,
    /// From when on connections that this node opened under an earlier root are cut.
    cut_from: Mutex<Option<Duration>>,
}

impl RootHistory {
    pub(super) fn beginning_with(root: &NetworkRoot) -> Self {
        let history = Self {
            texts: Mutex::default(),
            cut_from: Mutex::default(),
        };
        history.add([root]);
        history
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds roots that follow the newest one held.
    pub(super) fn add<'a>(&self, roots: impl IntoIterator<Item = &'a NetworkRoot>) {
        let mut held = self.lock();
        for root in roots {
            if let Ok(text) = root.signed().to_text() {
                held.insert(root.version(), text);
            }
        }
        while held.len() > ROOTS_HELD_MAX {
            held.pop_first();
        }
    }

    /// Adds the text of the root before the oldest one held, if it is that.
    pub(super) fn add_former(&self, text: &str) -> bool {
        let mut held = self.lock();
        let Some((version, oldest)) = held.first_key_value() else {
            return false;
        };
        let previous = Signed::<RootDocument>::parse(oldest).ok();
        let previous = previous.and_then(|oldest| oldest.document().previous);
        let former = Signed::<RootDocument>::parse(text).ok();
        let is_former = former.and_then(|former| former.digest().ok()) == previous;
        if !is_former || previous.is_none() || held.len() >= ROOTS_HELD_MAX {
            return false;
        }
        let version = version.saturating_sub(1);
        held.insert(version, text.to_owned());
        true
    }

    /// The texts from a version on, in order; at most [`ROOTS_SENT_MAX`].
    pub(super) fn from(&self, version: u32) -> Vec<String> {
        let held = self.lock();
        let wanted = held.range(version..).map(|(_, text)| text.clone());
        wanted.take(ROOTS_SENT_MAX).collect()
    }

    pub(super) fn version(&self, version: u32) -> Option<String> {
        self.lock().get(&version).cloned()
    }
}

impl TrustHandle {
    /// Cuts the connections that peers opened and whose chains lead to no root certificate of the
    /// root in force; gives how many. Those that this node opened itself have a moment to end their
    /// calls: what begins from now on has a fresh connection.
    pub(super) fn cut_unrooted(&self) -> usize {
        let from = self.clock().uptime().saturating_add(ROOT_EXCHANGE_GRACE);
        let due = self.history().cut_from.lock();
        *due.unwrap_or_else(PoisonError::into_inner) = Some(from);
        let by_peer = Some(Opened::ByPeer);
        let leads = |chain: &[CertificateDer<'static>]| self.leads(chain);
        self.connections().cut_unrooted(by_peer, leads)
    }

    /// Cuts what is left of the others once their moment is over.
    pub(super) fn cut_left_behind(&self, now: Duration) -> usize {
        let due = self.history().cut_from.lock();
        let mut due = due.unwrap_or_else(PoisonError::into_inner);
        if due.take_if(|from| *from <= now).is_none() {
            return 0;
        }
        drop(due);
        self.connections()
            .cut_unrooted(None, |chain| self.leads(chain))
    }

    /// Adds the text of the root before the oldest one that this handle can hand on; `false` where
    /// it is another document, or enough are held.
    pub fn remember_former_root(&self, text: &str) -> bool {
        self.history().add_former(text)
    }

    /// The root documents from a version on, in the order of their versions, the one in force last;
    /// 0 for all that are held. At most [`crate::limits::ROOTS_SENT_MAX`].
    #[must_use]
    pub fn roots_from(&self, version: u32) -> Vec<String> {
        self.history().from(version)
    }

    /// The text of one version of the root, where it is held.
    #[must_use]
    pub fn root_text(&self, version: u32) -> Option<String> {
        self.history().version(version)
    }

    /// The root documents after `version` that fit into `bytes_max` together.
    #[must_use]
    pub fn roots_within(&self, version: u32, bytes_max: usize) -> Vec<String> {
        let mut left = bytes_max;
        let mut fit = |text: &String| {
            let fits = text.len() <= left;
            left = left.saturating_sub(text.len());
            fits
        };
        let roots = self.roots_from(version.saturating_add(1)).into_iter();
        roots.take_while(|text| fit(text)).collect()
    }
}
