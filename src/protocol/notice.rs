//! One notice: a leaf that tells whoever was answered from a record that it changed afterwards.
//!
//! It looks like every other leaf of 160 bytes (`leaf.rs`), its tag and seal derive from the key of
//! notices, and it names the positions of the feed between which the record stood. So whoever was
//! answered at one of these positions knows that its answer is meant, and nobody else learns of it.
//!
//! | bytes of the content | content |
//! |---|---|
//! | 0 | format, 1 |
//! | 1 | what happened: 0 retracted, 1 corrected, 2 disputed |
//! | 2..10 | event: the same number in all notices of one change of one record |
//! | 10..18 | the hour of it, hours since the Unix epoch, big-endian |
//! | 18..26 | the first size of the feed at which the record was told |
//! | 26..34 | the first size at which it was told no more; 2⁶⁴ − 1 where the feed ended before |
//! | 34..120 | zeros |

use super::feed::FeedId;
use super::fields::Fields;
use super::leaf::{Leaf, LeafFault, Tag};
use crate::crypto::{NoticeKey, aead, labels};
use crate::domain::{RevisionKind, Timestamp};
use crate::limits::{LEAF_BYTES, LEAF_TAG_BYTES, NONCE_BYTES, SUMMARY_BYTES};

/// First byte of a notice's content.
const FORMAT: u8 = 1;

const MS_PER_HOUR: i64 = 3_600_000;

/// The sizes of a feed at which a record was told: from `from` up to, not including, `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first size at which it was told.
    pub from: u64,
    /// The first later size at which it was told no more; [`Self::OPEN`] where there is none.
    pub until: u64,
}

impl Stretch {
    /// The end of a stretch that has none.
    pub const OPEN: u64 = u64::MAX;

    /// Whether it was told to whoever looked up in a mirror of this size.
    #[must_use]
    pub const fn holds(&self, size: u64) -> bool {
        self.from <= size && size < self.until
    }
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// What happened to the record.
    pub kind: RevisionKind,
    /// The same in all notices of one change.
    pub event: [u8; 8],
    /// When, rounded down to the hour.
    pub at: Timestamp,
    /// At which sizes of the feed the record was told.
    pub stretch: Stretch,
}

/// The tag of notice number `n`, from 0, under a key.
#[must_use]
pub fn tag_of(key: &NoticeKey, n: u32) -> Tag {
    *key.derive::<LEAF_TAG_BYTES>(labels::NOTICE_TAG, n).expose()
}

impl Notice {
    /// Seals the notice as number `n` under a key, for the notice feed `feed`. The nonce is random
    /// and fresh.
    #[must_use]
    pub fn seal(&self, key: &NoticeKey, n: u32, nonce: [u8; NONCE_BYTES], feed: &FeedId) -> Leaf {
        let tag = tag_of(key, n);
        let secret = key.derive(labels::NOTICE_CONTENT, n);
        let sealed = aead::seal_with_key(&secret, nonce, &context(feed, &tag), &self.encode());
        let mut leaf = [0; LEAF_BYTES];
        let parts = tag.iter().chain(&nonce).chain(&sealed);
        for (to, from) in leaf.iter_mut().zip(parts) {
            *to = *from;
        }
        Leaf::from_bytes(leaf)
    }

    /// The notice, if `leaf` is number `n` under this key in `feed`.
    ///
    /// # Errors
    /// [`LeafFault::OtherTag`] where the tag is another's, [`LeafFault::Sealed`] where the content
    /// was altered or is none.
    pub fn open(leaf: &Leaf, key: &NoticeKey, n: u32, feed: &FeedId) -> Result<Self, LeafFault> {
        let mut fields = Fields::of(leaf.bytes());
        let tag: Tag = fields.array().ok_or(LeafFault::Sealed)?;
        if tag != tag_of(key, n) {
            return Err(LeafFault::OtherTag);
        }
        let nonce = fields.array().ok_or(LeafFault::Sealed)?;
        let sealed = fields
            .bytes(LEAF_BYTES - LEAF_TAG_BYTES - NONCE_BYTES)
            .ok_or(LeafFault::Sealed)?;
        let secret = key.derive(labels::NOTICE_CONTENT, n);
        let plain = aead::open_with_key(&secret, nonce, &context(feed, &tag), sealed)
            .map_err(|_| LeafFault::Sealed)?;
        Self::decode(&plain).ok_or(LeafFault::Sealed)
    }

    fn encode(&self) -> [u8; SUMMARY_BYTES] {
        let mut content = vec![FORMAT, self.kind as u8];
        content.extend(self.event);
        content.extend(self.at.unix_ms().div_euclid(MS_PER_HOUR).to_be_bytes());
        content.extend(self.stretch.from.to_be_bytes());
        content.extend(self.stretch.until.to_be_bytes());
        let mut padded = [0; SUMMARY_BYTES];
        for (to, from) in padded.iter_mut().zip(content) {
            *to = from;
        }
        padded
    }

    fn decode(content: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(content);
        (fields.byte()? == FORMAT).then_some(())?;
        let kind = fields.byte()?;
        let notice = Self {
            kind: RevisionKind::ALL
                .iter()
                .copied()
                .find(|one| *one as u8 == kind)?,
            event: fields.array()?,
            at: Timestamp::from_unix_ms(fields.signed()?.checked_mul(MS_PER_HOUR)?),
            stretch: Stretch {
                from: fields.number()?,
                until: fields.number()?,
            },
        };
        // One notice has one encoding.
        (notice.encode().as_slice() == content).then_some(notice)
    }
}

/// The associated data: what a notice is bound to besides its key.
fn context(feed: &FeedId, tag: &Tag) -> Vec<u8> {
    [feed.origin().as_bytes(), tag].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::protocol::leaf::LeafFault;

    fn key(byte: u8) -> NoticeKey {
        NoticeKey::from_secret(Secret::from_bytes([byte; 32]))
    }

    fn notice(kind: RevisionKind) -> Notice {
        Notice {
            kind,
            event: *b"an event",
            at: Timestamp::parse_rfc3339("2026-03-02T07:00:00Z").unwrap(),
            stretch: Stretch {
                from: 8,
                until: Stretch::OPEN,
            },
        }
    }

    #[test]
    fn a_notice_opens_for_its_key_number_and_feed_only() {
        let feed = FeedId::notices("lender-a".parse().unwrap(), 0);
        for kind in RevisionKind::ALL {
            let leaf = notice(*kind).seal(&key(1), 3, [9; 12], &feed);
            assert_eq!(Notice::open(&leaf, &key(1), 3, &feed), Ok(notice(*kind)));
            let other = Notice::open(&leaf, &key(1), 2, &feed);
            assert_eq!(other, Err(LeafFault::OtherTag));
            let other = Notice::open(&leaf, &key(2), 3, &feed);
            assert_eq!(other, Err(LeafFault::OtherTag));
            for another in ["lender-b/notices", "lender-a/notices/1", "lender-a/full/0"] {
                let other = Notice::open(&leaf, &key(1), 3, &another.parse().unwrap());
                assert_eq!(other, Err(LeafFault::Sealed));
            }
            for at in 0..LEAF_BYTES {
                let mut bytes = *leaf.bytes();
                bytes[at] ^= 1;
                let altered = Leaf::from_bytes(bytes);
                assert!(Notice::open(&altered, &key(1), 3, &feed).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn a_stretch_holds_what_lies_within() {
        let stretch = Stretch { from: 8, until: 24 };
        let held: Vec<u64> = (0..40)
            .step_by(8)
            .filter(|size| stretch.holds(*size))
            .collect();
        assert_eq!(held, [8, 16]);
    }
}
