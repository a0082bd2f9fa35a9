//! Bounds of watching, of alerts and of the webhook that delivers them.

use std::time::Duration;

use super::{EVALUATE_ELEMENTS_MAX, STORE_BATCH_ROWS_MAX, STORE_VALUE_BYTES_MAX};

/// Borrowers that a node watches at most: about 40 bytes of memory each for every live feed.
pub const WATCHED_MAX: u32 = 10_000_000;

/// Borrowers in one request to watch them, and in one page of the list.
pub const WATCH_PAGE_MAX: usize = 200;

/// Watched borrowers that a scan looks up at once: so long nothing else of the watch goes on.
pub const SCAN_PAGE: usize = 64;

/// Watched borrowers whose tokens one row holds; their place in it is fixed by their number.
pub const WATCH_SHELF_BORROWERS: u32 = 128;

/// Watched borrowers in one evaluation: two elements each.
pub const WATCH_BATCH_BORROWERS: usize = EVALUATE_ELEMENTS_MAX / 2;

/// Leaves of a mirror that are looked at together.
pub const WATCH_LEAVES: usize = 2_048;

/// Leaves without a match after which the place in a feed is noted all the same.
pub const WATCH_NOTE_LEAVES: u64 = 65_536;

/// Rows that a commit of the watch is to stay below before the next borrower is added to it.
pub const WATCH_COMMIT_ROWS: usize = 400;

/// Alerts about one borrower that one peer can raise on one day; later changes of the day are told
/// with the next leaf of another day.
pub const WATCH_ALERTS_PER_DAY_MAX: u8 = 48;

/// How often a node looks for leaves, epochs and borrowers to watch that nothing told it of.
pub const WATCH_TICK: Duration = Duration::from_millis(500);

/// Pause of an evaluation pass that cannot go on: no quota, no mirror, no answer.
pub const WATCH_PAUSE: Duration = Duration::from_secs(5);

/// Time from a node's start to the first look for watched borrowers with whom no contract runs.
pub const WATCH_CUSTOMERS_FIRST: Duration = Duration::from_secs(600);

/// Time between two such looks.
pub const WATCH_CUSTOMERS_EVERY: Duration = Duration::from_secs(86_400);

/// The part of a peer's quota that evaluation passes leave to applicants: one over this.
pub const WATCH_QUOTA_RESERVE: u64 = 10;

/// Time that a peer has to evaluate one batch of a pass.
pub const WATCH_EVALUATE_DEADLINE: Duration = Duration::from_secs(10);

/// Alerts, or dead letters, in one page.
pub const ALERT_PAGE_MAX: usize = 200;

/// Characters of the note that an alert is resolved with.
pub const ALERT_NOTE_CHARS_MAX: usize = 500;

/// Deliveries of alerts at once.
pub const WEBHOOK_ATONCE_MAX: usize = 8;

/// Time that a receiver has to take an alert.
pub const WEBHOOK_DEADLINE: Duration = Duration::from_secs(10);

/// First pause before a delivery is tried again; doubles each time.
pub const WEBHOOK_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Longest pause before a delivery is tried again, jitter left out.
pub const WEBHOOK_PAUSE_MAX: Duration = Duration::from_secs(4 * 3_600);

/// How often due deliveries are looked for when nothing told of one.
pub const WEBHOOK_TICK: Duration = Duration::from_millis(500);

/// Most attempts that a configuration may ask for.
pub const WEBHOOK_ATTEMPTS_MAX: u32 = 100;

/// Characters of what the last attempt of a dead letter met.
pub const WEBHOOK_ERROR_CHARS_MAX: usize = 200;

/// Fewest bytes of the secret that signs webhooks.
pub const WEBHOOK_SECRET_BYTES_MIN: usize = 24;

/// Most bytes of the secret that signs webhooks.
pub const WEBHOOK_SECRET_BYTES_MAX: usize = 64;

const _: () = assert!(WATCH_BATCH_BORROWERS * 2 <= EVALUATE_ELEMENTS_MAX);
const _: () = assert!(WATCH_COMMIT_ROWS + 80 <= STORE_BATCH_ROWS_MAX);
const _: () = assert!(WATCH_PAGE_MAX * 2 < STORE_BATCH_ROWS_MAX);
const _: () = assert!(WATCH_SHELF_BORROWERS as usize * 68 + 1 < STORE_VALUE_BYTES_MAX);
