//! Keeping and finding sealed rows: one trait, the engines behind it, one conformance suite.
//!
//! [`Store`] holds rows of ciphertext by table and key and changes them by compare-and-set. The
//! engines are [`MemoryStore`], [`SledStore`] and [`PostgresStore`]. Flows use none of them
//! directly but [`Vault`], which seals and opens with the node's key ring. `docs/storage.md`
//! describes the layout.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

mod backup;

mod batch;

pub mod bench;

mod digest;

mod error;

mod layout;

mod memory;

mod postgres;

mod replicas;

mod reseal;

mod restore;

mod sled;

mod snapshot;

mod stage;

mod table;

mod vault;

mod verify;

pub use self::sled::{OpenMode, SledOptions, SledStore, Space, SpaceSource, Watermark};
pub use backup::{BACKUP_FORMAT_VERSION, BackedUp, BackupError, BackupFile, back_up, write_backup};
pub use batch::{Batch, Change, Row, RowChange, Scan};
pub use digest::{BUCKETS, BucketDigest, Digester};
pub use error::StoreError;
pub use layout::LAYOUT_VERSION;
pub use memory::MemoryStore;
pub use postgres::{Holding, PostgresOptions, PostgresStore};
pub use replicas::{Replicas, SharedRing};
pub use reseal::Resealed;
pub use restore::{BackupHeader, check_backup, read_backup_header, restore, restore_rows};
pub use snapshot::Snapshot;
pub use table::Table;
pub use vault::{Plain, Vault, VaultBatch};
pub use verify::{Finding, IndexCheck, RowName, TableRows, VerifyProgress, VerifyReport, verify};

/// An ordered store of sealed rows.
///
/// Every engine keeps the same promises, held by `tests/conformance.rs`:
///
/// - a commit is applied whole or not at all, and is durable when it returns;
/// - every change names the revision that it expects; a commit that lost a race changes nothing;
/// - a read sees whole commits only, and only durable ones, so that nothing which a power cut could
///   take back is ever shown to a peer; a commit's own effects are seen once it has returned;
/// - the bucket digests change in the same atomic step as the rows they cover.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The row of `table` with this key.
    ///
    /// # Errors
    /// [`StoreError`] where the engine cannot read; never for an absent row.
    async fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// Rows of `table` in the order of their keys, as of one moment. A page shorter than its limit
    /// (at most `limits::STORE_SCAN_ROWS_MAX`) is the last.
    ///
    /// # Errors
    /// [`StoreError`] where the engine cannot read.
    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError>;

    /// Applies a batch. A caller that stops waiting does not take the batch back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where a row is at another revision than expected, the bounds of
    /// [`Batch::check_bounds`], and what the engine refuses; in all cases but
    /// [`StoreError::Stopped`] nothing was applied.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// The digests of a table's [`BUCKETS`] buckets, in order; `None` where one is missing or is
    /// not what the engine wrote.
    ///
    /// # Errors
    /// [`StoreError`] where the engine cannot read.
    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError>;

    /// The rows as they are now, to be read while others write.
    ///
    /// # Errors
    /// [`StoreError::SnapshotTaken`] where the engine keeps one at a time, or it cannot read.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// The other processes that use the same rows; none where the engine keeps them away.
    fn replicas(&self) -> Replicas {
        Replicas::alone()
    }

    /// The wrapped key ring that lies beside the rows, for all who use them; `None` where the ring
    /// lies in the one folder that the store is in.
    ///
    /// # Errors
    /// [`StoreError`] where the engine cannot read.
    async fn shared_ring(&self) -> Result<Option<SharedRing>, StoreError> {
        Ok(None)
    }

    /// Puts the wrapped key ring beside the rows, durably, where the engine keeps one: in the place
    /// of generation `before`, 0 where there is none. Gives its generation.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another generation is there, or the engine cannot write.
    async fn share_ring(&self, _text: &str, before: u64) -> Result<u64, StoreError> {
        Ok(before)
    }

    /// Says that this process seals with the newest key of that generation of the ring, and that
    /// nothing sealed with an older one is on its way.
    ///
    /// # Errors
    /// [`StoreError::RingBehind`] where another generation is there by now, or the engine cannot
    /// write.
    async fn took_ring(&self, _generation: u64) -> Result<(), StoreError> {
        Ok(())
    }

    /// Waits until every process that writes has taken that generation of the ring. Who has not
    /// within `patience` writes no more until it has. Gives how many those are.
    ///
    /// # Errors
    /// [`StoreError`] where the engine cannot write.
    async fn settle_ring(&self, _generation: u64, _patience: Duration) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Waits for commits under way and gives the store back; later calls get
    /// [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError`] where the engine could not finish.
    async fn close(&self) -> Result<(), StoreError>;
}
