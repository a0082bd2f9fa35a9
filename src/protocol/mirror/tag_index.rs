//! Where in a mirror the leaf with a tag lies: 12 bytes a place, so that ten million leaves take
//! about 200 MB.

use crate::crypto::Token;
use crate::env::{Entropy, EntropyUnavailable};
use crate::limits::{LEAVES_PER_BORROWER_MAX, TAG_POSITIONS_MAX};
use crate::protocol::leaf::{Tag, tag_of};

/// Marks a place that holds nothing.
const EMPTY: u32 = u32::MAX;

/// Places of the smallest table, a power of two.
const PLACES_MIN: usize = 1 << 10;

/// The mirror has more leaves than its index can number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the mirror has over 4 billion leaves; count the peer as unknown and use light mode for it"
)]
pub struct IndexFull;

/// One borrower has more leaves than an honest feed has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one borrower has over {LEAVES_PER_BORROWER_MAX} leaves; count the feed as unknown for it")]
pub struct LeavesUnbounded;

/// An in-memory map from tags to positions.
///
/// It keeps 64 keyed bits of each tag. Two tags that share them are told apart by the leaf itself:
/// [`TagIndex::candidates`] are to be read and their tags compared, which
/// [`Leaf::open`](crate::protocol::leaf::Leaf::open) does. The key is random, so that a publisher
/// cannot choose tags that collide; of one tag used again and again the newest positions are kept.
pub struct TagIndex {
    key: [u64; 2],
    prints: Vec<u64>,
    positions: Vec<u32>,
    filled: usize,
}

impl TagIndex {
    /// An empty index for about `leaves` leaves; it grows beyond them.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] where there are no random bytes for its key.
    pub fn with_room_for(leaves: usize, entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let mut key = [[0; 8]; 2];
        entropy.fill(key.as_flattened_mut())?;
        let places = leaves
            .saturating_mul(4)
            .div_ceil(3)
            .next_power_of_two()
            .max(PLACES_MIN);
        Ok(Self {
            key: key.map(u64::from_le_bytes),
            prints: vec![0; places],
            positions: vec![EMPTY; places],
            filled: 0,
        })
    }

    /// Positions in the index.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Whether the index holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Bytes that the index takes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.prints.capacity() * size_of::<u64>() + self.positions.capacity() * size_of::<u32>()
    }

    /// Notes that the leaf at `position` has this tag. Positions come in rising order.
    ///
    /// # Errors
    /// [`IndexFull`] from position 2^32 − 1 on.
    pub fn insert(&mut self, tag: &Tag, position: u64) -> Result<(), IndexFull> {
        let position = u32::try_from(position).map_err(|_| IndexFull)?;
        if position == EMPTY {
            return Err(IndexFull);
        }
        // Three quarters full at most: runs stay short.
        if self.filled >= self.prints.len() / 4 * 3 {
            self.grow();
        }
        self.place(self.print(tag), position);
        Ok(())
    }

    /// Positions whose leaf probably has this tag, the newest first, at most [`TAG_POSITIONS_MAX`].
    #[must_use]
    pub fn candidates(&self, tag: &Tag) -> Vec<u64> {
        let print = self.print(tag);
        let mut found: Vec<u64> = self
            .run(print)
            .filter(|(_, known, _)| *known == print)
            .map(|(_, _, position)| u64::from(position))
            .collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found
    }

    /// Whether a leaf probably has this tag.
    #[must_use]
    pub fn holds(&self, tag: &Tag) -> bool {
        let print = self.print(tag);
        self.run(print).any(|(_, known, _)| known == print)
    }

    fn place(&mut self, print: u64, position: u32) {
        let same = self.run(print).filter(|(_, known, _)| *known == print);
        let same: Vec<(usize, u32)> = same.map(|(at, _, position)| (at, position)).collect();
        let at = if same.len() >= TAG_POSITIONS_MAX {
            same.iter()
                .min_by_key(|(_, position)| *position)
                .map(|(at, _)| *at)
        } else {
            self.filled += 1;
            self.first_empty(print)
        };
        let Some(at) = at else { return };
        let slots = self.prints.get_mut(at).zip(self.positions.get_mut(at));
        if let Some((print_slot, position_slot)) = slots {
            (*print_slot, *position_slot) = (print, position);
        }
    }

    /// The filled places from a print's home to the next empty one.
    fn run(&self, print: u64) -> impl Iterator<Item = (usize, u64, u32)> {
        self.places_from(print).map_while(|at| {
            let position = self
                .positions
                .get(at)
                .filter(|position| **position != EMPTY)?;
            Some((at, *self.prints.get(at)?, *position))
        })
    }

    fn first_empty(&self, print: u64) -> Option<usize> {
        self.places_from(print)
            .find(|at| self.positions.get(*at) == Some(&EMPTY))
    }

    /// All places, beginning at the print's home.
    fn places_from(&self, print: u64) -> impl Iterator<Item = usize> + use<> {
        let places = self.prints.len();
        let mask = u64::try_from(places - 1).unwrap_or(u64::MAX);
        let home = usize::try_from(print & mask).unwrap_or(0);
        (home..places).chain(0..home)
    }

    fn grow(&mut self) {
        let places = self.prints.len().saturating_mul(2);
        let prints = std::mem::replace(&mut self.prints, vec![0; places]);
        let positions = std::mem::replace(&mut self.positions, vec![EMPTY; places]);
        self.filled = 0;
        for (print, position) in prints.into_iter().zip(positions) {
            if position != EMPTY {
                self.place(print, position);
            }
        }
    }

    /// 64 bits of a tag, mixed with the key.
    fn print(&self, tag: &Tag) -> u64 {
        let [front @ .., a, b, c, d] = *tag;
        let [first_key, second_key] = self.key;
        let back = u64::from(u32::from_le_bytes([a, b, c, d]));
        let mixed = folded(u64::from_le_bytes(front) ^ first_key, back ^ second_key);
        folded(mixed ^ second_key, first_key | 1)
    }
}

/// Both halves of a 128-bit product, which depend on every bit of both factors.
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or_default();
    let high = u64::try_from(product >> 64).unwrap_or_default();
    low ^ high
}

impl std::fmt::Debug for TagIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TagIndex")
            .field("len", &self.filled)
            .finish_non_exhaustive()
    }
}

/// The number of a borrower's last leaf: the one before the first that is missing, counted from 0.
/// `None` where there is no leaf at all.
///
/// `present` says whether a leaf with the tag is there. Where it only says so probably
/// ([`TagIndex::holds`]), the caller opens the leaf of the number returned, and where none of its
/// candidates opens, that of the number before.
///
/// # Errors
/// [`LeavesUnbounded`] beyond [`LEAVES_PER_BORROWER_MAX`] leaves: a publisher must not choose how
/// long a look-up takes.
pub fn find_last(
    token: &Token,
    mut present: impl FnMut(&Tag) -> bool,
) -> Result<Option<u32>, LeavesUnbounded> {
    for n in 0..=LEAVES_PER_BORROWER_MAX {
        if !present(&tag_of(token, n)) {
            return Ok(n.checked_sub(1));
        }
    }
    Err(LeavesUnbounded)
}

/// The number of the leaf to publish after the last one.
///
/// # Errors
/// [`LeavesUnbounded`] where readers would give up on it.
pub fn following(last: Option<u32>) -> Result<u32, LeavesUnbounded> {
    let n = last.map_or(0, |last| last.saturating_add(1));
    if n < LEAVES_PER_BORROWER_MAX {
        Ok(n)
    } else {
        Err(LeavesUnbounded)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::crypto::Secret;
    use crate::env::SeededEntropy;

    fn index() -> TagIndex {
        TagIndex::with_room_for(0, &SeededEntropy::from_seed(6)).unwrap()
    }

    fn tag(number: u64) -> Tag {
        let mut tag = [0; 12];
        tag[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        tag
    }

    #[test]
    fn every_tag_is_found_where_it_was_put_and_no_other_is() {
        let mut index = index();
        for position in 0..100_000 {
            index.insert(&tag(position), position).unwrap();
        }
        assert_eq!(index.len(), 100_000);
        for position in 0..100_000 {
            assert_eq!(index.candidates(&tag(position)), [position]);
        }
        assert!((100_000..200_000).all(|number| !index.holds(&tag(number))));
    }

    #[test]
    fn ten_million_leaves_fit_in_400_megabytes_also_while_the_index_grows() {
        let entropy = SeededEntropy::from_seed(6);
        let full = TagIndex::with_room_for(10_000_000, &entropy).unwrap();
        let before = TagIndex::with_room_for(5_000_000, &entropy).unwrap();
        assert!(
            full.bytes() + before.bytes() <= 400_000_000,
            "{}",
            full.bytes()
        );
    }

    #[test]
    fn a_tag_used_without_end_costs_no_more_than_its_newest_positions() {
        let mut index = index();
        for position in 0..50_000 {
            index.insert(&[7; 12], position).unwrap();
            index.insert(&tag(position), 50_000 + position).unwrap();
        }
        assert_eq!(index.candidates(&[7; 12]), [49_999, 49_998, 49_997, 49_996]);
        assert_eq!(index.len(), 50_000 + TAG_POSITIONS_MAX);
    }

    #[test]
    fn tags_that_share_their_print_are_both_candidates() {
        let mut index = index();
        let print = index.print(&tag(1));
        index.insert(&tag(1), 3).unwrap();
        index.place(print, 9);
        assert_eq!(index.candidates(&tag(1)), [9, 3]);
    }

    #[test]
    fn positions_beyond_the_index_are_refused() {
        let mut index = index();
        assert_eq!(index.insert(&tag(1), u64::from(u32::MAX)), Err(IndexFull));
        assert_eq!(index.insert(&tag(1), 1 << 40), Err(IndexFull));
        assert!(index.is_empty());
    }

    #[test]
    fn the_last_leaf_is_the_one_before_the_first_that_is_missing() {
        let token = Token::from_secret(Secret::from_bytes([4; 64]));
        let tags = |numbers: &[u32]| -> BTreeSet<Tag> {
            numbers.iter().map(|n| tag_of(&token, *n)).collect()
        };
        for (present, last) in [
            (tags(&[]), None),
            (tags(&[0]), Some(0)),
            (tags(&[0, 1, 2]), Some(2)),
            (tags(&[1, 2]), None),
            (tags(&[0, 1, 3]), Some(1)),
        ] {
            assert_eq!(find_last(&token, |tag| present.contains(tag)), Ok(last));
        }
        assert_eq!(find_last(&token, |_| true), Err(LeavesUnbounded));
        let last = LEAVES_PER_BORROWER_MAX - 1;
        assert_eq!((following(None), following(Some(4))), (Ok(0), Ok(5)));
        assert_eq!(
            (following(Some(last - 1)), following(Some(last))),
            (Ok(last), Err(LeavesUnbounded))
        );
    }

    proptest::proptest! {
        #[test]
        fn the_index_answers_like_an_ordered_map(
            numbers in proptest::collection::vec(0..600_u64, 0..3_000),
        ) {
            let (mut index, mut map) = (index(), BTreeMap::<Tag, Vec<u64>>::new());
            for (position, number) in (0..).zip(numbers) {
                index.insert(&tag(number), position).unwrap();
                map.entry(tag(number)).or_default().insert(0, position);
            }
            for number in 0..700 {
                let mut expected = map.get(&tag(number)).cloned().unwrap_or_default();
                expected.truncate(TAG_POSITIONS_MAX);
                proptest::prop_assert_eq!(index.candidates(&tag(number)), expected);
            }
        }
    }
}
