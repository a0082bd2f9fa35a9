//! A node's own feed: what it publishes under one key epoch and level, and when.
//!
//! `docs/protocol.md` has the formats. A feed begins with a link leaf and a sorted, padded
//! snapshot ([`FeedHead::open`]), grows by groups of eight ([`FeedHead::append`],
//! [`FeedHead::top_up`]), and ends with a closing leaf ([`FeedHead::wind_down`],
//! [`FeedHead::close`]). Each of these returns the leaves to write and the head to write with
//! them; nothing has happened until both are durable.

mod head;
mod link;
mod resume;
mod snapshot;
mod tail;

use std::fmt;
use std::str::FromStr;

use super::leaf::Leaf;
use crate::domain::{Epoch, Level, MemberId};
use crate::env::{Entropy, EntropyUnavailable};
use crate::limits::{FEED_DAY_LEAVES, FEED_GROUP_LEAVES, LEAF_BYTES, NOTICE_DAY_LEAVES};
use crate::merkle::LogFault;

pub use head::{AppendPlan, FeedHead};
pub use link::{Anchor, LinkLeaf};
pub use snapshot::{Opening, snapshot_leaves};
pub use tail::TailSpan;

/// What is published at once: eight leaves, whose order tells nothing.
pub type Group = [Leaf; FEED_GROUP_LEAVES];

/// Why a feed did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedFault {
    /// The origin of a checkpoint, link or configuration is not one of a feed.
    #[error("not a feed's origin: write <member>/<level>/<epoch>, as lender-a/full/12")]
    OriginMalformed,
    /// A link or closing leaf breaks its format.
    #[error("a link leaf is malformed: {reason}; its publisher must follow docs/protocol.md")]
    LinkMalformed {
        /// The rule that was broken.
        reason: &'static str,
    },
    /// The checkpoint to link to is not one of the same member's earlier (or later) feed.
    #[error("a feed links to the same member's earlier epoch and closes towards a later one only")]
    LinkForeign,
    /// The feed is closed, or closing: it takes no leaf any more.
    #[error("the feed of this epoch is closed; publish in the feed of the current epoch")]
    Closed,
    /// Padding is owed before the feed can close.
    #[error("{owed} leaves of padding are owed; top up until none is, then close the feed")]
    PaddingOwed {
        /// Leaves owed.
        owed: u64,
    },
    /// The snapshot is too large to be padded.
    #[error("a snapshot of {leaves} leaves is over the bound; split the book over several members")]
    SnapshotTooLarge {
        /// Leaves of the snapshot before padding.
        leaves: u64,
    },
    /// A tail was asked for from a position that the feed has not reached.
    #[error(
        "the mirror stands at {from} and the feed at {size}: the feed lost leaves; recover them \
         from the peers' mirrors before publishing"
    )]
    AheadOfFeed {
        /// Where the mirror stands, in leaves.
        from: u64,
        /// Where the feed stands, in leaves.
        size: u64,
    },
    /// The leaves that came back from a peer are not those of this feed, or not all of them.
    #[error("the peer's mirror does not continue this feed; fetch it to its end, or from another")]
    NotResumed,
    /// A position inside a group was named.
    #[error("position {position} lies inside a group; positions are multiples of 8")]
    InsideGroup {
        /// The position, in leaves.
        position: u64,
    },
    /// A stored head does not decode.
    #[error("the stored head of the feed is damaged; run `creditmesh node verify`")]
    HeadDamaged,
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogFault),
    /// No random bytes for padding.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

/// The numbers from here on stand for notice feeds in place of key epochs, of which none comes so
/// far.
const NOTICES: u32 = 1 << 31;

/// The word that names a notice feed.
const NOTICES_WORD: &str = "notices";

/// One feed: what a member publishes under one key epoch and level, or its notices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId {
    /// Who publishes.
    pub member: MemberId,
    /// What it contributes.
    pub level: Level,
    /// Under the keys of which epoch.
    pub epoch: Epoch,
}

impl FeedId {
    /// A member's notice feed, one for all levels and epochs. A node that was restored from a
    /// backup begins another `generation` of it, since it does not know all that it had signed.
    #[must_use]
    pub const fn notices(member: MemberId, generation: u32) -> Self {
        Self {
            member,
            level: Level::Defaults,
            epoch: Epoch(NOTICES | generation),
        }
    }

    /// Which generation of a notice feed this is; `None` where it is the feed of an epoch.
    #[must_use]
    pub const fn notices_generation(&self) -> Option<u32> {
        if self.epoch.0 >= NOTICES {
            Some(self.epoch.0 - NOTICES)
        } else {
            None
        }
    }

    /// Leaves to a multiple of which a day's total is topped up.
    #[must_use]
    pub const fn day_leaves(&self) -> usize {
        if self.notices_generation().is_some() {
            NOTICE_DAY_LEAVES
        } else {
            FEED_DAY_LEAVES
        }
    }

    /// The origin of the feed's checkpoints, at most 83 bytes: `<member>/<level>/<epoch>`, or
    /// `<member>/notices` and behind it the generation where it is not the first.
    #[must_use]
    pub fn origin(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.notices_generation() {
            None => write!(f, "{}/{}/{}", self.member, self.level, self.epoch),
            Some(0) => write!(f, "{}/{NOTICES_WORD}", self.member),
            Some(generation) => write!(f, "{}/{NOTICES_WORD}/{generation}", self.member),
        }
    }
}

impl FromStr for FeedId {
    type Err = FeedFault;

    fn from_str(origin: &str) -> Result<Self, FeedFault> {
        let mut parts = origin.split('/');
        let member = parts.next().and_then(|member| member.parse().ok());
        let (kind, number) = (parts.next(), parts.next());
        let feed = if kind == Some(NOTICES_WORD) {
            let generation = number.map_or(Ok(0), str::parse);
            let generation = generation.ok().filter(|number| *number < NOTICES);
            member
                .zip(generation)
                .map(|(member, g)| Self::notices(member, g))
        } else {
            let level = kind.and_then(Level::from_word);
            let epoch = number.and_then(|epoch| epoch.parse().ok()).map(Epoch);
            let parts = member.zip(level.zip(epoch));
            parts.map(|(member, (level, epoch))| Self {
                member,
                level,
                epoch,
            })
        };
        let feed = feed.ok_or(FeedFault::OriginMalformed)?;
        // One feed has one origin: no leading zeros, no fourth part.
        if feed.origin() == origin {
            Ok(feed)
        } else {
            Err(FeedFault::OriginMalformed)
        }
    }
}

/// Eight leaves: those given, filled up with random ones, in random order.
fn mixed_group(leaves: &[Leaf], entropy: &dyn Entropy) -> Result<Group, EntropyUnavailable> {
    let mut group = [Leaf::from_bytes([0; LEAF_BYTES]); FEED_GROUP_LEAVES];
    for (at, place) in group.iter_mut().enumerate() {
        *place = match leaves.get(at) {
            Some(leaf) => *leaf,
            None => Leaf::random(entropy)?,
        };
    }
    let mut random = [0; 8];
    entropy.fill(&mut random)?;
    let mut random = u64::from_be_bytes(random);
    // Fisher and Yates: 8! orders out of 2^64 numbers, so their chances are equal to about 2^-48.
    let mut left = group.as_mut_slice();
    while let Ok(count @ 2..) = u64::try_from(left.len()) {
        let last = left.len() - 1;
        left.swap(last, usize::try_from(random % count).unwrap_or(last));
        random /= count;
        left = left.split_at_mut(last).0;
    }
    Ok(group)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::env::SeededEntropy;

    #[test]
    fn origins_are_read_and_written_in_one_way_only() {
        for origin in [
            "lender-a/full/0",
            "b/defaults/2147483647",
            "b/notices",
            "b/notices/2147483647",
        ] {
            assert_eq!(origin.parse::<FeedId>().unwrap().origin(), origin);
        }
        let longest = format!("{}/defaults/2147483647", "a".repeat(63));
        assert_eq!(longest.parse::<FeedId>().unwrap().origin().len(), 83);
        for wrong in [
            "",
            "lender-a",
            "lender-a/full",
            "lender-a/full/",
            "lender-a/full/01",
            "A/full/1",
            "lender-a/full/+1",
            "lender-a/full/2147483648",
            "lender-a/notices/0",
            "lender-a/notices/2147483648",
            "lender-a/notices/1/",
            "lender-a/none/1",
            "a/full/1/",
            "/full/1",
            "lender-a/full/-1",
            "lender-a/full/1 ",
        ] {
            assert!(wrong.parse::<FeedId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_leaf_comes_to_every_place_of_its_group_equally_often() {
        let entropy = SeededEntropy::from_seed(4);
        let mark = |byte| Leaf::from_bytes([byte; LEAF_BYTES]);
        let mut places: BTreeMap<(u8, usize), u32> = BTreeMap::new();
        for _ in 0..8_000 {
            let group = mixed_group(&[mark(1), mark(2)], &entropy).unwrap();
            for marked in [1, 2] {
                let place = group.iter().position(|leaf| *leaf == mark(marked)).unwrap();
                *places.entry((marked, place)).or_default() += 1;
            }
        }
        assert_eq!(places.len(), 16);
        // Expected 1,000 each with a standard deviation of 30.
        assert!(
            places.values().all(|count| (850..1_150).contains(count)),
            "{places:?}"
        );
    }
}
