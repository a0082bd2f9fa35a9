//! What is written at once: changes that each expect the revision they found.

use std::collections::BTreeSet;

use crate::crypto::Sealed;
use crate::limits::{STORE_BATCH_ROWS_MAX, STORE_KEY_BYTES_MAX, STORE_VALUE_BYTES_MAX};

use super::{StoreError, Table};

/// A stored row: how often it was written since it was absent, and its sealed content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// 1 for a row's first write, one more for each later one.
    pub revision: u64,
    /// The content, which only the key ring opens.
    pub sealed: Sealed,
}

/// What happens to one row, and at which revision it must be for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes `sealed` at `revision`; the stored revision must be one less (absent counts as 0).
    Put {
        /// The revision to write, at least 1.
        revision: u64,
        /// The new content.
        sealed: Sealed,
    },
    /// Writes `sealed` at any `revision` of at least 1; the row must be absent. For restoring.
    Restore {
        /// The revision that the row had.
        revision: u64,
        /// The content that the row had.
        sealed: Sealed,
    },
    /// Writes what the row holds anew under another key, at the revision that it has; it must be
    /// what was read, byte for byte.
    Reseal {
        /// The row as it was read.
        before: Row,
        /// The same content, sealed anew.
        sealed: Sealed,
    },
    /// Removes the row, which must be at `revision`, at least 1.
    Delete {
        /// The stored revision.
        revision: u64,
    },
    /// Changes nothing; the row must be at `revision` (0 where it must be absent).
    Expect {
        /// The stored revision.
        revision: u64,
    },
}

impl Change {
    /// Whether the row that is stored, if any, may be changed so.
    #[must_use]
    pub fn fits(&self, stored: Option<&Row>) -> bool {
        let found = stored.map_or(0, |row| row.revision);
        match self {
            Self::Put { revision, .. } => revision.checked_sub(1) == Some(found),
            Self::Restore { .. } => found == 0,
            Self::Reseal { before, .. } => stored == Some(before),
            Self::Delete { revision } | Self::Expect { revision } => *revision == found,
        }
    }
}

/// One row's change within a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// The row's table.
    pub table: Table,
    /// The row's key, 1 to `limits::STORE_KEY_BYTES_MAX` bytes.
    pub key: Vec<u8>,
    /// What happens to it.
    pub change: Change,
}

/// Changes that are applied together or not at all: at most `limits::STORE_BATCH_ROWS_MAX` rows,
/// each named once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<RowChange>,
}

impl Batch {
    /// A batch without changes; committing it changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change; bounds are checked when the batch is committed.
    pub fn push(&mut self, table: Table, key: &[u8], change: Change) -> &mut Self {
        self.changes.push(RowChange {
            table,
            key: key.to_vec(),
            change,
        });
        self
    }

    /// Rows of the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether the batch has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes in the order in which they were added.
    #[must_use]
    pub fn changes(&self) -> &[RowChange] {
        &self.changes
    }

    /// The changes, taken out.
    #[must_use]
    pub fn into_changes(self) -> Vec<RowChange> {
        self.changes
    }

    /// Checks the bounds that hold whatever is stored.
    ///
    /// # Errors
    /// [`StoreError::BatchTooLarge`], [`StoreError::KeyLength`], [`StoreError::ValueTooLong`],
    /// [`StoreError::RowTwice`] or [`StoreError::RevisionOutOfRange`].
    pub fn check_bounds(&self) -> Result<(), StoreError> {
        if self.changes.len() > STORE_BATCH_ROWS_MAX {
            return Err(StoreError::BatchTooLarge {
                rows: self.changes.len(),
                rows_max: STORE_BATCH_ROWS_MAX,
            });
        }
        let mut named = BTreeSet::new();
        for RowChange { table, key, change } in &self.changes {
            check_key(*table, key)?;
            check_change(*table, change)?;
            if !named.insert((*table, key.as_slice())) {
                return Err(StoreError::RowTwice { table: *table });
            }
        }
        Ok(())
    }
}

/// Checks the length of a key.
pub(super) fn check_key(table: Table, key: &[u8]) -> Result<(), StoreError> {
    if (1..=STORE_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(StoreError::KeyLength {
        table,
        bytes: key.len(),
        bytes_max: STORE_KEY_BYTES_MAX,
    })
}

fn check_change(table: Table, change: &Change) -> Result<(), StoreError> {
    let (revision, sealed) = match change {
        Change::Put { revision, sealed } | Change::Restore { revision, sealed } => {
            (*revision, Some(sealed))
        }
        Change::Reseal { before, sealed } => (before.revision, Some(sealed)),
        Change::Delete { revision } => (*revision, None),
        Change::Expect { .. } => return Ok(()),
    };
    if revision == 0 {
        return Err(StoreError::RevisionOutOfRange { table });
    }
    match sealed.map(|sealed| sealed.as_bytes().len()) {
        Some(bytes) if bytes > STORE_VALUE_BYTES_MAX => Err(StoreError::ValueTooLong {
            table,
            bytes,
            bytes_max: STORE_VALUE_BYTES_MAX,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Which rows of a table to read, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Only keys that begin so; empty for all.
    pub prefix: Vec<u8>,
    /// Only keys behind this one: the last key of the page before.
    pub after: Option<Vec<u8>>,
    /// Most rows to return; at most `limits::STORE_SCAN_ROWS_MAX` are.
    pub limit: usize,
}

impl Scan {
    /// The first page of the keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8], limit: usize) -> Self {
        Self {
            prefix: prefix.to_vec(),
            after: None,
            limit,
        }
    }

    /// The first page of the whole table.
    #[must_use]
    pub fn all(limit: usize) -> Self {
        Self::prefix(&[], limit)
    }

    /// The page behind `key`.
    #[must_use]
    pub fn behind(self, key: &[u8]) -> Self {
        Self {
            after: Some(key.to_vec()),
            ..self
        }
    }
}
