//! Which leaves an answer carries to a mirror that stands somewhere in the feed.

use super::{FeedFault, FeedHead};
use crate::limits::{FEED_GROUP_LEAVES, TAIL_LEAVES_MAX};

/// The leaves from `from` up to, not including, `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailSpan {
    /// Position of the first leaf.
    pub from: u64,
    /// Position after the last leaf.
    pub until: u64,
    /// The feed goes on beyond `until`: the asker streams the rest, or counts the peer as silent.
    /// The tail's consistency proof then leads from `until` to the checkpoint.
    pub truncated: bool,
}

impl FeedHead {
    /// The tail for a mirror that stands at `from`: everything up to this head, at most
    /// [`TAIL_LEAVES_MAX`] leaves.
    ///
    /// # Errors
    /// [`FeedFault::AheadOfFeed`] where the mirror has more than the feed (this node lost leaves),
    /// [`FeedFault::InsideGroup`] where `from` is not a multiple of a group.
    pub fn tail(&self, from: u64) -> Result<TailSpan, FeedFault> {
        let size = self.size();
        let group = u64::try_from(FEED_GROUP_LEAVES).unwrap_or(1);
        let longest = u64::try_from(TAIL_LEAVES_MAX).unwrap_or(u64::MAX);
        if !from.is_multiple_of(group) {
            return Err(FeedFault::InsideGroup { position: from });
        }
        if from > size {
            return Err(FeedFault::AheadOfFeed { from, size });
        }
        let until = size.min(from.saturating_add(longest));
        Ok(TailSpan {
            from,
            until,
            truncated: until < size,
        })
    }
}
