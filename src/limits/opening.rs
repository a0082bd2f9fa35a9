//! Bounds of what opens queries to an auditor, and of what two logs are compared by.

use std::time::Duration;

use super::{STORE_VALUE_BYTES_MAX, WATCH_BATCH_BORROWERS};

/// Bytes of what opens one query.
pub const OPENING_BYTES_MAX: usize = 512 * 1024;

/// Bytes of an opening in one row of the store.
pub const OPENING_CHUNK_BYTES: usize = 15 * 1024;

/// Bytes of an opening that is encrypted to an auditor, as text.
pub const OPENING_FILE_BYTES_MAX: usize = 1 << 20;

/// Entries in one answer about a log.
pub const LOGGED_PAGE_MAX: usize = 500;

/// Entries of a log that are read for one answer about it.
pub const LOGGED_READ_MAX: u64 = 5_000;

/// How long one page of a peer's log may take.
pub const LOGGED_DEADLINE: Duration = Duration::from_secs(10);

/// How far the clocks of two members may differ where their logs are compared.
pub const LOGS_SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// The span of two logs that is compared at once.
pub const RECONCILE_STEP: Duration = Duration::from_secs(3_600);

/// Evaluations of one such span, and what lies around it, on each side.
pub const RECONCILE_ENTRIES_MAX: usize = 200_000;

/// How long ago a call ended at the latest that is compared.
pub const RECONCILE_SETTLED: Duration = Duration::from_secs(60);

/// The span that is compared where none is named.
pub const RECONCILE_SPAN: Duration = Duration::from_secs(24 * 3_600);

/// Differences of one comparison that are told one by one; all are counted.
pub const RECONCILE_SHOWN_MAX: usize = 1_000;

/// Queries that one draw gives.
pub const SAMPLE_MAX: usize = 1_000;

/// Members that answered a drawn query and are named with it.
pub const SAMPLE_SEEN_MAX: usize = 100;

/// Pages of one member's log that one draw reads.
pub const DRAW_PAGES_MAX: usize = 10_000;

/// Characters of the seed of a draw.
pub const DRAW_SEED_CHARS_MAX: usize = 200;

/// Identifiers that nobody owns, given with one check.
pub const CANARIES_MAX: usize = 10_000;

/// Rows that one group of the ledger writes.
pub const LEDGER_ROWS_MAX: usize = 400;

const _: () = assert!(OPENING_CHUNK_BYTES + 64 < STORE_VALUE_BYTES_MAX);
const _: () = assert!(OPENING_BYTES_MAX / 3 * 4 + 64 * 1024 < OPENING_FILE_BYTES_MAX);
const _: () = assert!(OPENING_BYTES_MAX / OPENING_CHUNK_BYTES < 100);
// Two identifiers, a hash and a reference of 64 characters for each borrower.
const _: () = assert!(WATCH_BATCH_BORROWERS * 600 < OPENING_BYTES_MAX);
