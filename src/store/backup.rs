//! A sealed backup of a node, which may serve meanwhile: one file, whatever the engine.
//!
//! ```text
//! header   "creditmesh backup\n", format version (2), layout version (4), time of making (8, ms),
//!          length of the wrapped key ring (4), the wrapped key ring
//! tag      16 bytes
//! blocks   length of the payload (4), payload, tag (16)
//! ```
//!
//! Numbers are big-endian. A payload is byte 1 and rows as they are stored (table code (1), key
//! length (2), revision (8), length of the sealed content (4), key, sealed content), or at the end
//! byte 2 and the number of rows (8). Each tag is a keyed hash, under the key ring's digest key, of
//! the block's number, the tag before it and its own bytes: a block that is altered, moved, left
//! out or added is found, and the offset of the first such block is told.

use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::time::timeout;

use crate::crypto::labels;
use crate::domain::Timestamp;
use crate::limits::{
    BACKUP_STALL, STORE_KEY_BYTES_MAX, STORE_SCAN_ROWS_MAX, STORE_VALUE_BYTES_MAX,
};

use super::digest::{Digester, Tally};
use super::{LAYOUT_VERSION, Row, Scan, Snapshot, StoreError, Table, Vault};

/// First bytes of a backup.
pub(super) const MAGIC: &[u8] = b"creditmesh backup\n";

/// The format that this program writes, and the only one that it reads.
pub const BACKUP_FORMAT_VERSION: u16 = 1;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 16;

/// First byte of a payload of rows.
pub(super) const ROWS: u8 = 1;

/// First byte of the last payload.
pub(super) const END: u8 = 2;

/// Bytes of a row before its key.
pub(super) const ROW_HEAD_BYTES: usize = 1 + 2 + 8 + 4;

/// A block is written when its payload has reached this many bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// Bytes of the longest payload.
pub(super) const PAYLOAD_BYTES_MAX: usize =
    BLOCK_BYTES + ROW_HEAD_BYTES + STORE_KEY_BYTES_MAX + STORE_VALUE_BYTES_MAX;

/// Bytes of the longest wrapped key ring.
pub(super) const KEYRING_BYTES_MAX: usize = 1 << 20;

/// Why a backup was not written or not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file is there already.
    #[error("{} exists already; name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {reason}; check the path, its owner and its disk", path.display())]
    File {
        /// What was tried: a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// Where the backup goes takes no more.
    #[error("the backup could not be written: {reason}; check the disk that it goes to")]
    NotTaken {
        /// What the system said.
        reason: String,
    },
    /// The wrapped key ring is too long.
    #[error("a wrapped key ring of {bytes} bytes is above the bound of 1 MiB; is it a key ring?")]
    KeyringTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// The store does not hold what it wrote.
    #[error(
        "bucket {bucket} of table {table} is not as it was written, so the backup would not be \
         whole; stop the node, run `node verify`, then try again"
    )]
    NotWhole {
        /// The bucket's table.
        table: Table,
        /// The bucket.
        bucket: u8,
    },
    /// The file is something else.
    #[error("{} is not a creditmesh backup; name the right file", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// Another program version wrote the backup.
    #[error(
        "the backup has format {format} and layout {layout}, this program reads format \
         {BACKUP_FORMAT_VERSION} and layout {LAYOUT_VERSION}; use the program version that wrote it"
    )]
    Version {
        /// Its format version.
        format: u16,
        /// Its layout version.
        layout: u32,
    },
    /// The header's tag does not fit.
    #[error(
        "the backup's header is altered, or it belongs to another key ring; use the key ring \
         inside the backup, or another copy of the file"
    )]
    HeaderRefused,
    /// A block's tag does not fit, or it says what no backup says.
    #[error("the backup is altered in the block at byte {offset}; use another copy of the file")]
    Altered {
        /// Offset of the block in bytes.
        offset: u64,
    },
    /// The file ends too early.
    #[error("the backup is cut short: the block at byte {offset} is not whole; use another copy")]
    Truncated {
        /// Offset of the block in bytes.
        offset: u64,
    },
    /// There is more behind the end.
    #[error("the backup goes on at byte {offset} behind its end; use another copy of the file")]
    GoesOn {
        /// Offset of the first byte too many.
        offset: u64,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was backed up or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// The chain of tags over a backup.
#[derive(Debug)]
pub(super) struct Chain {
    digester: Digester,
    blocks: u64,
    last: [u8; TAG_BYTES],
}

impl Chain {
    /// The chain before the header.
    pub(super) fn new(digester: Digester) -> Self {
        Self {
            digester,
            blocks: 0,
            last: [0; TAG_BYTES],
        }
    }

    /// The tag of the next block (the header is the first).
    pub(super) fn next(&mut self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let number = self.blocks.to_be_bytes();
        let parts: [&[u8]; 3] = [&number, &self.last, bytes];
        self.last = self.digester.tag(labels::BACKUP_BLOCK, &parts);
        self.blocks += 1;
        self.last
    }
}

/// Writes all rows, as they are when this begins, and the wrapped key ring to a new file, readable
/// by its owner only, and returns when it is on disk.
///
/// # Errors
/// [`BackupError::Exists`], [`BackupError::KeyringTooLong`], [`BackupError::NotWhole`],
/// [`BackupError::File`], or what the store says; an unfinished file is removed.
pub async fn back_up(
    vault: &Vault,
    wrapped_keyring: &[u8],
    made_at: Timestamp,
    path: &Path,
) -> Result<BackedUp, BackupError> {
    let mut file = BackupFile::create(path).await?;
    let written = async {
        let snapshot = vault.store().snapshot().await?;
        let head = (wrapped_keyring, made_at);
        let written = write_backup(vault, &*snapshot, head, &mut file.file).await?;
        file.keep().await?;
        Ok(written)
    };
    let written = written.await;
    if written.is_err() {
        file.remove().await;
    }
    written
}

/// A new file for a backup, which is not there before it is whole and on disk.
#[derive(Debug)]
pub struct BackupFile {
    file: BufWriter<File>,
    path: PathBuf,
}

impl BackupFile {
    /// Makes the file, readable by its owner only.
    ///
    /// # Errors
    /// [`BackupError::Exists`], [`BackupError::File`].
    pub async fn create(path: &Path) -> Result<Self, BackupError> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).await.map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                let path = path.to_owned();
                return BackupError::Exists { path };
            }
            failed("create", path)(error)
        })?;
        Ok(Self {
            file: BufWriter::new(file),
            path: path.to_owned(),
        })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`BackupError::File`].
    pub async fn add(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let added = self.file.write_all(bytes).await;
        added.map_err(failed("write", &self.path))
    }

    /// Puts the file and its entry on disk.
    ///
    /// # Errors
    /// [`BackupError::File`].
    pub async fn keep(&mut self) -> Result<(), BackupError> {
        let written = self.file.flush().await;
        written.map_err(failed("write", &self.path))?;
        let synced = self.file.get_ref().sync_all().await;
        synced.map_err(failed("sync", &self.path))?;
        sync_parent(&self.path).await
    }

    /// Removes what was written. What stopped the backup is worth more than what may stop this.
    pub async fn remove(self) {
        drop(tokio::fs::remove_file(&self.path).await);
    }
}

/// Writes a backup of a snapshot of the vault's store to wherever it goes.
///
/// # Errors
/// [`BackupError::KeyringTooLong`], [`BackupError::NotWhole`], [`BackupError::NotTaken`], or what
/// the store says.
pub async fn write_backup(
    vault: &Vault,
    snapshot: &dyn Snapshot,
    (wrapped_keyring, made_at): (&[u8], Timestamp),
    out: &mut (dyn AsyncWrite + Send + Unpin),
) -> Result<BackedUp, BackupError> {
    if wrapped_keyring.len() > KEYRING_BYTES_MAX {
        let bytes = wrapped_keyring.len();
        return Err(BackupError::KeyringTooLong { bytes });
    }
    let digester = Digester::new(&vault.keys().digest_key());
    let mut writer = Writer {
        out,
        chain: Chain::new(digester.clone()),
        bytes: 0,
    };
    let header = header(wrapped_keyring, made_at);
    writer.raw(&header).await?;
    let tag = writer.chain.next(&header);
    writer.raw(&tag).await?;
    let mut rows = 0;
    for table in Table::ALL {
        rows += write_table(snapshot, *table, &digester, &mut writer).await?;
    }
    let mut end = vec![END];
    end.extend_from_slice(&rows.to_be_bytes());
    writer.block(&end).await?;
    let bytes = writer.finish().await?;
    Ok(BackedUp { rows, bytes })
}

async fn write_table(
    snapshot: &dyn Snapshot,
    table: Table,
    digester: &Digester,
    writer: &mut Writer<'_>,
) -> Result<u64, BackupError> {
    let mut tally = Tally::of(table, digester);
    let mut payload = vec![ROWS];
    let mut rows = 0;
    let mut scan = Scan::all(STORE_SCAN_ROWS_MAX);
    loop {
        let page = snapshot.scan(table, &scan).await?;
        for (key, row) in &page {
            tally.add(key, row);
            encode_row(&mut payload, table, key, row);
            rows += 1;
            if payload.len() >= BLOCK_BYTES {
                writer.block(&payload).await?;
                payload.truncate(1);
            }
        }
        match page.last() {
            Some((key, _)) if page.len() == STORE_SCAN_ROWS_MAX => scan = scan.behind(key),
            Some(_) | None => break,
        }
    }
    if payload.len() > 1 {
        writer.block(&payload).await?;
    }
    let written = snapshot.digests(table).await?;
    for (bucket, digest) in (0..=u8::MAX).zip(written) {
        if digest != Some(tally.bucket(bucket)) {
            return Err(BackupError::NotWhole { table, bucket });
        }
    }
    Ok(rows)
}

fn header(wrapped_keyring: &[u8], made_at: Timestamp) -> Vec<u8> {
    let keyring_len = u32::try_from(wrapped_keyring.len()).unwrap_or(u32::MAX);
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&BACKUP_FORMAT_VERSION.to_be_bytes());
    header.extend_from_slice(&LAYOUT_VERSION.to_be_bytes());
    header.extend_from_slice(&made_at.unix_ms().to_be_bytes());
    header.extend_from_slice(&keyring_len.to_be_bytes());
    header.extend_from_slice(wrapped_keyring);
    header
}

fn encode_row(payload: &mut Vec<u8>, table: Table, key: &[u8], row: &Row) {
    let sealed = row.sealed.as_bytes();
    let key_len = u16::try_from(key.len()).unwrap_or(u16::MAX);
    let sealed_len = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
    payload.push(table.code());
    payload.extend_from_slice(&key_len.to_be_bytes());
    payload.extend_from_slice(&row.revision.to_be_bytes());
    payload.extend_from_slice(&sealed_len.to_be_bytes());
    payload.extend_from_slice(key);
    payload.extend_from_slice(sealed);
}

struct Writer<'a> {
    out: &'a mut (dyn AsyncWrite + Send + Unpin),
    chain: Chain,
    bytes: u64,
}

impl Writer<'_> {
    async fn raw(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let written = timeout(BACKUP_STALL, self.out.write_all(bytes)).await;
        let stalled = || std::io::Error::other("nobody took a part of it for ten minutes");
        let written = written.unwrap_or_else(|_| Err(stalled()));
        written.map_err(|error| not_taken(&error))?;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    async fn block(&mut self, payload: &[u8]) -> Result<(), BackupError> {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let tag = self.chain.next(payload);
        self.raw(&length.to_be_bytes()).await?;
        self.raw(payload).await?;
        self.raw(&tag).await
    }

    async fn finish(self) -> Result<u64, BackupError> {
        self.out.flush().await.map_err(|error| not_taken(&error))?;
        Ok(self.bytes)
    }
}

fn not_taken(error: &std::io::Error) -> BackupError {
    BackupError::NotTaken {
        reason: error.to_string(),
    }
}

/// Puts the entry of a file or folder on disk.
pub(super) async fn sync_parent(path: &Path) -> Result<(), BackupError> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let folder = File::open(parent).await.map_err(failed("open", parent))?;
    folder.sync_all().await.map_err(failed("sync", parent))
}

pub(super) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> BackupError {
    move |error| BackupError::File {
        action,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
