//! The audit log read back in order, with the checkpoints that cover it.

use std::sync::Arc;

use super::ledger::HEAD;
use super::{FlowError, Home};
use crate::limits::STORE_SCAN_ROWS_MAX;
use crate::membership::Member;
use crate::merkle::Frontier;
use crate::protocol::audit::{WitnessKey, audit_origin};
use crate::store::{Scan, Table};

/// First part of the keys of the audit log's checkpoints; the size follows, 8 bytes.
const CHECKPOINTS: &[u8] = b"audit/";

/// Some entries in a row, and the checkpoints at their sizes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// Position and text of each entry.
    pub entries: Vec<(u64, String)>,
    /// The signed notes that cover up to one of these entries, in the order of their sizes.
    pub checkpoints: Vec<String>,
}

/// Reads this node's audit log.
#[derive(Debug, Clone)]
pub struct AuditReader(Arc<Home>);

impl AuditReader {
    /// Reads the log of this node.
    #[must_use]
    pub const fn new(home: Arc<Home>) -> Self {
        Self(home)
    }

    /// The origin of the log's checkpoints.
    #[must_use]
    pub fn origin(&self) -> String {
        audit_origin(&self.0.member)
    }

    /// The public keys that signed it: the one that the list in force pins for this member, the
    /// former ones that the list keeps, and the one in use where the list does not have it.
    #[must_use]
    pub fn keys(&self) -> Vec<[u8; 32]> {
        let own = self.0.own_entry();
        let listed = own.iter().flat_map(|own| own.identity_keys());
        let mut keys: Vec<[u8; 32]> = listed.copied().collect();
        let in_use = self.0.identity().public();
        if !keys.contains(&in_use) {
            keys.push(in_use);
        }
        keys
    }

    /// Every other member with the key that the list in force pins for it, and with each of those
    /// that it had before.
    #[must_use]
    pub fn witnesses(&self) -> Vec<WitnessKey> {
        let roster = self.0.trust.roster();
        let peers = roster.peers_of(&self.0.member);
        let of_key = |peer: &Member, key: &[u8; 32]| WitnessKey {
            member: peer.id.clone(),
            key: *key,
        };
        peers
            .flat_map(|peer| peer.identity_keys().map(move |key| of_key(peer, key)))
            .collect()
    }

    /// Entries in the log.
    ///
    /// # Errors
    /// [`FlowError`] where the store cannot be read.
    pub async fn size(&self) -> Result<u64, FlowError> {
        let row = self.0.vault.read(Table::AuditHead, HEAD).await?;
        let Some(row) = row else { return Ok(0) };
        let head = Frontier::decode(&row.bytes);
        head.map(|head| head.size())
            .map_err(|_| FlowError::Unreadable {
                what: "audit log head",
            })
    }

    /// One entry.
    ///
    /// # Errors
    /// [`FlowError`] where the store cannot be read, or has no such entry.
    pub async fn line(&self, position: u64) -> Result<String, FlowError> {
        let unreadable = || FlowError::Unreadable {
            what: "audit log entry",
        };
        let key = position.to_be_bytes();
        let row = self.0.vault.read(Table::AuditEntry, &key).await?;
        let bytes = row.ok_or_else(unreadable)?.bytes.to_vec();
        String::from_utf8(bytes).map_err(|_| unreadable())
    }

    /// The signed note at a size; `None` where none was signed there.
    ///
    /// # Errors
    /// [`FlowError`] where the store cannot be read.
    pub(super) async fn checkpoint(&self, size: u64) -> Result<Option<String>, FlowError> {
        let key = [CHECKPOINTS, &size.to_be_bytes()].concat();
        let row = self.0.vault.read(Table::Checkpoint, &key).await?;
        let note = row.map(|row| String::from_utf8(row.bytes.to_vec()));
        note.transpose().map_err(|_| FlowError::Unreadable {
            what: "audit log checkpoint",
        })
    }

    /// The entries from position `first` on that are below `size`, as many as one page holds.
    ///
    /// # Errors
    /// [`FlowError`] where the store cannot be read.
    pub async fn page(&self, first: u64, size: u64) -> Result<AuditPage, FlowError> {
        let vault = &self.0.vault;
        let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
        if let Some(before) = first.checked_sub(1) {
            scan = scan.behind(&before.to_be_bytes());
        }
        let mut page = AuditPage::default();
        for (key, row) in vault.scan(Table::AuditEntry, &scan).await? {
            let unreadable = FlowError::Unreadable {
                what: "audit log entry",
            };
            let Ok(position) = <[u8; 8]>::try_from(key.as_slice()) else {
                return Err(unreadable);
            };
            let position = u64::from_be_bytes(position);
            if position < size {
                let line = String::from_utf8(row.bytes.to_vec()).map_err(|_| unreadable)?;
                page.entries.push((position, line));
            }
        }
        let Some((last, _)) = page.entries.last() else {
            return Ok(page);
        };
        let last = last + 1;
        let scan = Scan::prefix(CHECKPOINTS, STORE_SCAN_ROWS_MAX);
        let scan = scan.behind(&[CHECKPOINTS, &first.to_be_bytes()].concat());
        for (key, row) in vault.scan(Table::Checkpoint, &scan).await? {
            let covered = key.strip_prefix(CHECKPOINTS);
            let covered = covered.and_then(|size| <[u8; 8]>::try_from(size).ok());
            if covered.is_some_and(|size| u64::from_be_bytes(size) <= last) {
                let note = String::from_utf8(row.bytes.to_vec());
                page.checkpoints
                    .push(note.map_err(|_| FlowError::Unreadable {
                        what: "audit log checkpoint",
                    })?);
            }
        }
        Ok(page)
    }
}
