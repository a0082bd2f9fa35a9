//! One leaf of a feed: the tag that its reader looks for, and a summary that only the token opens.
//!
//! | bytes | content |
//! |---|---|
//! | 0..12 | tag, `HKDF(token, "tag" ‖ n)` |
//! | 12..24 | random nonce |
//! | 24..144 | the summary, sealed with AES-256-GCM under `HKDF(token, "content" ‖ n)` |
//! | 144..160 | authentication tag over the summary, the feed's origin and the leaf's tag |

use std::fmt;

use zeroize::Zeroizing;

use super::feed::FeedId;
use crate::crypto::{Token, aead, labels};
use crate::env::{Entropy, EntropyUnavailable};
use crate::limits::{LEAF_BYTES, LEAF_TAG_BYTES, NONCE_BYTES, SUMMARY_BYTES};

/// The public name of one leaf: 96 bits that mean nothing to who does not hold the token.
pub type Tag = [u8; LEAF_TAG_BYTES];

/// Why a leaf did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafFault {
    /// The leaf has another tag: it is another borrower's, or another number.
    #[error("the leaf has another tag; look at the next candidate")]
    OtherTag,
    /// The tag is right and the content does not open: the peer published a broken leaf.
    #[error("the leaf does not open under its token; count the peer as unknown")]
    Sealed,
}

/// One leaf, 160 bytes, as it is published, mirrored and hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Leaf([u8; LEAF_BYTES]);

/// The tag of leaf number `n` (from 0) of the borrower that the token belongs to.
#[must_use]
pub fn tag_of(token: &Token, n: u32) -> Tag {
    *token.derive::<LEAF_TAG_BYTES>(labels::FEED_TAG, n).expose()
}

impl Leaf {
    /// Seals a summary as leaf number `n` of the token's borrower in `feed`. The nonce is random
    /// and fresh, so that sealing a number again after a crash does not repeat one.
    #[must_use]
    pub fn seal(
        token: &Token,
        n: u32,
        summary: &[u8; SUMMARY_BYTES],
        nonce: [u8; NONCE_BYTES],
        feed: &FeedId,
    ) -> Self {
        let tag = tag_of(token, n);
        let key = token.derive(labels::FEED_CONTENT, n);
        let sealed = aead::seal_with_key(&key, nonce, &context(feed, &tag), summary);
        let mut leaf = [0; LEAF_BYTES];
        let parts = tag.iter().chain(&nonce).chain(&sealed);
        for (to, from) in leaf.iter_mut().zip(parts) {
            *to = *from;
        }
        Self(leaf)
    }

    /// The summary, if this is leaf number `n` of the token's borrower in `feed`.
    ///
    /// # Errors
    /// [`LeafFault::OtherTag`] where the tag is another's, [`LeafFault::Sealed`] where the content
    /// was altered, is of another feed, or was never sealed.
    pub fn open(
        &self,
        token: &Token,
        n: u32,
        feed: &FeedId,
    ) -> Result<Zeroizing<[u8; SUMMARY_BYTES]>, LeafFault> {
        let (tag, nonce, sealed) = self.parts().ok_or(LeafFault::Sealed)?;
        if tag != tag_of(token, n) {
            return Err(LeafFault::OtherTag);
        }
        let key = token.derive(labels::FEED_CONTENT, n);
        let plain = aead::open_with_key(&key, nonce, &context(feed, &tag), sealed)
            .map_err(|_| LeafFault::Sealed)?;
        let plain = plain.as_slice().try_into().map_err(|_| LeafFault::Sealed)?;
        Ok(Zeroizing::new(plain))
    }

    /// A leaf of the padding, which nobody but its maker can tell from a sealed one.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] where there are no random bytes.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let mut leaf = [0; LEAF_BYTES];
        entropy.fill(&mut leaf)?;
        Ok(Self(leaf))
    }

    /// The leaf with these bytes; every 160 bytes are a leaf.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; LEAF_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the leaf.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; LEAF_BYTES] {
        &self.0
    }

    /// The tag of the leaf.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    fn parts(&self) -> Option<(Tag, [u8; NONCE_BYTES], &[u8])> {
        let (tag, rest) = self.0.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        Some((*tag, *nonce, sealed))
    }
}

/// The associated data: what a leaf is bound to besides its key.
fn context(feed: &FeedId, tag: &Tag) -> Vec<u8> {
    [feed.origin().as_bytes(), tag].concat()
}

/// The leaves in flat bytes, as they travel; `None` where they are not whole leaves.
#[must_use]
pub fn leaves_of(flat: &[u8]) -> Option<impl ExactSizeIterator<Item = Leaf>> {
    let (leaves, odd) = flat.as_chunks::<LEAF_BYTES>();
    odd.is_empty().then(|| leaves.iter().copied().map(Leaf))
}

/// Leaves as flat bytes, as they travel.
pub fn flat<'a>(leaves: impl IntoIterator<Item = &'a Leaf>) -> Vec<u8> {
    leaves.into_iter().flat_map(|leaf| leaf.0).collect()
}

impl AsRef<[u8]> for Leaf {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leaf(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::env::SeededEntropy;

    fn token(byte: u8) -> Token {
        Token::from_secret(Secret::from_bytes([byte; 64]))
    }

    fn feed(origin: &str) -> FeedId {
        origin.parse().unwrap()
    }

    #[test]
    fn a_leaf_opens_for_its_token_number_and_feed_only() {
        let here = feed("lender-a/full/3");
        let leaf = Leaf::seal(&token(1), 5, &[7; SUMMARY_BYTES], [9; 12], &here);
        assert_eq!(*leaf.open(&token(1), 5, &here).unwrap(), [7; SUMMARY_BYTES]);
        assert_eq!(leaf.tag(), tag_of(&token(1), 5));
        assert_eq!(leaf.open(&token(2), 5, &here), Err(LeafFault::OtherTag));
        assert_eq!(leaf.open(&token(1), 4, &here), Err(LeafFault::OtherTag));
        for other in ["lender-b/full/3", "lender-a/defaults/3", "lender-a/full/4"] {
            assert_eq!(
                leaf.open(&token(1), 5, &feed(other)),
                Err(LeafFault::Sealed)
            );
        }
    }

    #[test]
    fn every_altered_byte_of_a_leaf_is_refused() {
        let here = feed("lender-a/full/3");
        let leaf = Leaf::seal(&token(1), 0, &[7; SUMMARY_BYTES], [9; 12], &here);
        for at in 0..LEAF_BYTES {
            let mut bytes = *leaf.bytes();
            bytes[at] ^= 0x10;
            let expected = if at < LEAF_TAG_BYTES {
                LeafFault::OtherTag
            } else {
                LeafFault::Sealed
            };
            assert_eq!(
                Leaf::from_bytes(bytes).open(&token(1), 0, &here),
                Err(expected),
                "{at}"
            );
        }
    }

    #[test]
    fn the_nonce_is_as_given_and_one_summary_never_looks_the_same_twice() {
        let here = feed("lender-a/full/3");
        let one = Leaf::seal(&token(1), 0, &[7; SUMMARY_BYTES], [1; 12], &here);
        let two = Leaf::seal(&token(1), 0, &[7; SUMMARY_BYTES], [2; 12], &here);
        assert_eq!(one.bytes()[12..24], [1; 12]);
        let equal = (24..LEAF_BYTES)
            .filter(|at| one.bytes()[*at] == two.bytes()[*at])
            .count();
        assert!(equal < 10, "{equal} of 136 bytes are equal");
    }

    #[test]
    fn a_random_leaf_opens_for_nobody() {
        let entropy = SeededEntropy::from_seed(1);
        let leaf = Leaf::random(&entropy).unwrap();
        assert_ne!(leaf, Leaf::random(&entropy).unwrap());
        let opened = leaf.open(&token(1), 0, &feed("lender-a/full/3"));
        assert_eq!(opened, Err(LeafFault::OtherTag));
        assert_eq!(format!("{leaf:?}"), "Leaf(..)");
    }

    #[test]
    fn flat_bytes_are_whole_leaves_or_nothing() {
        let leaf = Leaf::from_bytes([3; LEAF_BYTES]);
        let bytes = flat(&[leaf, leaf]);
        assert_eq!(leaves_of(&bytes).unwrap().collect::<Vec<_>>(), [leaf, leaf]);
        assert!(leaves_of(&bytes[1..]).is_none());
    }
}
