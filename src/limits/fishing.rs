//! Bounds of what a node keeps and reads to judge whether queries look like fishing.

use std::time::Duration;

/// Age of the oldest own query that is judged; older ones are deleted from the index of queries.
pub const FISHING_WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// Own queries that one judgement reads, the newest ones.
pub const FISHING_ASKS_MAX: usize = 100_000;

/// Days for which it is kept what each member asked.
pub const ASKER_DAYS_KEPT: i64 = 35;

/// Key epochs over which a member's use of its quota is judged.
pub const FISHING_EPOCHS: u32 = 3;

/// Commitments of one member and day that later questions are compared with, the newest ones.
pub const COMMITMENTS_COMPARED: usize = 64;

/// Time between two judgements.
pub const FISHING_INTERVAL: Duration = Duration::from_secs(600);

/// Findings kept at once; where there are more, the oldest acknowledged ones go.
pub const FINDINGS_MAX: usize = 1_000;

/// Bytes of a name or a text with which a finding is acknowledged.
pub const FINDING_WORDS_BYTES_MAX: usize = 1_000;
