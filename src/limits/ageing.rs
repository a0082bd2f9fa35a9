//! Bounds of what goes with age: old key epochs, answers and their openings.

use std::time::Duration;

use super::FISHING_EPOCHS;

/// Days for which answers, openings of queries, idempotency keys and the index from a borrower to
/// its queries are kept.
pub const ANSWER_DAYS: u64 = 180;

/// Commits of one pass that deletes what is old; the next pass follows after [`SWEEP_PAUSE`].
pub const SWEEP_COMMITS_MAX: u32 = 200;

/// Pause between two passes while there is more to delete: the node's own work comes first.
pub const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Time between two looks for what is old.
pub const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Identifiers whose leaf counts one commit deletes. Each takes up to 12 rows: its counts in two
/// epochs at two levels, itself, and what must not be there (a marker, counts in three epochs).
pub const SWEEP_IDENTITIES: usize = 40;

/// Entries of the audit log, or dated rows, that one commit goes through.
pub const SWEEP_ENTRIES: usize = 200;

/// Key epochs over which it is kept what each member spent.
pub const QUOTA_EPOCHS_KEPT: u32 = 3;

const _: () = assert!(QUOTA_EPOCHS_KEPT >= FISHING_EPOCHS);
const _: () = assert!(SWEEP_IDENTITIES * 12 < super::STORE_BATCH_ROWS_MAX);
/// Rows beyond which a commit takes no further entry: one entry has an answer and at most 255 rows
/// of an opening, and the mark comes on top.
pub const SWEEP_ROWS_FULL: usize = 240;

const _: () = assert!(SWEEP_ROWS_FULL + 255 + 2 < super::STORE_BATCH_ROWS_MAX);
const _: () = assert!(SWEEP_ENTRIES * 2 < super::STORE_BATCH_ROWS_MAX);
