//! Recognising the leaves of watched borrowers in a peer's feed, and what changed for them.
//!
//! Each watched borrower has one expected tag for each feed: that of its next leaf. A leaf whose
//! tag is expected is the borrower's; after it, the tag of the number after is expected.

mod bench;
mod changes;

use std::collections::HashMap;
use std::hash::RandomState;

use super::leaf::{Leaf, Tag};

pub use bench::bench_feed;
pub use changes::{Side, Standing, changes};

/// The number of a watched borrower in this node's watch list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watched(pub u32);

/// A leaf of a watched borrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Whose it is.
    pub watched: Watched,
    /// Where in the feed it lies.
    pub position: u64,
}

/// The next expected tag of each watched borrower in one feed: about 40 bytes of memory each.
///
/// The hash is keyed by the process, so that a publisher cannot choose tags that make the table
/// slow.
#[derive(Debug, Default)]
pub struct WatchIndex {
    expected: HashMap<Tag, Watched, RandomState>,
}

impl WatchIndex {
    /// An index with room for so many borrowers; it grows beyond them.
    #[must_use]
    pub fn with_room_for(borrowers: usize) -> Self {
        Self {
            expected: HashMap::with_capacity(borrowers),
        }
    }

    /// Borrowers watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.expected.len()
    }

    /// Whether nobody is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// Expects this tag as a borrower's next one.
    pub fn expect(&mut self, tag: Tag, watched: Watched) {
        self.expected.insert(tag, watched);
    }

    /// Expects this tag no more.
    pub fn forget(&mut self, tag: &Tag) {
        self.expected.remove(tag);
    }

    /// Looks at one leaf. A tag that was found is expected no more: the caller opens the leaf and
    /// [expects](Self::expect) the tag of the number after.
    pub fn observe(&mut self, position: u64, leaf: &Leaf) -> Option<Match> {
        let tag = leaf.tag();
        // Nearly no leaf is a watched borrower's, and a look is cheaper than a removal.
        let watched = *self.expected.get(&tag)?;
        self.expected.remove(&tag);
        Some(Match { watched, position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Secret, Token};
    use crate::env::SeededEntropy;
    use crate::limits::SUMMARY_BYTES;
    use crate::protocol::leaf::tag_of;

    fn token(number: u32) -> Token {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Token::from_secret(Secret::from_bytes(bytes))
    }

    proptest::proptest! {
        /// Leaves of watched and other borrowers in any order of publication, amid padding.
        #[test]
        fn every_leaf_of_a_watched_borrower_is_seen_once_and_no_other(
            published in proptest::collection::vec(0_u32..40, 0..200),
        ) {
            let entropy = SeededEntropy::from_seed(7);
            let feed = "lender-a/full/3".parse().unwrap();
            let mut index = WatchIndex::default();
            for number in 0..20 {
                index.expect(tag_of(&token(number), 0), Watched(number));
            }
            let (mut next, mut position) = (vec![0; 40], 0);
            for number in published {
                let leaf = Leaf::random(&entropy).unwrap();
                proptest::prop_assert_eq!(index.observe(position, &leaf), None);
                let (own, n) = (token(number), next[number as usize]);
                let leaf = Leaf::seal(&own, n, &[1; SUMMARY_BYTES], [2; 12], &feed);
                next[number as usize] += 1;
                let found = index.observe(position + 1, &leaf);
                let watched = Watched(number);
                let expected = (number < 20).then_some(Match { watched, position: position + 1 });
                proptest::prop_assert_eq!(found, expected);
                if found.is_some() {
                    index.expect(tag_of(&own, n + 1), watched);
                }
                // The same leaf again is nobody's.
                proptest::prop_assert_eq!(index.observe(position + 2, &leaf), None);
                position += 3;
            }
            proptest::prop_assert_eq!(index.len(), 20);
        }
    }

    #[test]
    fn who_is_forgotten_is_not_recognised() {
        let feed = "lender-a/full/3".parse().unwrap();
        let mut index = WatchIndex::with_room_for(1);
        index.expect(tag_of(&token(1), 0), Watched(1));
        index.forget(&tag_of(&token(1), 0));
        let leaf = Leaf::seal(&token(1), 0, &[1; SUMMARY_BYTES], [2; 12], &feed);
        assert_eq!(index.observe(0, &leaf), None);
        assert!(index.is_empty());
    }
}
