//! What a group of batches does to the stored rows and digests: decided once, for every engine.

use std::collections::BTreeMap;

use super::digest::{Digester, bucket_of};
use super::{Batch, BucketDigest, Change, Row, RowChange, StoreError, Table};

/// The state before the group.
pub(super) trait Base {
    /// The stored row.
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// The stored digest of a bucket.
    fn digest(&self, table: Table, bucket: u8) -> Result<BucketDigest, StoreError>;
}

/// A row before and after the group.
#[derive(Debug)]
pub(super) struct StagedRow {
    pub(super) before: Option<Row>,
    pub(super) after: Option<Row>,
}

/// A digest before and after the group.
#[derive(Debug)]
pub(super) struct StagedDigest {
    pub(super) before: BucketDigest,
    pub(super) after: BucketDigest,
}

/// The changes of a group of batches, not yet written.
#[derive(Debug)]
pub(super) struct Stage<'a, B> {
    base: &'a B,
    digester: &'a Digester,
    rows: BTreeMap<(Table, Vec<u8>), StagedRow>,
    digests: BTreeMap<(Table, u8), StagedDigest>,
}

/// All that a group writes.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) rows: BTreeMap<(Table, Vec<u8>), StagedRow>,
    pub(super) digests: BTreeMap<(Table, u8), StagedDigest>,
}

impl<'a, B: Base> Stage<'a, B> {
    /// An empty group over `base`.
    pub(super) fn over(base: &'a B, digester: &'a Digester) -> Self {
        Self {
            base,
            digester,
            rows: BTreeMap::new(),
            digests: BTreeMap::new(),
        }
    }

    /// Adds a batch that is within bounds; it sees the batches that were added before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], or what the base says; the group is then as if never asked.
    pub(super) fn add(&mut self, batch: Batch) -> Result<(), StoreError> {
        let mut found = Vec::with_capacity(batch.len());
        for RowChange { table, key, change } in batch.changes() {
            let stored = self.current(*table, key)?;
            let revision = stored.as_ref().map_or(0, |row| row.revision);
            if !change.fits(revision) {
                return Err(StoreError::Conflict { table: *table });
            }
            if !matches!(change, Change::Expect { .. }) {
                self.load_digest(*table, bucket_of(key))?;
            }
            found.push(stored);
        }
        for (change, before) in batch.into_changes().into_iter().zip(found) {
            self.apply(change, before);
        }
        Ok(())
    }

    /// What the group writes.
    pub(super) fn finish(self) -> Staged {
        Staged {
            rows: self.rows,
            digests: self.digests,
        }
    }

    fn current(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        match self.rows.get(&(table, key.to_vec())) {
            Some(staged) => Ok(staged.after.clone()),
            None => self.base.row(table, key),
        }
    }

    fn load_digest(&mut self, table: Table, bucket: u8) -> Result<(), StoreError> {
        if !self.digests.contains_key(&(table, bucket)) {
            let before = self.base.digest(table, bucket)?;
            let after = before;
            self.digests
                .insert((table, bucket), StagedDigest { before, after });
        }
        Ok(())
    }

    fn apply(&mut self, change: RowChange, before: Option<Row>) {
        let RowChange { table, key, change } = change;
        let after = match change {
            Change::Put { revision, sealed } | Change::Restore { revision, sealed } => {
                Some(Row { revision, sealed })
            }
            Change::Delete { .. } => None,
            Change::Expect { .. } => return,
        };
        if let Some(digest) = self.digests.get_mut(&(table, bucket_of(&key))) {
            if let Some(row) = &before {
                digest.after.remove(&self.digester.row(table, &key, row));
            }
            if let Some(row) = &after {
                digest.after.add(&self.digester.row(table, &key, row));
            }
        }
        match self.rows.entry((table, key)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(StagedRow { before, after });
            }
            std::collections::btree_map::Entry::Occupied(mut staged) => {
                staged.get_mut().after = after;
            }
        }
    }
}
