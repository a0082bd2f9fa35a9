//! One group of batches as one transaction.
//!
//! The transaction first locks the shelves of all rows that the group names, in one order for all
//! writers, so whoever writes or expects a row of these shelves waits; then it reads the rows,
//! decides, and writes. Read committed is enough: each statement sees what was committed before it
//! began, and nobody else writes under the locks.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use futures::future::try_join_all;
use tokio_postgres::types::ToSql;

use crate::store::digest::{Digester, Shelf, bucket_of};
use crate::store::layout::row_key;
use crate::store::stage::{Base, Staged};
use crate::store::{Batch, Row, StoreError, Table};

use super::fault::Fault;
use super::statements::{
    DELETE_ROWS, INSERT_ROWS, LOCK_SHELF, READ_ROWS, UPDATE_ROWS, UPDATE_SHELVES, shelf_slice,
    slice_of,
};
use super::{full_row, stored_revision};

/// The state that a group is decided on: all rows and shelves that it names, under their locks.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    digester: &'a Digester,
    rows: BTreeMap<Vec<u8>, Row>,
    shelves: BTreeMap<(Table, u8), Vec<u8>>,
}

impl<'a> Locked<'a> {
    /// Locks and reads what the batches name.
    pub(super) async fn read(
        transaction: &Transaction<'_>,
        batches: &[Batch],
        digester: &'a Digester,
    ) -> Result<Self, Fault> {
        let changes = || batches.iter().flat_map(Batch::changes);
        let places: BTreeSet<(Table, u8)> = changes()
            .map(|change| (change.table, Shelf::of(bucket_of(&change.key))))
            .collect();
        let keys: BTreeSet<Vec<u8>> = changes()
            .map(|change| row_key(change.table, &change.key))
            .collect();
        let lock_shelf = transaction.prepare_cached(LOCK_SHELF).await?;
        let read_rows = transaction.prepare_cached(READ_ROWS).await?;
        // The requests travel together and run one after the other, in the order of the locks.
        let locks = places.iter().map(|(table, number)| {
            let (slice, number) = (shelf_slice(*table), i16::from(*number));
            let lock_shelf = &lock_shelf;
            async move {
                let row = transaction
                    .query_opt(lock_shelf, &[&slice, &number])
                    .await?;
                row.map(|row| row.try_get::<_, Vec<u8>>(0)).transpose()
            }
        });
        let slices: Vec<i32> = keys.iter().map(|key| slice_of(key)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let parameters: [&(dyn ToSql + Sync); 2] = [&slices, &keys];
        let (locked, found) = futures::future::try_join(
            try_join_all(locks),
            transaction.query(&read_rows, &parameters),
        )
        .await?;
        let rows = found.iter().map(full_row).collect::<Result<_, _>>()?;
        let shelves = places.into_iter().zip(locked);
        Ok(Self {
            digester,
            rows,
            shelves: shelves
                .filter_map(|(place, digests)| Some((place, digests?)))
                .collect(),
        })
    }
}

impl Base for Locked<'_> {
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows.get(&row_key(table, key)).cloned())
    }

    fn shelf(&self, table: Table, number: u8) -> Result<Shelf, StoreError> {
        let stored = self.shelves.get(&(table, number));
        let shelf = stored.and_then(|stored| self.digester.decode(table, number, stored));
        shelf.ok_or_else(|| StoreError::Damaged {
            what: format!("digests of table {table} are missing or altered"),
        })
    }
}

/// Rows to write, as the columns of one statement.
#[derive(Debug, Default)]
struct Columns {
    slices: Vec<i32>,
    keys: Vec<Vec<u8>>,
    revisions: Vec<i64>,
    sealed: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, full_key: Vec<u8>, row: &Row) {
        self.slices.push(slice_of(&full_key));
        self.keys.push(full_key);
        self.revisions.push(stored_revision(row.revision));
        self.sealed.push(row.sealed.as_bytes().to_vec());
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        statement: &'static str,
    ) -> Result<(), Fault> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let prepared = transaction.prepare_cached(statement).await?;
        let written = transaction
            .execute(
                &prepared,
                &[&self.slices, &self.keys, &self.revisions, &self.sealed],
            )
            .await?;
        expect_all(written, self.keys.len())
    }
}

/// Writes what was decided; the transaction then only has to be committed.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    staged: Staged,
    digester: &Digester,
) -> Result<(), Fault> {
    let (mut fresh, mut known) = (Columns::default(), Columns::default());
    let mut gone: BTreeMap<i32, Vec<Vec<u8>>> = BTreeMap::new();
    for ((table, key), row) in staged.rows {
        let full_key = row_key(table, &key);
        match (&row.before, &row.after) {
            (None, Some(after)) => fresh.push(full_key, after),
            (Some(_), Some(after)) => known.push(full_key, after),
            (Some(_), None) => gone.entry(slice_of(&full_key)).or_default().push(full_key),
            (None, None) => {}
        }
    }
    fresh.write(transaction, INSERT_ROWS).await?;
    known.write(transaction, UPDATE_ROWS).await?;
    for (slice, keys) in gone {
        let prepared = transaction.prepare_cached(DELETE_ROWS).await?;
        let deleted = transaction.execute(&prepared, &[&slice, &keys]).await?;
        expect_all(deleted, keys.len())?;
    }
    let (mut slices, mut numbers, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for ((table, number), shelf) in staged.shelves {
        slices.push(shelf_slice(table));
        numbers.push(i16::from(number));
        digests.push(digester.encode(table, number, &shelf.after));
    }
    let prepared = transaction.prepare_cached(UPDATE_SHELVES).await?;
    let columns: [&(dyn ToSql + Sync); 3] = [&slices, &numbers, &digests];
    let written = transaction.execute(&prepared, &columns).await?;
    expect_all(written, digests.len())
}

/// Under the locks every named row is where it was read; anything else is somebody who writes
/// without them.
fn expect_all(written: u64, expected: usize) -> Result<(), Fault> {
    if usize::try_from(written) == Ok(expected) {
        return Ok(());
    }
    Err(Fault::Passing("rows changed under their locks".to_owned()))
}
