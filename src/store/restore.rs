//! Reading a backup back into a new store.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::fs::{self, File};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use crate::crypto::{Keyring, Sealed};
use crate::domain::Timestamp;
use crate::limits::STORE_BATCH_ROWS_MAX;

use super::backup::{
    BACKUP_FORMAT_VERSION, BackedUp, BackupError, Chain, END, KEYRING_BYTES_MAX, MAGIC,
    PAYLOAD_BYTES_MAX, ROWS, TAG_BYTES, failed, sync_parent,
};
use super::digest::Digester;
use super::{
    Batch, Change, LAYOUT_VERSION, MemoryStore, OpenMode, Row, SledOptions, SledStore, Store,
    StoreError, Table, Vault,
};

const HEADER_BYTES: usize = MAGIC.len() + 2 + 4 + 8 + 4;

/// What stands at the head of a backup. Nothing vouches for it before [`restore_rows`] has checked
/// its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupHeader {
    /// When the backup was made.
    pub made_at: Timestamp,
    /// The key ring of the node, wrapped as it was on disk.
    pub wrapped_keyring: Vec<u8>,
}

/// Reads the head of a backup, to unlock the key ring in it.
///
/// # Errors
/// [`BackupError::File`], [`BackupError::NotABackup`], [`BackupError::Version`],
/// [`BackupError::Truncated`].
pub async fn read_backup_header(path: &Path) -> Result<BackupHeader, BackupError> {
    let mut reader = Reader::open(path).await?;
    reader.header().await.map(|(header, _)| header)
}

/// Restores a backup into the folder of `options`, which must be empty or absent; its mode does not
/// count. `keys` is the key ring of the backup. The store appears in its folder only when it is
/// whole: until then it lies beside it, with `.restoring` at the end of the name, where a later
/// attempt begins anew.
///
/// # Errors
/// As [`restore_rows`]; [`StoreError::NotEmpty`]; [`BackupError::File`].
pub async fn restore(
    path: &Path,
    keys: Arc<Keyring>,
    options: SledOptions,
) -> Result<BackedUp, BackupError> {
    let folder = options.folder.clone();
    if !is_vacant(&folder).await? {
        return Err(StoreError::NotEmpty { folder }.into());
    }
    let beside = beside(&folder);
    remove_unfinished(&beside).await?;
    let unfinished = SledOptions {
        folder: beside.clone(),
        mode: OpenMode::New,
        ..options
    };
    let store: Arc<dyn Store> = Arc::new(SledStore::open(unfinished, &keys.digest_key()).await?);
    let restored = restore_rows(path, &Vault::new(Arc::clone(&store), keys)).await;
    store.close().await?;
    let restored = restored?;
    match fs::remove_dir(&folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace", &folder)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let renamed = fs::rename(&beside, &folder).await;
    renamed.map_err(failed("rename", &beside))?;
    sync_parent(&folder).await?;
    Ok(restored)
}

/// Reads a backup into an empty store of any engine, under the key ring of the backup. Every tag
/// and every seal is checked. Where it fails, rows read before the failure are in the store, which
/// must not be used.
///
/// # Errors
/// [`BackupError::HeaderRefused`], [`BackupError::Altered`], [`BackupError::Truncated`],
/// [`BackupError::GoesOn`], those of [`read_backup_header`], or what the store says, among it
/// [`StoreError::Conflict`] where it is not empty.
pub async fn restore_rows(path: &Path, vault: &Vault) -> Result<BackedUp, BackupError> {
    read_rows(path, vault, Some(vault.store())).await
}

/// Reads a backup to its end and checks every tag and every seal under its key ring; keeps nothing.
///
/// # Errors
/// As [`restore_rows`], but for what only a store says.
pub async fn check_backup(path: &Path, keys: Arc<Keyring>) -> Result<BackedUp, BackupError> {
    let nowhere: Arc<dyn Store> = Arc::new(MemoryStore::new(&keys.digest_key()));
    read_rows(path, &Vault::new(nowhere, keys), None).await
}

/// Checks every row under the vault's keys, and commits it into a store where one is named.
async fn read_rows(
    path: &Path,
    vault: &Vault,
    into: Option<&Arc<dyn Store>>,
) -> Result<BackedUp, BackupError> {
    let mut reader = Reader::open(path).await?;
    let (_, header) = reader.header().await?;
    let mut chain = Chain::new(Digester::new(&vault.keys().digest_key()));
    if reader.header_tag().await? != chain.next(&header) {
        return Err(BackupError::HeaderRefused);
    }
    let mut batch = Batch::new();
    let mut rows = 0_u64;
    loop {
        let offset = reader.offset;
        let payload = reader.block(&mut chain).await?;
        let altered = BackupError::Altered { offset };
        match payload.split_first() {
            Some((&ROWS, mut rest)) => {
                while !rest.is_empty() {
                    let stored = next_row(&mut rest).ok_or_else(|| altered.clone())?;
                    let StoredRow { code, key, row } = stored;
                    let table = Table::from_code(code).ok_or(StoreError::NewerTable { code })?;
                    vault.open(table, &key, &row)?;
                    let Row { revision, sealed } = row;
                    rows += 1;
                    let Some(store) = into else { continue };
                    batch.push(table, &key, Change::Restore { revision, sealed });
                    if batch.len() == STORE_BATCH_ROWS_MAX {
                        store.commit(std::mem::take(&mut batch)).await?;
                    }
                }
            }
            Some((&END, rest)) if rest == rows.to_be_bytes() => break,
            Some(_) | None => return Err(altered),
        }
    }
    if let Some(store) = into {
        store.commit(batch).await?;
    }
    let bytes = reader.end().await?;
    Ok(BackedUp { rows, bytes })
}

struct StoredRow {
    code: u8,
    key: Vec<u8>,
    row: Row,
}

/// Takes the next row off a payload.
fn next_row(rest: &mut &[u8]) -> Option<StoredRow> {
    let (code, after) = rest.split_first()?;
    let (key_len, after) = after.split_first_chunk::<2>()?;
    let (revision, after) = after.split_first_chunk::<8>()?;
    let (sealed_len, after) = after.split_first_chunk::<4>()?;
    let key_len = usize::from(u16::from_be_bytes(*key_len));
    let sealed_len = usize::try_from(u32::from_be_bytes(*sealed_len)).ok()?;
    let (key, after) = after.split_at_checked(key_len)?;
    let (sealed, after) = after.split_at_checked(sealed_len)?;
    *rest = after;
    Some(StoredRow {
        code: *code,
        key: key.to_vec(),
        row: Row {
            revision: u64::from_be_bytes(*revision),
            sealed: Sealed::from_stored(sealed.to_vec()),
        },
    })
}

/// Whether nothing stands in the way of a folder of this name.
async fn is_vacant(folder: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed("list", folder)(error)),
        Ok(mut entries) => {
            let first = entries.next_entry().await;
            Ok(first.map_err(failed("list", folder))?.is_none())
        }
    }
}

fn beside(folder: &Path) -> PathBuf {
    let mut name = OsString::from(folder.file_name().unwrap_or_default());
    name.push(".restoring");
    folder.with_file_name(name)
}

/// Removes what an interrupted restore left.
async fn remove_unfinished(beside: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(beside).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed("remove", beside)),
    }
}

struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    offset: u64,
}

impl Reader {
    async fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).await.map_err(failed("open", path))?;
        Ok(Self {
            file: BufReader::new(file),
            path: path.to_owned(),
            offset: 0,
        })
    }

    /// The header, and its bytes.
    async fn header(&mut self) -> Result<(BackupHeader, Vec<u8>), BackupError> {
        let not_a_backup = || BackupError::NotABackup {
            path: self.path.clone(),
        };
        let mut bytes = vec![0; HEADER_BYTES];
        let found = read_full(&mut self.file, &mut bytes).await;
        let found = found.map_err(failed("read", &self.path))?;
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(not_a_backup)?;
        if found < HEADER_BYTES {
            return Err(BackupError::Truncated { offset: 0 });
        }
        let fields = header_fields(rest).ok_or_else(not_a_backup)?;
        let (format, layout, made_at_ms, keyring_len) = fields;
        if (format, layout) != (BACKUP_FORMAT_VERSION, LAYOUT_VERSION) {
            return Err(BackupError::Version { format, layout });
        }
        if keyring_len > KEYRING_BYTES_MAX {
            return Err(BackupError::HeaderRefused);
        }
        let wrapped_keyring = self.bytes(keyring_len, 0).await?;
        bytes.extend_from_slice(&wrapped_keyring);
        self.offset = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let header = BackupHeader {
            made_at: Timestamp::from_unix_ms(made_at_ms),
            wrapped_keyring,
        };
        Ok((header, bytes))
    }

    /// The tag of the header.
    async fn header_tag(&mut self) -> Result<[u8; TAG_BYTES], BackupError> {
        let tag = self.tag(0).await?;
        self.offset += u64::try_from(TAG_BYTES).unwrap_or(u64::MAX);
        Ok(tag)
    }

    /// The payload of the next block, whose tag fits.
    async fn block(&mut self, chain: &mut Chain) -> Result<Vec<u8>, BackupError> {
        let offset = self.offset;
        let length = self.bytes(4, offset).await?;
        let length = length
            .first_chunk()
            .map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > PAYLOAD_BYTES_MAX {
            return Err(BackupError::Altered { offset });
        }
        let payload = self.bytes(length, offset).await?;
        if self.tag(offset).await? != chain.next(&payload) {
            return Err(BackupError::Altered { offset });
        }
        self.offset += u64::try_from(4 + length + TAG_BYTES).unwrap_or(u64::MAX);
        Ok(payload)
    }

    async fn tag(&mut self, offset: u64) -> Result<[u8; TAG_BYTES], BackupError> {
        let tag = self.bytes(TAG_BYTES, offset).await?;
        tag.try_into()
            .map_err(|_| BackupError::Truncated { offset })
    }

    /// Exactly `length` bytes of the block at `offset`.
    async fn bytes(&mut self, length: usize, offset: u64) -> Result<Vec<u8>, BackupError> {
        let mut bytes = vec![0; length];
        let found = read_full(&mut self.file, &mut bytes).await;
        if found.map_err(failed("read", &self.path))? < length {
            return Err(BackupError::Truncated { offset });
        }
        Ok(bytes)
    }

    /// Checks that nothing follows and returns the bytes of the file.
    async fn end(mut self) -> Result<u64, BackupError> {
        let mut more = [0; 1];
        let found = read_full(&mut self.file, &mut more).await;
        match found.map_err(failed("read", &self.path))? {
            0 => Ok(self.offset),
            _ => Err(BackupError::GoesOn {
                offset: self.offset,
            }),
        }
    }
}

fn header_fields(rest: &[u8]) -> Option<(u16, u32, i64, usize)> {
    let (format, rest) = rest.split_first_chunk::<2>()?;
    let (layout, rest) = rest.split_first_chunk::<4>()?;
    let (made_at, rest) = rest.split_first_chunk::<8>()?;
    let keyring_len = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    Some((
        u16::from_be_bytes(*format),
        u32::from_be_bytes(*layout),
        i64::from_be_bytes(*made_at),
        usize::try_from(keyring_len).ok()?,
    ))
}

/// Fills `bytes` as far as the file goes and says how far that is.
async fn read_full(file: &mut (impl AsyncRead + Unpin), bytes: &mut [u8]) -> io::Result<usize> {
    let mut found = 0;
    while let Some(rest) = bytes.get_mut(found..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).await? {
            0 => break,
            count => found += count,
        }
    }
    Ok(found)
}
