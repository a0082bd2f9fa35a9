//! A snapshot of a store on sled: for every key that was written since, what stood there before.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use crate::limits::{SNAPSHOT_BYTES_MAX, STORE_SCAN_ROWS_MAX};
use crate::store::digest::Digester;
use crate::store::{BucketDigest, Row, Scan, Snapshot, StoreError, Table};

use super::committer::Shared;
use super::view::{Before, View};

/// What a snapshot keeps of the past.
#[derive(Debug)]
pub(super) struct Kept {
    /// Engine keys that were written since, each with the value that the snapshot shows.
    pub(super) before: Before,
    bytes: usize,
    /// For each table how far it was read: nothing is kept of what lies behind.
    read: BTreeMap<u8, Reached>,
    /// Whether there was more to keep than there is room for.
    is_lost: bool,
}

/// How far a table was read.
#[derive(Debug)]
enum Reached {
    /// Up to this engine key.
    Key(Vec<u8>),
    End,
}

impl Kept {
    /// The moment at which `before` is hidden from readers.
    pub(super) fn beginning_with(before: &Before) -> Self {
        let mut kept = Self {
            before: Before::new(),
            bytes: 0,
            read: BTreeMap::new(),
            is_lost: false,
        };
        kept.note(before);
        kept
    }

    /// Keeps what stood at the keys of a group before it.
    pub(super) fn note(&mut self, group: &Before) {
        if self.is_lost {
            return;
        }
        for (key, value) in group {
            if self.is_read(key) || self.before.contains_key(key) {
                continue;
            }
            self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            self.before.insert(key.clone(), value.clone());
        }
        if self.bytes > SNAPSHOT_BYTES_MAX {
            self.is_lost = true;
            self.before = Before::new();
        }
    }

    fn is_read(&self, key: &[u8]) -> bool {
        let reached = key.first().and_then(|table| self.read.get(table));
        match reached {
            Some(Reached::Key(last)) => key <= last.as_slice(),
            Some(Reached::End) => true,
            None => false,
        }
    }

    /// Lets go of what was read.
    fn pass(&mut self, table: Table, reached: Reached) {
        self.read.insert(table.code(), reached);
        let mut before = std::mem::take(&mut self.before);
        before.retain(|key, _| !self.is_read(key));
        self.before = before;
        let size = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        self.bytes = self.before.iter().map(size).sum();
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.is_lost {
            return Err(StoreError::SnapshotLost);
        }
        Ok(())
    }
}

/// The one snapshot that a store has at a time; dropping it ends it.
#[derive(Debug)]
pub(super) struct SledSnapshot {
    shared: Arc<Shared>,
}

impl SledSnapshot {
    /// Begins a snapshot of the durable state.
    pub(super) fn begin(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let mut view = shared.view.write().unwrap_or_else(PoisonError::into_inner);
        view.as_mut().ok_or(StoreError::Closed)?.keep()?;
        let shared = Arc::clone(shared);
        Ok(Self { shared })
    }

    fn on_kept(&self, step: impl FnOnce(&mut Option<Kept>)) {
        let view = self.shared.view.write();
        if let Some(view) = view.unwrap_or_else(PoisonError::into_inner).as_mut() {
            step(&mut view.kept);
        }
    }
}

#[async_trait]
impl Snapshot for SledSnapshot {
    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        let wanted = scan.clone();
        let step = move |view: &View, _: &Digester| view.kept_page(table, &wanted);
        let page = self.shared.reading_apart(step).await?;
        let reached = match page.last() {
            Some((key, _)) if page.len() == scan.limit.min(STORE_SCAN_ROWS_MAX) => {
                Reached::Key(crate::store::layout::row_key(table, key))
            }
            Some(_) | None => Reached::End,
        };
        self.on_kept(|kept| {
            if let Some(kept) = kept {
                kept.pass(table, reached);
            }
        });
        Ok(page)
    }

    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        let step = move |view: &View, digester: &Digester| view.kept_digests(table, digester);
        self.shared.reading_apart(step).await
    }
}

impl Drop for SledSnapshot {
    fn drop(&mut self) {
        self.on_kept(|kept| *kept = None);
    }
}
