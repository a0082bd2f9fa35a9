//! Opening sled, and creating or checking the layout in it.

use crate::store::digest::{Digester, SHELVES, Shelf};
use crate::store::layout::{GROUPS_KEY, LAYOUT_KEY, decode_layout, encode_layout, shelf_key};
use crate::store::{StoreError, Table};

use super::folder::{Folder, sync};
use super::mark::{self, Mark};
use super::view::engine_reason;

/// How often sled's own thread writes its buffers and cleans its log.
const FLUSH_EVERY_MS: u64 = 500;

/// Bytes of one segment of sled's log.
///
/// sled writes a page above a quarter of a segment to a file of its own and never syncs that file.
/// A page holds up to about 20 rows, so with this size even rows of `STORE_VALUE_BYTES_MAX` stay
/// in the log; a test watches that.
const SEGMENT_BYTES: usize = 2 << 20;

/// A store that is open and sound as far as opening shows.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) db: sled::Db,
    /// Groups written so far.
    pub(super) groups: u64,
    pub(super) mark: Mark,
}

/// Opens the sled store in a folder; blocks, and panics on some kinds of damage. Nothing where an
/// earlier handle of this very process has not quite let its file go.
pub(super) fn open(
    folder: &Folder,
    cache_bytes: u64,
    digester: &Digester,
) -> Result<Option<Opened>, StoreError> {
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
    let layout = stored(&db, LAYOUT_KEY, "layout row")?;
    let known = match layout {
        Some(value) => decode_layout(digester, &value)?,
        None if folder.is_new() => Vec::new(),
        None => {
            return Err(StoreError::Damaged {
                what: "its layout row is missing, so sled lost its log".to_owned(),
            });
        }
    };
    if folder.is_new() {
        Mark::create(&folder.mark_path(), digester)?;
    }
    settle_layout(&db, digester, &known)?;
    db.flush().map_err(|error| open_failed(&error, folder))?;
    sync(&folder.sled_path().join("db"))?;
    folder.sync_entries()?;
    folder.end_creation()?;
    let (mark, acknowledged) = Mark::open(&folder.mark_path(), digester)?;
    let groups = stored(&db, GROUPS_KEY, "number of groups")?;
    match groups.and_then(|value| mark::decode(digester, &value)) {
        Some(groups) if groups >= acknowledged => Ok(Some(Opened { db, groups, mark })),
        Some(groups) => Err(StoreError::Damaged {
            what: format!(
                "sled's log ends {} groups before the last acknowledged one",
                acknowledged - groups
            ),
        }),
        None => Err(StoreError::Damaged {
            what: "its number of groups is missing or altered".to_owned(),
        }),
    }
}

fn stored(db: &sled::Db, key: &[u8], what: &str) -> Result<Option<sled::IVec>, StoreError> {
    db.get(key).map_err(|error| StoreError::Damaged {
        what: format!("its {what} cannot be read ({})", engine_reason(&error)),
    })
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

/// Writes the layout of a new store, or adds the digests of tables that are new to an older one.
fn settle_layout(db: &sled::Db, digester: &Digester, known: &[Table]) -> Result<(), StoreError> {
    if Table::ALL.iter().all(|table| known.contains(table)) {
        return Ok(());
    }
    let mut batch = sled::Batch::default();
    for table in Table::ALL.iter().filter(|table| !known.contains(table)) {
        for number in (0..=u8::MAX).take(SHELVES) {
            let empty = digester.encode(*table, number, &Shelf::default());
            batch.insert(shelf_key(*table, number), empty);
        }
    }
    if known.is_empty() {
        batch.insert(GROUPS_KEY, mark::encode(digester, 0).as_slice());
    }
    batch.insert(LAYOUT_KEY, encode_layout(digester, Table::ALL));
    db.apply_batch(batch).map_err(|error| StoreError::Stopped {
        reason: format!(
            "its layout could not be written ({})",
            engine_reason(&error)
        ),
    })
}
