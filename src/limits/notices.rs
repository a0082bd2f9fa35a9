//! Bounds of notice feeds and of what both sides keep for them.

use super::{FEED_GROUP_LEAVES, STORE_BATCH_ROWS_MAX, TOP_UP_LEAVES_MAX};

/// A day's total of a notice feed is topped up to a multiple of this.
pub const NOTICE_DAY_LEAVES: usize = 256;

/// Days for which an answer can be revised: both sides keep the keys of notices so long.
pub const NOTICE_DAYS: u64 = 180;

/// Notices under one key that are looked at when an answer is given. A member that posts more about
/// one borrower in one key epoch is not heard about that any more.
pub const NOTICES_LOOKED_MAX: u32 = 64;

/// How often one answer is revised; what comes later would tell nothing new.
pub const REVISIONS_MAX: usize = 16;

/// Leaves of a notice feed in one message, and in one commit of whoever follows it.
pub const NOTICE_CHUNK_LEAVES: usize = 128;

/// Leaves of one peer's notice feed that a node follows: 40 years of padding, or a storm of
/// retractions.
pub const NOTICE_LEAVES_MAX: u64 = 1 << 24;

/// Records of one identifier, level and epoch whose standing is kept one by one. Where there are
/// more, a notice about any other goes to everybody who was answered about the identifier.
pub const STOOD_RECORDS_MAX: usize = 256;

/// Records of one identifier that are tried one by one for what each changes in the summary.
pub const RESTING_TRIED_MAX: usize = 16;

/// Changes of records for which one commit posts notices.
pub const NOTICE_BATCH_CHANGES: usize = 4;

/// Revision notices in one message to the operator.
pub const REVISIONS_PAGE_MAX: usize = 500;

/// Revision notices of one answer that are shown beside it.
pub const REVISIONS_SHOWN_MAX: usize = 64;

const _: () = assert!(NOTICE_DAY_LEAVES.is_multiple_of(FEED_GROUP_LEAVES));
const _: () = assert!(NOTICE_CHUNK_LEAVES.is_multiple_of(FEED_GROUP_LEAVES));
const _: () = assert!(NOTICE_DAY_LEAVES <= TOP_UP_LEAVES_MAX);
const _: () = assert!(3 * NOTICE_CHUNK_LEAVES < STORE_BATCH_ROWS_MAX);
