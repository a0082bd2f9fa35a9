//! What a group of batches does to the stored rows and digests: decided once, for every engine.

use std::collections::BTreeMap;

use super::digest::{Digester, Shelf, bucket_of};
use super::{Batch, Change, Row, RowChange, StoreError, Table};

/// The state before the group.
pub(super) trait Base {
    /// The stored row.
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// Stored digests.
    fn shelf(&self, table: Table, number: u8) -> Result<Shelf, StoreError>;
}

/// A row before and after the group.
#[derive(Debug)]
pub(super) struct StagedRow {
    pub(super) before: Option<Row>,
    pub(super) after: Option<Row>,
}

/// Digests before and after the group.
#[derive(Debug)]
pub(super) struct StagedShelf {
    pub(super) before: Shelf,
    pub(super) after: Shelf,
}

/// The changes of a group of batches, not yet written.
#[derive(Debug)]
pub(super) struct Stage<'a, B> {
    base: &'a B,
    digester: &'a Digester,
    rows: BTreeMap<(Table, Vec<u8>), StagedRow>,
    shelves: BTreeMap<(Table, u8), StagedShelf>,
}

/// All that a group writes.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) rows: BTreeMap<(Table, Vec<u8>), StagedRow>,
    pub(super) shelves: BTreeMap<(Table, u8), StagedShelf>,
}

impl<'a, B: Base> Stage<'a, B> {
    /// An empty group over `base`.
    pub(super) fn over(base: &'a B, digester: &'a Digester) -> Self {
        Self {
            base,
            digester,
            rows: BTreeMap::new(),
            shelves: BTreeMap::new(),
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
            if !change.fits(stored.as_ref()) {
                return Err(StoreError::Conflict { table: *table });
            }
            if !matches!(change, Change::Expect { .. }) {
                self.load_shelf(*table, Shelf::of(bucket_of(key)))?;
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
            shelves: self.shelves,
        }
    }

    fn current(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        match self.rows.get(&(table, key.to_vec())) {
            Some(staged) => Ok(staged.after.clone()),
            None => self.base.row(table, key),
        }
    }

    fn load_shelf(&mut self, table: Table, number: u8) -> Result<(), StoreError> {
        if !self.shelves.contains_key(&(table, number)) {
            let before = self.base.shelf(table, number)?;
            let after = before;
            self.shelves
                .insert((table, number), StagedShelf { before, after });
        }
        Ok(())
    }

    fn apply(&mut self, change: RowChange, before: Option<Row>) {
        let RowChange { table, key, change } = change;
        let after = match change {
            Change::Put { revision, sealed } | Change::Restore { revision, sealed } => {
                Some(Row { revision, sealed })
            }
            Change::Reseal { before, sealed } => Some(Row {
                revision: before.revision,
                sealed,
            }),
            Change::Delete { .. } => None,
            Change::Expect { .. } => return,
        };
        let bucket = bucket_of(&key);
        let shelf = self.shelves.get_mut(&(table, Shelf::of(bucket)));
        if let Some(digest) = shelf.and_then(|shelf| shelf.after.bucket(bucket)) {
            if let Some(row) = &before {
                digest.remove(&self.digester.row(table, &key, row));
            }
            if let Some(row) = &after {
                digest.add(&self.digester.row(table, &key, row));
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
