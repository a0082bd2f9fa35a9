//! Light mode: the entries of one feed in buckets by the first bits of a keyed hash that all
//! members can compute, so that a member without a mirror takes one bucket and looks there.
//!
//! An entry is a leaf of its own number: its tag is unlike those of the feed, and there is one for
//! each identifier, with the newest summary. A bucket always has the same number of entries; what
//! it lacks is filled with what nobody but its maker can tell from an entry.

use super::feed::snapshot_leaves;
use super::leaf::{Leaf, Tag, tag_of};
use crate::crypto::{Token, labels, light_prefix};
use crate::domain::NetworkId;
use crate::limits::{LEAVES_PER_BORROWER_MAX, LIGHT_BITS_MAX, LIGHT_ENTRIES_MAX, LIGHT_PEOPLE_MIN};

/// The number under which an entry is sealed: no leaf of a feed has it.
pub const ENTRY_NUMBER: u32 = u32::MAX;

const _: () = assert!(LEAVES_PER_BORROWER_MAX < ENTRY_NUMBER);

/// The longest prefix that anybody may ask for, in bits: each is shared by
/// [`LIGHT_PEOPLE_MIN`] people of the population at least.
#[must_use]
pub fn bits_max(population: u64) -> u32 {
    (population / LIGHT_PEOPLE_MIN)
        .checked_ilog2()
        .unwrap_or(0)
        .min(LIGHT_BITS_MAX)
}

/// The first 32 bits of what an identifier's bucket goes by.
#[must_use]
pub fn prefix_of(network: &NetworkId, canonical: &[u8]) -> u32 {
    light_prefix(labels::LIGHT_PREFIX, network.as_str().as_bytes(), canonical)
}

/// The bucket of a prefix among `2^bits`.
#[must_use]
pub fn bucket_of(prefix: u32, bits: u32) -> u32 {
    prefix
        .checked_shr(u32::BITS - bits.min(u32::BITS))
        .unwrap_or(0)
}

/// The tag of a borrower's entry.
#[must_use]
pub fn entry_tag(token: &Token) -> Tag {
    tag_of(token, ENTRY_NUMBER)
}

/// How a feed is cut into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LightPlan {
    /// Bits of the prefix.
    pub bits: u32,
    /// Entries of each bucket, filled up; a multiple of 8.
    pub entries: u64,
}

impl LightPlan {
    /// A plan for so many entries in all, about `wanted` in a bucket, or more where the prefix may
    /// not be longer than `bits_max`. Its size tells that of the book to about 20 %.
    #[must_use]
    pub fn of(count: u64, wanted: u64, bits_max: u32) -> Self {
        let longest = bits_max.min(LIGHT_BITS_MAX);
        let bits = (count / wanted.max(1)).checked_ilog2().unwrap_or(0);
        let bits = bits.min(longest);
        let mean = count.div_ceil(1 << bits);
        // Eight standard deviations of how many fall into one bucket.
        let room = mean + 8 * (mean.isqrt() + 1) + 64;
        let entries = snapshot_leaves(room).unwrap_or(u64::MAX);
        Self { bits, entries }
    }

    /// Whether an asker takes it: within the bounds, and no bit more than the network allows.
    #[must_use]
    pub const fn is_within(&self, bits_max: u32) -> bool {
        self.bits <= bits_max && self.entries <= LIGHT_ENTRIES_MAX
    }
}

/// A bucket as it is sent: in the order of the tags, filled up by `padding`, which gives the same
/// for the same place. `None` where there are more entries than the plan has room for.
#[must_use]
pub fn arranged(
    mut entries: Vec<Leaf>,
    plan: &LightPlan,
    padding: impl Fn(u64) -> Leaf,
) -> Option<Vec<Leaf>> {
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    if count > plan.entries {
        return None;
    }
    entries.extend((count..plan.entries).map(padding));
    entries.sort_unstable_by_key(Leaf::tag);
    Some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::LEAF_BYTES;

    #[test]
    fn fifty_thousand_people_share_the_longest_prefix() {
        let cases = [
            (0, 0),
            (49_999, 0),
            (50_000, 0),
            (100_000, 1),
            (100_000_000, 10),
            (1_400_000_000, 14),
            (u64::MAX, LIGHT_BITS_MAX),
        ];
        for (population, bits) in cases {
            assert_eq!(bits_max(population), bits, "{population}");
        }
    }

    #[test]
    fn buckets_are_the_first_bits() {
        let prefix = 0xA000_0001;
        assert_eq!(bucket_of(prefix, 0), 0);
        assert_eq!(bucket_of(prefix, 1), 1);
        assert_eq!(bucket_of(prefix, 3), 5);
        assert_eq!(bucket_of(prefix, 16), 0xA000);
    }

    #[test]
    fn the_prefix_depends_on_the_network_and_the_identifier_only() {
        let network = |name: &str| name.parse::<NetworkId>().unwrap();
        let here = prefix_of(&network("credit-net"), b"v1|US-SSN|US|536904399");
        assert_eq!(
            here,
            prefix_of(&network("credit-net"), b"v1|US-SSN|US|536904399")
        );
        assert_ne!(
            here,
            prefix_of(&network("other-net"), b"v1|US-SSN|US|536904399")
        );
        assert_ne!(
            here,
            prefix_of(&network("credit-net"), b"v1|US-SSN|US|536904398")
        );
    }

    fn leaf(byte: u8) -> Leaf {
        Leaf::from_bytes([byte; LEAF_BYTES])
    }

    #[test]
    fn a_bucket_is_full_sorted_and_refused_where_it_overflows() {
        let plan = LightPlan {
            bits: 0,
            entries: 8,
        };
        let pad = |place: u64| leaf(u8::try_from(100 - place).unwrap());
        let full = arranged(vec![leaf(99), leaf(3)], &plan, pad).unwrap();
        assert_eq!(full.len(), 8);
        assert!(full.is_sorted_by_key(Leaf::tag));
        // One entry more takes the place of one that was padding; the others stay.
        let more = arranged(vec![leaf(99), leaf(3), leaf(50)], &plan, pad).unwrap();
        let kept = more.iter().filter(|one| full.contains(one)).count();
        assert_eq!(kept, 7);
        assert!(arranged(vec![leaf(1); 9], &plan, pad).is_none());
    }

    proptest! {
        #[test]
        fn plans_have_room_and_keep_the_cap(
            count in 0_u64..1 << 24,
            wanted in 1_u64..1 << 20,
            cap in 0_u32..20,
        ) {
            let plan = LightPlan::of(count, wanted, cap);
            prop_assert!(plan.bits <= cap.min(LIGHT_BITS_MAX));
            prop_assert!(plan.entries > count >> plan.bits);
            prop_assert!(plan.entries.is_multiple_of(8));
            let shortest = plan.bits == cap.min(LIGHT_BITS_MAX);
            prop_assert!(shortest || count >> plan.bits < 2 * wanted);
        }
    }
}
