//! Rows staged for one atomic commit, each at most once.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::FlowError;
use crate::store::{Table, Vault};

/// One staged row: the revision it replaces and what it becomes (`None` deletes it).
#[derive(Debug)]
struct Staged {
    previous: u64,
    plain: Option<Zeroizing<Vec<u8>>>,
}

/// A commit in the making. A row staged twice keeps the revision that was read and the newest
/// content.
#[derive(Debug, Default)]
pub(super) struct Draft {
    rows: BTreeMap<(Table, Vec<u8>), Staged>,
    expected: Vec<(Table, Vec<u8>, u64)>,
}

impl Draft {
    /// Rows staged so far.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Content staged for a row: `None` where nothing is staged, `Some(None)` where it is deleted.
    pub(super) fn staged(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        self.rows
            .get(&(table, key.to_vec()))
            .map(|staged| staged.plain.as_ref().map(|plain| plain.as_slice()))
    }

    /// Stages new content for a row that was read at revision `previous` (0 where absent).
    pub(super) fn put(&mut self, table: Table, key: &[u8], previous: u64, plain: Vec<u8>) {
        let plain = Some(Zeroizing::new(plain));
        self.rows
            .entry((table, key.to_vec()))
            .and_modify(|staged| staged.plain.clone_from(&plain))
            .or_insert(Staged { previous, plain });
    }

    /// Stages the deletion of a row that was read at revision `previous`.
    pub(super) fn delete(&mut self, table: Table, key: &[u8], previous: u64) {
        let staged = Staged {
            previous,
            plain: None,
        };
        self.rows
            .entry((table, key.to_vec()))
            .and_modify(|staged| staged.plain = None)
            .or_insert(staged);
    }

    /// Lets the commit fail unless this row is still at `revision`.
    pub(super) fn expect(&mut self, table: Table, key: Vec<u8>, revision: u64) {
        let expected = (table, key, revision);
        if !self.expected.contains(&expected) {
            self.expected.push(expected);
        }
    }

    /// Commits everything at once; returns when it is durable.
    ///
    /// # Errors
    /// [`FlowError::Store`], with nothing applied; a conflict means that a row changed since it was
    /// read.
    pub(super) async fn commit(self, vault: &Vault) -> Result<(), FlowError> {
        let mut batch = vault.batch();
        for ((table, key), staged) in self.rows {
            match staged.plain {
                Some(plain) => {
                    batch.put(table, &key, staged.previous, &plain);
                }
                None if staged.previous == 0 => {}
                None => {
                    batch.delete(table, &key, staged.previous);
                }
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        for (table, key, revision) in &self.expected {
            batch.expect(*table, key, *revision);
        }
        Ok(vault.commit(batch).await?)
    }
}
