//! Bounds of what is kept of the standing of members.

use std::time::Duration;

/// Months for which a member states its counts, and for which a peer keeps them.
pub const MONTHS_STATED_MAX: usize = 24;

/// Months of which stated counts enter a member's trust.
pub const TRUST_MONTHS: u32 = 12;

/// Reports that a member's own statements can bring to bear on its trust; more are scaled down to
/// this many, so that what was seen cannot be talked away.
pub const DECLARED_REPORTS_MAX: u32 = 100;

/// How often a node looks at the standing of its peers as it is stored.
pub const STANDING_LOOK: Duration = Duration::from_secs(30);

/// How soon it looks again where another of its replicas wrote something.
pub const STANDING_LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a node asks its peers for their monthly counts.
pub const STANDING_FETCH: Duration = Duration::from_secs(3_600);

/// States of one borrower that a look-up reads back, to see what became of what was reported.
pub const HISTORY_LEAVES_MAX: u32 = 16;

/// Characters of the name of whoever decides about a peer.
pub const DECIDER_CHARS_MAX: usize = 64;
