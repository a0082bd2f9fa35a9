//! Bounds of erasing: of borrowers, and of the data keys that sealed what was deleted.

use std::time::Duration;

use super::{STORE_BATCH_ROWS_MAX, TEXT_FILE_BYTES_MAX};

/// Records that one commit erases.
pub const ERASED_AT_ONCE: usize = 50;

// A record with its dispute, its notice and, for two identifiers, index and marker.
const _: () = assert!(ERASED_AT_ONCE * (3 + 2 * 2) <= STORE_BATCH_ROWS_MAX);

/// Erased identifiers of which a node keeps note, so that a restore does not bring them back.
pub const ERASED_LIST_MAX: usize = 5_000;

// Each takes less than 180 bytes of a file that is read as a text.
const _: () = assert!((ERASED_LIST_MAX + 1) * 180 <= TEXT_FILE_BYTES_MAX);

/// Days between two re-keyings where `node.toml` names no number.
pub const REKEY_DAYS_DEFAULT: u64 = 7;

/// Days between two re-keyings at most.
pub const REKEY_DAYS_MAX: u64 = 90;

/// Data keys in a ring at which a re-keying that is under way is ended before another begins.
pub const DATA_KEYS_MAX: usize = 8;

/// How long after a failure an erasure or a re-keying is tried again.
pub const ERASING_RETRY: Duration = Duration::from_secs(60);

/// How often a page is tried again whose rows change while they are sealed anew.
pub const RESEAL_RETRIES: u32 = 64;

const _: () = assert!(REKEY_DAYS_DEFAULT <= REKEY_DAYS_MAX);

/// How often whoever waits for a re-keying hears how far it is.
pub const REKEY_PROGRESS_EVERY: Duration = Duration::from_millis(500);
