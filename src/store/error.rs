//! Why a store refused.

use std::path::PathBuf;

use crate::crypto::{OpenError, SealError};

use super::Table;

/// Why a store refused, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A row of the batch was not at the revision that the batch expects; nothing was applied.
    #[error("a row of table {table} changed in the meantime; read it again and decide anew")]
    Conflict {
        /// The table of the first such row.
        table: Table,
    },
    /// The batch has too many rows.
    #[error("a batch of {rows} rows is above the bound of {rows_max}; split it")]
    BatchTooLarge {
        /// Rows of the batch.
        rows: usize,
        /// The bound, `limits::STORE_BATCH_ROWS_MAX`.
        rows_max: usize,
    },
    /// A key is empty or too long.
    #[error("a key of {bytes} bytes in table {table} is not within 1 to {bytes_max} bytes")]
    KeyLength {
        /// The table of the key.
        table: Table,
        /// Bytes of the key.
        bytes: usize,
        /// The bound, `limits::STORE_KEY_BYTES_MAX`.
        bytes_max: usize,
    },
    /// A sealed value is too long.
    #[error("a sealed value of {bytes} bytes in table {table} is above {bytes_max}; split it")]
    ValueTooLong {
        /// The table of the value.
        table: Table,
        /// Bytes of the value.
        bytes: usize,
        /// The bound, `limits::STORE_VALUE_BYTES_MAX`.
        bytes_max: usize,
    },
    /// One batch names a row twice.
    #[error("a batch names one row of table {table} twice; state one change per row")]
    RowTwice {
        /// The table of the row.
        table: Table,
    },
    /// Revision 0 means absent: nothing is written at it or deleted from it.
    #[error("a change in table {table} names a revision outside 1 to 2^64-1; count from 1")]
    RevisionOutOfRange {
        /// The table of the change.
        table: Table,
    },
    /// Too little free space; reads go on.
    #[error(
        "the disk of the store has {free_mib} MiB free, below its watermark: writes are refused; \
         free space or move the store to a larger disk"
    )]
    DiskFull {
        /// Free space in MiB (2^20 bytes), rounded down.
        free_mib: u64,
    },
    /// A write failed half-way, so the store no longer knows what is on disk.
    #[error(
        "the store stopped because {reason}; restart the node, and if this happens again check \
         the disk and run `node verify`"
    )]
    Stopped {
        /// What failed.
        reason: String,
    },
    /// The store was closed.
    #[error("the store is closed because the node is shutting down; ask again after its restart")]
    Closed,
    /// Another process holds the store.
    #[error(
        "the store in {} is in use by another process; stop that node first, or name another \
         folder", folder.display()
    )]
    Locked {
        /// The store's folder.
        folder: PathBuf,
    },
    /// The folder holds something else.
    #[error(
        "{} is not empty and is not a creditmesh store; name the right folder, or an empty one \
         for a new store", folder.display()
    )]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds no store.
    #[error("there is no store in {}; name the right folder, or join a network", folder.display())]
    NoStore {
        /// The folder.
        folder: PathBuf,
    },
    /// A new store was to be made where something is already.
    #[error("{} is not empty; name an empty folder for the new store", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The store was written by another version of the program.
    #[error(
        "the store has layout version {found}, this program knows {ours}; use the program version \
         that wrote it, or back it up there and restore it here"
    )]
    LayoutVersion {
        /// The version of the store.
        found: u32,
        /// The version of this program.
        ours: u32,
    },
    /// The store has a kind of row that this program does not know.
    #[error(
        "the store has rows of a kind ({code}) that this program does not know; use the newer \
         program version that wrote it"
    )]
    NewerTable {
        /// The table's code.
        code: u8,
    },
    /// The store was made under another key ring.
    #[error(
        "the store does not belong to this key ring (or its layout row is damaged); use the key \
         ring that was made with the store, or restore both from one backup"
    )]
    ForeignKeys,
    /// The database of the store, or the way to it, is away.
    #[error(
        "the database of the store cannot be reached ({reason}); nothing was changed: check that \
         it runs and takes connections from this node, and ask again"
    )]
    Unreachable {
        /// What the last try met.
        reason: String,
    },
    /// The database went away while it committed, and did not come back in time to be asked.
    #[error(
        "the database of the store was lost while it committed ({reason}), so the last change may \
         or may not stand; bring the database back, and ask again with the same request id"
    )]
    InDoubt {
        /// What the commit met.
        reason: String,
    },
    /// The database refused for a reason that does not pass.
    #[error(
        "the database of the store refuses with SQLSTATE {state}; its log says more: check the \
         rights of the node's database user, and that nobody else changed the tables"
    )]
    DatabaseRefused {
        /// The five characters of the code.
        state: String,
    },
    /// The database is on another machine and the connection would not be secured.
    #[error(
        "the database of the store is not on this machine, so it is reached over TLS only; name \
         the file of its root certificates"
    )]
    DatabaseNeedsTls,
    /// What is to say how the database is reached says it wrongly.
    #[error(
        "store.connection: {reason}; write it as \"host=db.example user=creditmesh \
         dbname=creditmesh\""
    )]
    ConnectionText {
        /// What is wrong, without content.
        reason: String,
    },
    /// Another process uses the database's store.
    #[error(
        "another process uses the store in this database; stop that node first (a node that was \
         killed counts as stopped after a few seconds)"
    )]
    HeldElsewhere,
    /// Another process took the database's store over.
    #[error(
        "another process uses the store in this database meanwhile; begin again when it is stopped"
    )]
    TakenOver,
    /// This process did not take a newer key ring in time, so it writes nothing until it has.
    #[error(
        "another process of this node re-keyed the store, and this one has yet to take the newer \
         key ring: ask again in a second"
    )]
    RingBehind,
    /// Another snapshot is read at this moment.
    #[error("a backup of this store is under way already: wait until it is done")]
    SnapshotTaken,
    /// More was written while a snapshot was read than is kept beside it.
    #[error(
        "so much was written during the backup that it could not be kept apart: begin it again at \
         a quieter hour"
    )]
    SnapshotLost,
    /// The database holds no store.
    #[error("the database holds no store; name the right database, or join a network")]
    DatabaseEmpty,
    /// A new store was to be made where one is already.
    #[error("the database holds a store already; name an empty database for the new one")]
    DatabaseUsed,
    /// Stored bytes are not what the store wrote.
    #[error(
        "the store is damaged: {what}; run `node verify`, and restore from a backup what it names"
    )]
    Damaged {
        /// What is wrong, without content.
        what: String,
    },
    /// A row does not open: it was damaged, moved or put back, or the key ring is too old.
    #[error("a row of table {table} does not open: {reason}")]
    SealBroken {
        /// The table of the row.
        table: Table,
        /// Why.
        reason: OpenError,
    },
    /// A row could not be sealed.
    #[error("a row of table {table} could not be sealed: {reason}")]
    SealFailed {
        /// The table of the row.
        table: Table,
        /// Why.
        reason: SealError,
    },
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {reason}; check the path, its owner and its disk", path.display())]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The engine failed to read.
    #[error("the store could not read: {reason}; check the disk and run `node verify`")]
    ReadFailed {
        /// What the engine said, without content.
        reason: String,
    },
}
