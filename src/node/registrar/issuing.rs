//! The issuing authority at work: one key, and a certificate of it by each X.509 root that has
//! signed one. Which of them stand in new chains follows from the root in force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;

use super::desk::{Outcome, local};
use super::files::texts;
use crate::membership::{Authority, AuthorityKey, NetworkRoot, certified_by};
use crate::node::join::replace;
use crate::node::{AdminError, NodeError};

/// The registrar's issuing authority.
#[derive(Debug)]
pub(super) struct Issuing {
    folder: PathBuf,
    /// As it was founded, or left by an exchange that is over.
    first: String,
    /// By the X.509 root that signed it.
    later: Mutex<BTreeMap<[u8; 32], String>>,
    current: Arc<ArcSwap<Authority>>,
}

impl Issuing {
    /// Opens what lies in the registrar's folder.
    pub(super) fn open(
        folder: &Path,
        key: AuthorityKey,
        root: &NetworkRoot,
    ) -> Result<Self, AdminError> {
        let path = folder.join("authority").join("issuing.crt");
        let first =
            crate::node::read_text(&path).map_err(|error| NodeError::file(&path, &error))?;
        let authority = Authority::open(&first, key)?;
        let folder = folder.join("registrar").join("issuing");
        let mut later = BTreeMap::new();
        for (_, pem) in texts(&folder, "crt")? {
            if let Some((_, digest)) = certified_by(root, &pem) {
                later.insert(digest, pem);
            }
        }
        let issuing = Self {
            folder,
            first,
            later: Mutex::new(later),
            current: Arc::new(ArcSwap::from_pointee(authority)),
        };
        issuing.follow(root)?;
        Ok(issuing)
    }

    /// The authority in use; what follows it sees the next one.
    pub(super) const fn current(&self) -> &Arc<ArcSwap<Authority>> {
        &self.current
    }

    fn later(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], String>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, pem: &str) -> Result<Authority, AdminError> {
        let key = self.current.load().key().clone();
        Ok(Authority::open(pem, key)?)
    }

    /// Takes certificates into use that are for this key and lead to a root of `root`; gives how
    /// many.
    pub(super) fn take(&self, root: &NetworkRoot, certificates: &[String]) -> Outcome<usize> {
        let mut taken = 0;
        for pem in certificates {
            let Some((_, digest)) = certified_by(root, pem) else {
                continue;
            };
            if self.with(pem).is_err() {
                continue;
            }
            let file = self
                .folder
                .join(format!("{}.crt", HEXLOWER.encode(&digest)));
            replace(&file, pem.as_bytes()).map_err(local)?;
            self.later().insert(digest, pem.clone());
            taken += 1;
        }
        self.follow(root).map_err(local)?;
        Ok(taken)
    }

    /// Lets new chains lead to the roots that stay: the one that came last first.
    pub(super) fn follow(&self, root: &NetworkRoot) -> Result<(), AdminError> {
        let mut held = self.later().clone();
        if let Some((_, digest)) = certified_by(root, &self.first) {
            held.entry(digest).or_insert_with(|| self.first.clone());
        }
        let tainted = &root.document().tainted;
        let placed = held.iter().filter_map(|(digest, pem)| {
            let (place, _) = certified_by(root, pem)?;
            Some(((!tainted.contains(digest), place), pem))
        });
        let mut placed: Vec<_> = placed.collect();
        placed.sort_by_key(|((stays, place), _)| std::cmp::Reverse((*stays, *place)));
        if placed.iter().any(|((stays, _), _)| *stays) {
            placed.retain(|((stays, _), _)| *stays);
        }
        let mut pems = placed.into_iter().map(|(_, pem)| pem);
        let Some(first) = pems.next() else {
            tracing::error!(
                "the issuing authority leads to no root certificate of the network: let the \
                 administrators run `creditmesh network rollover activate` again"
            );
            return Ok(());
        };
        let mut authority = self.with(first)?;
        if let Some(also) = pems.next() {
            authority = authority.certified_also(also)?;
        }
        self.current.store(Arc::new(authority));
        Ok(())
    }
}
