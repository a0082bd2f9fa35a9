//! The beginning of an epoch's feed: a link, then everything that stands, sorted by tag and padded.

use super::head::FeedHead;
use super::link::{Anchor, LinkLeaf};
use super::{FeedFault, FeedId};
use crate::domain::Timestamp;
use crate::env::Entropy;
use crate::limits::{FEED_GROUP_LEAVES, SNAPSHOT_LEAVES_MAX};
use crate::merkle::{Checkpoint, leaf_hash};
use crate::protocol::leaf::Leaf;

/// `2^(b / 4)` for b from 0 to 3, times `2^62`, rounded up.
const QUARTER_STEPS: [u128; 4] = [
    0x4000_0000_0000_0000,
    0x4c1b_f828_c6dc_54b8,
    0x5a82_7999_fcef_3243,
    0x6ba2_7e65_6b4e_b57b,
];

/// A new feed: the leaves to write, and the head to write with the last of them.
#[derive(Debug)]
pub struct Opening {
    /// Link leaf, snapshot and padding: whole groups, in the order of the feed.
    pub leaves: Vec<Leaf>,
    /// The head of the feed once all of them are durable.
    pub head: FeedHead,
}

/// Leaves of a padded snapshot with `leaves` leaves, link included: the next `2^(k / 4)`, so that
/// the size tells the book's to about 20 %, rounded up to whole groups.
///
/// # Errors
/// [`FeedFault::SnapshotTooLarge`] above [`SNAPSHOT_LEAVES_MAX`].
pub fn snapshot_leaves(leaves: u64) -> Result<u64, FeedFault> {
    let too_large = || FeedFault::SnapshotTooLarge { leaves };
    if leaves > SNAPSHOT_LEAVES_MAX {
        return Err(too_large());
    }
    let ladder = (0..u64::BITS)
        .flat_map(|doublings| QUARTER_STEPS.map(|step| (step << doublings).div_ceil(1 << 62)));
    let mut wide_enough = ladder.filter(|padded| *padded >= u128::from(leaves));
    let padded = wide_enough
        .next()
        .and_then(|padded| u64::try_from(padded).ok());
    let group = u64::try_from(FEED_GROUP_LEAVES).unwrap_or(1);
    padded
        .map(|padded| padded.next_multiple_of(group))
        .ok_or_else(too_large)
}

impl FeedHead {
    /// Opens the feed of an epoch with the leaves of everything that stands. `previous` is the
    /// latest checkpoint of the member's epoch before, none for its first feed.
    ///
    /// # Errors
    /// [`FeedFault::LinkForeign`] where `previous` is not an earlier epoch's of the same member,
    /// [`FeedFault::SnapshotTooLarge`] above [`SNAPSHOT_LEAVES_MAX`], [`FeedFault::Entropy`] where
    /// there are no random bytes for the padding.
    pub fn open(
        feed: FeedId,
        previous: Option<&Checkpoint>,
        mut snapshot: Vec<Leaf>,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Opening, FeedFault> {
        let link = LinkLeaf::First(previous.map(Anchor::of).transpose()?);
        if !link.fits(&feed) {
            return Err(FeedFault::LinkForeign);
        }
        let content = u64::try_from(snapshot.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let total = snapshot_leaves(content)?;
        for _ in content..total {
            snapshot.push(Leaf::random(entropy)?);
        }
        snapshot.sort_unstable_by_key(Leaf::tag);
        snapshot.insert(0, link.to_leaf());
        let mut head = Self::empty(feed, now);
        for leaf in &snapshot {
            head.push_snapshot(leaf_hash(leaf.bytes()))?;
        }
        Ok(Opening {
            leaves: snapshot,
            head,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{IdentityKey, Secret};
    use crate::env::SeededEntropy;
    use crate::merkle::Frontier;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_772_000_000_000);

    fn feed(origin: &str) -> FeedId {
        origin.parse().unwrap()
    }

    #[test]
    fn sizes_climb_by_quarter_powers_of_two_in_whole_groups() {
        for (leaves, padded) in [
            (1, 8),
            (8, 8),
            (9, 16),
            (16, 16),
            (17, 24),
            (1_000, 1_024),
            (1_024, 1_024),
            (1_025, 1_224),
            (1_300, 1_456),
            (10_000_001, 11_863_288),
            (1 << 30, 1 << 30),
        ] {
            assert_eq!(snapshot_leaves(leaves).unwrap(), padded, "{leaves}");
        }
        for leaves in (8..5_000).chain((100_000..5_000_000).step_by(77_777)) {
            let padded = snapshot_leaves(leaves).unwrap();
            assert!(padded >= leaves && padded.is_multiple_of(8), "{leaves}");
            assert!(
                padded * 100 <= leaves * 119 + 800,
                "{leaves} became {padded}"
            );
        }
        let too_large = snapshot_leaves(SNAPSHOT_LEAVES_MAX + 1);
        assert!(matches!(too_large, Err(FeedFault::SnapshotTooLarge { .. })));
    }

    #[test]
    fn a_snapshot_begins_with_its_link_is_sorted_and_hides_the_padding() {
        let entropy = SeededEntropy::from_seed(2);
        let mine: Vec<Leaf> = (0..20).map(|_| Leaf::random(&entropy).unwrap()).collect();
        let before = Checkpoint::new("lender-a/full/3", 64, [9; 32], NOW).unwrap();
        let here = feed("lender-a/full/4");
        let opening = FeedHead::open(here, Some(&before), mine.clone(), &entropy, NOW).unwrap();
        assert_eq!(opening.leaves.len(), 24);
        let link = LinkLeaf::read(&opening.leaves[0]).unwrap();
        let Some(LinkLeaf::First(Some(anchor))) = link else {
            panic!("no link")
        };
        assert!(anchor.names(&before));
        assert!(opening.leaves[1..].is_sorted_by_key(Leaf::tag));
        assert!(mine.iter().all(|leaf| opening.leaves.contains(leaf)));
        let mut frontier = Frontier::new();
        for leaf in &opening.leaves {
            frontier.append(leaf_hash(leaf.bytes())).unwrap();
        }
        let (checkpoint, head) = opening.head.checkpoint(NOW).unwrap();
        assert_eq!(
            (checkpoint.size(), *checkpoint.root()),
            (24, frontier.root())
        );
        let key = IdentityKey::from_seed(&Secret::from_bytes([1; 32]));
        assert!(checkpoint.sign(&key).is_ok());
        assert_eq!(head.size(), 24);
    }

    #[test]
    fn a_snapshot_links_only_to_an_earlier_epoch_of_the_same_member() {
        let entropy = SeededEntropy::from_seed(3);
        for origin in [
            "lender-b/full/3",
            "lender-a/full/4",
            "lender-a/full/5",
            "something",
        ] {
            let before = Checkpoint::new(origin, 8, [9; 32], NOW).unwrap();
            let here = feed("lender-a/full/4");
            let opening = FeedHead::open(here, Some(&before), Vec::new(), &entropy, NOW);
            assert!(opening.is_err(), "{origin}");
        }
    }

    #[test]
    fn an_empty_book_opens_a_feed_of_one_group() {
        let entropy = SeededEntropy::from_seed(3);
        let opening = FeedHead::open(feed("a/full/0"), None, Vec::new(), &entropy, NOW).unwrap();
        assert_eq!((opening.leaves.len(), opening.head.size()), (8, 8));
        let link = LinkLeaf::read(&opening.leaves[0]).unwrap();
        assert_eq!(link, Some(LinkLeaf::First(None)));
    }
}
