//! What a sled store shows: the last durable state, also while a group is being written.
//!
//! sled shows a write as soon as it is in memory. A node that signed or sent what it read then
//! could be made a liar by a power cut. So the committer first notes, for every key that a group
//! changes, what stood there before; readers see that note until the group is on disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::limits::STORE_SCAN_ROWS_MAX;
use crate::store::digest::{BUCKETS, Digester, SHELVES, Shelf};
use crate::store::layout::{decode_row, row_key, shelf_key};
use crate::store::stage::Base;
use crate::store::{BucketDigest, Row, Scan, StoreError, Table};

use super::snapshot::Kept;

/// Engine keys of a group under way, each with the value before the group.
pub(super) type Before = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The durable state.
#[derive(Debug)]
pub(super) struct View {
    db: sled::Db,
    before: Before,
    /// The snapshot that is being read.
    pub(super) kept: Option<Kept>,
}

impl View {
    /// The state of a store in which nothing is under way.
    pub(super) fn new(db: sled::Db) -> Self {
        Self {
            db,
            before: Before::new(),
            kept: None,
        }
    }

    /// Keeps the durable state of this moment for a snapshot.
    pub(super) fn keep(&mut self) -> Result<(), StoreError> {
        if self.kept.is_some() {
            return Err(StoreError::SnapshotTaken);
        }
        self.kept = Some(Kept::beginning_with(&self.before));
        Ok(())
    }

    /// Hides the group that is about to be written.
    pub(super) fn hide(&mut self, before: Before) {
        if let Some(kept) = &mut self.kept {
            kept.note(&before);
        }
        self.before = before;
    }

    /// Shows the group that is now on disk.
    pub(super) fn show(&mut self) {
        self.before.clear();
    }

    /// The durable row.
    pub(super) fn row(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let value = self.value(&self.before, &row_key(table, key))?;
        value.map(|value| decode_row(table, &value)).transpose()
    }

    /// A page of durable rows.
    pub(super) fn page(&self, table: Table, scan: &Scan) -> Result<Page, StoreError> {
        self.page_behind(&self.before, table, scan)
    }

    /// A page of the snapshot's rows.
    pub(super) fn kept_page(&self, table: Table, scan: &Scan) -> Result<Page, StoreError> {
        self.page_behind(self.past()?, table, scan)
    }

    /// What stood before the moment of the snapshot.
    fn past(&self) -> Result<&Before, StoreError> {
        let kept = self.kept.as_ref().ok_or(StoreError::SnapshotLost)?;
        kept.check()?;
        Ok(&kept.before)
    }

    fn page_behind(&self, before: &Before, table: Table, scan: &Scan) -> Result<Page, StoreError> {
        let pairs = guarded(|| self.pairs(before, table, scan))??;
        let rows = pairs.into_iter().map(|(mut key, value)| {
            let row = decode_row(table, &value)?;
            key.remove(0);
            Ok((key, row))
        });
        rows.collect()
    }

    /// The durable digests of a table.
    pub(super) fn digests(
        &self,
        table: Table,
        digester: &Digester,
    ) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        self.digests_behind(&self.before, table, digester)
    }

    /// The digests of the snapshot's table.
    pub(super) fn kept_digests(
        &self,
        table: Table,
        digester: &Digester,
    ) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        self.digests_behind(self.past()?, table, digester)
    }

    fn digests_behind(
        &self,
        before: &Before,
        table: Table,
        digester: &Digester,
    ) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        let mut digests = Vec::with_capacity(BUCKETS);
        for number in (0..=u8::MAX).take(SHELVES) {
            let stored = self.value(before, &shelf_key(table, number))?;
            let shelf = stored.and_then(|stored| digester.decode(table, number, &stored));
            digests.extend(Shelf::digests(shelf));
        }
        Ok(digests)
    }

    fn value(&self, before: &Before, full_key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match before.get(full_key) {
            Some(before) => Ok(before.clone()),
            None => stored(&self.db, full_key),
        }
    }

    /// Merges what is stored with what stood before, which wins.
    fn pairs(&self, before: &Before, table: Table, scan: &Scan) -> Result<Vec<Pair>, StoreError> {
        let prefix = row_key(table, &scan.prefix);
        let from = match &scan.after {
            Some(after) if *after >= scan.prefix => Bound::Excluded(row_key(table, after)),
            Some(_) | None => Bound::Included(prefix.clone()),
        };
        let from_slice = match &from {
            Bound::Excluded(key) => Bound::Excluded(key.as_slice()),
            Bound::Included(key) => Bound::Included(key.as_slice()),
            Bound::Unbounded => Bound::Unbounded,
        };
        let mut before = before
            .range::<[u8], _>((from_slice, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&prefix))
            .peekable();
        let limit = scan.limit.min(STORE_SCAN_ROWS_MAX);
        let mut pairs = Vec::new();
        let mut stored = self.db.range((from.clone(), Bound::Unbounded));
        let mut next_stored = following(&mut stored, &prefix)?;
        while pairs.len() < limit {
            match (next_stored.take(), before.peek()) {
                (None, None) => break,
                (Some(pair), Some((key, _))) if pair.0 < **key => {
                    pairs.push(pair);
                    next_stored = following(&mut stored, &prefix)?;
                }
                (Some(pair), None) => {
                    pairs.push(pair);
                    next_stored = following(&mut stored, &prefix)?;
                }
                (pair, Some((key, value))) => {
                    if let Some(value) = value {
                        pairs.push(((*key).clone(), value.clone()));
                    }
                    next_stored = match pair {
                        Some(same) if same.0 == **key => following(&mut stored, &prefix)?,
                        other => other,
                    };
                    before.next();
                }
            }
        }
        Ok(pairs)
    }
}

/// A page of rows by key.
pub(super) type Page = Vec<(Vec<u8>, Row)>;

type Pair = (Vec<u8>, Vec<u8>);

fn following(stored: &mut sled::Iter, prefix: &[u8]) -> Result<Option<Pair>, StoreError> {
    let pair = stored
        .next()
        .transpose()
        .map_err(|error| read_failed(&error))?;
    Ok(pair
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(key, value)| (key.to_vec(), value.to_vec())))
}

fn stored(db: &sled::Db, full_key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let value = guarded(|| db.get(full_key))?.map_err(|error| read_failed(&error))?;
    Ok(value.map(|value| value.to_vec()))
}

/// Runs a reading step of sled, which answers some kinds of damage with a panic.
fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|_| StoreError::Damaged {
        what: "sled gave up while reading".to_owned(),
    })
}

/// What sled says about a failed read or write, without keys or values.
pub(super) fn engine_reason(error: &sled::Error) -> String {
    match error {
        sled::Error::Io(error) => error.kind().to_string(),
        sled::Error::Corruption { .. } => "its log is corrupt".to_owned(),
        sled::Error::CollectionNotFound(_) => "its tree is missing".to_owned(),
        sled::Error::Unsupported(reason) | sled::Error::ReportableBug(reason) => reason.clone(),
    }
}

fn read_failed(error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Damaged {
            what: "sled found its log corrupt".to_owned(),
        },
        sled::Error::Io(_)
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_) => StoreError::ReadFailed {
            reason: engine_reason(error),
        },
    }
}

/// What is in sled now, durable or not: what the committer decides on.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) db: &'a sled::Db,
    pub(super) digester: &'a Digester,
}

impl Base for Written<'_> {
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let value = stored(self.db, &row_key(table, key))?;
        value.map(|value| decode_row(table, &value)).transpose()
    }

    fn shelf(&self, table: Table, number: u8) -> Result<Shelf, StoreError> {
        let value = stored(self.db, &shelf_key(table, number))?;
        let shelf = value.and_then(|value| self.digester.decode(table, number, &value));
        shelf.ok_or_else(|| StoreError::Damaged {
            what: format!("digests of table {table} are missing or altered"),
        })
    }
}
