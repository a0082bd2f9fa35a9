//! The store in memory, for tests and simulations: nothing survives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::crypto::Secret;
use crate::limits::STORE_SCAN_ROWS_MAX;

use super::digest::{Digester, SHELVES, Shelf};
use super::stage::{Base, Stage, Staged};
use super::{Batch, BucketDigest, Row, Scan, Snapshot, Store, StoreError, Table};

/// A store in memory. Clones share rows and end; [`MemoryStore::reopened`] outlives a node.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    disk: Arc<Disk>,
    closed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Disk {
    state: Mutex<State>,
    digester: Digester,
}

#[derive(Debug, Default, Clone)]
struct State {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Row>>,
    shelves: BTreeMap<(Table, u8), Shelf>,
}

impl MemoryStore {
    /// An empty store with digests under `digest_key`.
    #[must_use]
    pub fn new(digest_key: &Secret<32>) -> Self {
        let disk = Disk {
            state: Mutex::default(),
            digester: Digester::new(digest_key),
        };
        Self {
            disk: Arc::new(disk),
            closed: Arc::default(),
        }
    }

    /// The same rows as a restarted node finds them: open, whatever became of this handle.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
            closed: Arc::default(),
        }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(self.disk.state())
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Base for State {
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        Ok(self
            .tables
            .get(&table)
            .and_then(|rows| rows.get(key))
            .cloned())
    }

    fn shelf(&self, table: Table, number: u8) -> Result<Shelf, StoreError> {
        let shelf = self.shelves.get(&(table, number)).copied();
        Ok(shelf.unwrap_or_default())
    }
}

impl State {
    fn page(&self, table: Table, scan: &Scan) -> Vec<(Vec<u8>, Row)> {
        let Some(rows) = self.tables.get(&table) else {
            return Vec::new();
        };
        let from = match &scan.after {
            Some(after) if *after >= scan.prefix => Bound::Excluded(after.as_slice()),
            Some(_) | None => Bound::Included(scan.prefix.as_slice()),
        };
        rows.range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&scan.prefix))
            .take(scan.limit.min(STORE_SCAN_ROWS_MAX))
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect()
    }

    fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        let shelves = (0..=u8::MAX).take(SHELVES).map(|number| {
            let shelf = self.shelf(table, number)?;
            Ok(Shelf::digests(Some(shelf)))
        });
        let shelves: Vec<_> = shelves.collect::<Result<_, StoreError>>()?;
        Ok(shelves.into_iter().flatten().collect())
    }

    fn apply(&mut self, staged: Staged) {
        for ((table, key), row) in staged.rows {
            let rows = self.tables.entry(table).or_default();
            match row.after {
                Some(after) => rows.insert(key, after),
                None => rows.remove(&key),
            };
        }
        for (place, shelf) in staged.shelves {
            self.shelves.insert(place, shelf.after);
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.state()?.row(table, key)
    }

    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        Ok(self.state()?.page(table, scan))
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check_bounds()?;
        let mut state = self.state()?;
        let mut stage = Stage::over(&*state, &self.disk.digester);
        stage.add(batch)?;
        let staged = stage.finish();
        state.apply(staged);
        Ok(())
    }

    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        self.state()?.digests(table)
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(self.state()?.clone()))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

#[async_trait]
impl Snapshot for State {
    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        Ok(self.page(table, scan))
    }

    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        Self::digests(self, table)
    }
}
