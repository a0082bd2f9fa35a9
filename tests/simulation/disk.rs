//! The memory store of a replica that is slow and may crash: from a commit that the seed chooses,
//! which is applied or not, every call fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use creditmesh::store::{
    Batch, BucketDigest, MemoryStore, Row, Scan, Snapshot, Store, StoreError, Table,
};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::dice::Dice;

/// When a replica crashes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash {
    /// Commits that succeed before.
    pub(crate) after: u64,
    /// Whether the commit that meets the crash is on disk.
    pub(crate) applied: bool,
}

/// One replica's handle on its member's rows.
#[derive(Debug, Clone)]
pub(crate) struct FrailStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: MemoryStore,
    crash: Mutex<Option<Crash>>,
    dead: watch::Sender<bool>,
    dice: Dice,
    slow_percent: u64,
}

impl FrailStore {
    /// The rows of `disk`; so many of a hundred calls take a few milliseconds.
    pub(crate) fn over(disk: &MemoryStore, dice: Dice, slow_percent: u64) -> Self {
        Self(Arc::new(Inner {
            disk: disk.reopened(),
            crash: Mutex::default(),
            dead: watch::Sender::new(false),
            dice,
            slow_percent,
        }))
    }

    /// Lets the replica crash at a later commit.
    pub(crate) fn arm(&self, crash: Option<Crash>) {
        *self.0.crash.lock().unwrap() = crash;
    }

    /// Waits for the crash.
    pub(crate) async fn died(&self) {
        let mut dead = self.0.dead.subscribe();
        dead.wait_for(|dead| *dead).await.unwrap();
    }
}

impl Inner {
    async fn pause(&self) -> Result<(), StoreError> {
        if self.slow_percent > 0 && self.dice.chance(self.slow_percent) {
            sleep(Duration::from_millis(1) + self.dice.ms(5)).await;
        }
        self.alive()
    }

    fn alive(&self) -> Result<(), StoreError> {
        if *self.dead.borrow() {
            return Err(StoreError::Stopped {
                reason: "the simulated replica crashed".to_owned(),
            });
        }
        Ok(())
    }

    /// Counts a commit; `Some` where it is the one that the crash meets.
    fn meets_crash(&self) -> Option<Crash> {
        let mut crash = self.crash.lock().unwrap();
        let armed = crash.as_mut()?;
        if armed.after > 0 {
            armed.after -= 1;
            return None;
        }
        crash.take()
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.pause().await?;
        if let Some(crash) = self.meets_crash() {
            if crash.applied {
                drop(self.disk.commit(batch).await);
            }
            self.dead.send_replace(true);
            return self.alive();
        }
        let outcome = self.disk.commit(batch).await;
        // Durable, and not yet acknowledged.
        self.pause().await?;
        outcome
    }
}

#[async_trait]
impl Store for FrailStore {
    async fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.0.pause().await?;
        self.0.disk.read(table, key).await
    }

    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        self.0.pause().await?;
        self.0.disk.scan(table, scan).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        // Whoever stops waiting does not take the batch back.
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move { inner.commit(batch).await });
        task.await.map_err(|_| StoreError::Closed)?
    }

    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        self.0.disk.digests(table).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.0.disk.snapshot().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.disk.close().await
    }
}
