//! sled alone, with the one `fdatasync` that makes its `flush` durable.

use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Pair, Side};
use crate::limits::STORE_BATCH_ROWS_MAX;
use crate::store::StoreError;

/// As the store has by default.
const CACHE_BYTES: u64 = 256 << 20;

pub(super) struct BareSled {
    db: sled::Db,
    file: File,
    folder: PathBuf,
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::ReadFailed {
        reason: error.to_string(),
    }
}

impl BareSled {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(folder)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .open()
            .map_err(failed)?;
        let file = File::open(folder.join("db")).map_err(failed)?;
        let folder = folder.to_owned();
        Ok(Self { db, file, folder })
    }
}

#[async_trait]
impl Side for BareSled {
    async fn commit(&self, rows: Vec<Pair>) -> Result<(), StoreError> {
        tokio::task::block_in_place(|| {
            let mut batch = sled::Batch::default();
            for (key, mut content) in rows {
                // The revision, which every row of the store begins with.
                content.splice(..0, 1_u64.to_be_bytes());
                batch.insert(key, content);
            }
            self.db.apply_batch(batch).map_err(failed)?;
            self.db.flush().map_err(failed)?;
            self.file.sync_data().map_err(failed)
        })
    }

    /// As an ideal group commit would: all that wait, at once.
    async fn commit_each(&self, rows: Vec<Pair>) -> Result<(), StoreError> {
        self.commit(rows).await
    }

    async fn read(&self, key: &[u8]) -> Result<bool, StoreError> {
        let row = self.db.get(key).map_err(failed)?;
        Ok(row.is_some_and(|row| !row.to_vec().is_empty()))
    }

    async fn page(&self, after: Option<Vec<u8>>) -> Result<(usize, Option<Vec<u8>>), StoreError> {
        let from = after.map(|mut key| {
            key.push(0);
            key
        });
        let mut last = None;
        let mut count = 0;
        for row in self.db.range(from.unwrap_or_default()..) {
            let (key, value) = row.map_err(failed)?;
            last = Some((key.to_vec(), value.to_vec()));
            count += 1;
            if count == STORE_BATCH_ROWS_MAX {
                break;
            }
        }
        Ok((count, last.map(|(key, _)| key)))
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        bytes_in(&self.folder)
    }

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        self.db.flush().map(drop).map_err(failed)
    }
}

/// Bytes of all files below a folder.
pub(super) fn bytes_in(folder: &Path) -> Result<u64, StoreError> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let held = entry.metadata().map_err(failed)?;
        total += if held.is_dir() {
            bytes_in(&entry.path())?
        } else {
            held.len()
        };
    }
    Ok(total)
}
