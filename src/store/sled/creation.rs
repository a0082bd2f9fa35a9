//! Opening sled, and creating or checking the layout in it.

use crate::store::digest::{BUCKETS, BucketDigest, Digester};
use crate::store::layout::{LAYOUT_KEY, decode_layout, digest_key, encode_layout};
use crate::store::{StoreError, Table};

use super::folder::{Folder, sync};
use super::view::engine_reason;

/// How often sled's own thread writes its buffers and cleans its log.
const FLUSH_EVERY_MS: u64 = 500;

/// Bytes of one segment of sled's log.
///
/// sled writes a page above a quarter of a segment to a file of its own and never syncs that file.
/// A page holds up to about 20 rows, so with this size even rows of `STORE_VALUE_BYTES_MAX` stay
/// in the log; a test watches that.
const SEGMENT_BYTES: usize = 2 << 20;

/// Opens the sled store in a folder; blocks, and panics on some kinds of damage. Nothing where an
/// earlier handle of this very process has not quite let its file go.
pub(super) fn open(
    folder: &Folder,
    cache_bytes: u64,
    digester: &Digester,
) -> Result<Option<sled::Db>, StoreError> {
    let opened = sled::Config::new()
        .path(folder.sled_path())
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(cache_bytes)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
        .segment_size(SEGMENT_BYTES)
        .open();
    let db = match opened {
        Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
            return Ok(None);
        }
        other => other.map_err(|error| open_failed(&error, folder))?,
    };
    settle_layout(&db, digester)?;
    db.flush().map_err(|error| open_failed(&error, folder))?;
    sync(&folder.sled_path().join("db"))?;
    folder.sync_entries()?;
    Ok(Some(db))
}

fn open_failed(error: &sled::Error, folder: &Folder) -> StoreError {
    match error {
        sled::Error::Io(io) => StoreError::File {
            action: "open the store in",
            path: folder.path().to_owned(),
            reason: io.to_string(),
        },
        sled::Error::Corruption { .. }
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_) => StoreError::Damaged {
            what: format!("sled cannot open it ({})", engine_reason(error)),
        },
    }
}

/// Creates the layout in an empty store, checks it in another, and adds digests of new tables.
fn settle_layout(db: &sled::Db, digester: &Digester) -> Result<(), StoreError> {
    let read_failed = |error: sled::Error| StoreError::Damaged {
        what: format!("its layout row cannot be read ({})", engine_reason(&error)),
    };
    let known = match db.get(LAYOUT_KEY).map_err(read_failed)? {
        Some(value) => decode_layout(digester, &value)?,
        None if db.first().map_err(read_failed)?.is_none() => Vec::new(),
        None => {
            return Err(StoreError::Damaged {
                what: "its layout row is missing".to_owned(),
            });
        }
    };
    if Table::ALL.iter().all(|table| known.contains(table)) {
        return Ok(());
    }
    let mut batch = sled::Batch::default();
    for table in Table::ALL.iter().filter(|table| !known.contains(table)) {
        for bucket in (0..=u8::MAX).take(BUCKETS) {
            let empty = digester.encode(*table, bucket, &BucketDigest::default());
            batch.insert(digest_key(*table, bucket), empty);
        }
    }
    batch.insert(LAYOUT_KEY, encode_layout(digester, Table::ALL));
    db.apply_batch(batch).map_err(|error| StoreError::Stopped {
        reason: format!(
            "its layout could not be written ({})",
            engine_reason(&error)
        ),
    })
}
