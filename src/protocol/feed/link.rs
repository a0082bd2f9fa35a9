//! The first and the last leaf of a feed, which chain the epochs of a member. They carry no secret.
//!
//! | bytes | content |
//! |---|---|
//! | 0..12 | `cm-feed-link` (first leaf) or `cm-feed-last` (last leaf) |
//! | 12 | format, 1 |
//! | 13 | 1 where a checkpoint is named; 0 where there is none, and the rest is zero |
//! | 14..22 | size of the named checkpoint, big-endian |
//! | 22..54 | its root |
//! | 54 | length of its origin, 1 to 83 |
//! | 55.. | its origin, then zeros |

use super::{FeedFault, FeedId};
use crate::limits::LEAF_BYTES;
use crate::merkle::{Checkpoint, Hash};
use crate::protocol::fields::Fields;
use crate::protocol::leaf::{Leaf, Tag};

const FIRST: Tag = *b"cm-feed-link";
const LAST: Tag = *b"cm-feed-last";
const FORMAT: u8 = 1;

/// A checkpoint of another epoch's feed, named by a link leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The other feed.
    pub feed: FeedId,
    /// Its size at the checkpoint, in leaves.
    pub size: u64,
    /// Its root at that size.
    pub root: Hash,
}

/// The leaf that begins or ends a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkLeaf {
    /// The first leaf: the latest checkpoint of the epoch before, none where the member is new.
    First(Option<Anchor>),
    /// The last leaf: a checkpoint of the feed that goes on, none where the member stops.
    Last(Option<Anchor>),
}

impl Anchor {
    /// The anchor that names `checkpoint`.
    ///
    /// # Errors
    /// [`FeedFault::OriginMalformed`] where the checkpoint is not of a feed.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, FeedFault> {
        Ok(Self {
            feed: checkpoint.origin().parse()?,
            size: checkpoint.size(),
            root: *checkpoint.root(),
        })
    }

    /// Whether a checkpoint is the one named here.
    #[must_use]
    pub fn names(&self, checkpoint: &Checkpoint) -> bool {
        Self::of(checkpoint).is_ok_and(|other| other == *self)
    }
}

impl LinkLeaf {
    /// The leaf's bytes.
    #[must_use]
    pub fn to_leaf(&self) -> Leaf {
        let (magic, anchor) = match self {
            Self::First(anchor) => (FIRST, anchor),
            Self::Last(anchor) => (LAST, anchor),
        };
        let mut row = magic.to_vec();
        row.extend([FORMAT, u8::from(anchor.is_some())]);
        if let Some(anchor) = anchor {
            let origin = anchor.feed.origin();
            row.extend(anchor.size.to_be_bytes());
            row.extend(anchor.root);
            row.push(u8::try_from(origin.len()).unwrap_or(0));
            row.extend(origin.as_bytes());
        }
        let mut leaf = [0; LEAF_BYTES];
        for (to, from) in leaf.iter_mut().zip(row) {
            *to = from;
        }
        Leaf::from_bytes(leaf)
    }

    /// The link in a leaf; `None` where the leaf is an ordinary one.
    ///
    /// # Errors
    /// [`FeedFault::LinkMalformed`] where it is marked as a link and breaks the format.
    pub fn read(leaf: &Leaf) -> Result<Option<Self>, FeedFault> {
        let mut fields = Fields::of(leaf.bytes());
        let link: fn(Option<Anchor>) -> Self = match fields.array() {
            Some(FIRST) => Self::First,
            Some(LAST) => Self::Last,
            _ => return Ok(None),
        };
        if fields.byte() != Some(FORMAT) {
            return Err(malformed("its format is not 1"));
        }
        let anchor = match fields.byte() {
            Some(0) => None,
            Some(1) => Some(read_anchor(&mut fields)?),
            _ => {
                return Err(malformed(
                    "it neither names a checkpoint nor says that it does not",
                ));
            }
        };
        let read = link(anchor);
        // One link has one encoding, so what follows the fields is zero.
        if read.to_leaf() == *leaf {
            Ok(Some(read))
        } else {
            Err(malformed("it has loose bytes"))
        }
    }

    /// Whether this leaf may stand in `feed`: it names the same member's earlier epoch at the
    /// beginning, a later one at the end. A notice feed is linked to nothing.
    #[must_use]
    pub fn fits(&self, feed: &FeedId) -> bool {
        match self {
            Self::First(None) | Self::Last(None) => true,
            Self::First(Some(anchor)) | Self::Last(Some(anchor))
                if anchor.feed.notices_generation().is_some() =>
            {
                false
            }
            Self::First(Some(anchor)) => {
                anchor.feed.member == feed.member && anchor.feed.epoch < feed.epoch
            }
            Self::Last(Some(anchor)) => {
                anchor.feed.member == feed.member && anchor.feed.epoch > feed.epoch
            }
        }
    }
}

fn read_anchor(fields: &mut Fields<'_>) -> Result<Anchor, FeedFault> {
    let parts = fields.number().zip(fields.array()).zip(fields.byte());
    let ((size, root), origin_bytes) = parts.ok_or(malformed("it is short"))?;
    let origin = fields
        .bytes(usize::from(origin_bytes))
        .ok_or(malformed("its origin is too long"))?;
    let origin = std::str::from_utf8(origin).map_err(|_| malformed("its origin is not text"))?;
    Ok(Anchor {
        feed: origin
            .parse()
            .map_err(|_| malformed("its origin is not a feed's"))?,
        size,
        root,
    })
}

const fn malformed(reason: &'static str) -> FeedFault {
    FeedFault::LinkMalformed { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(origin: &str) -> Anchor {
        Anchor {
            feed: origin.parse().unwrap(),
            size: 4_096,
            root: [6; 32],
        }
    }

    #[test]
    fn links_round_trip_and_ordinary_leaves_are_none() {
        let longest = format!("{}/defaults/2147483647", "a".repeat(63));
        for link in [
            LinkLeaf::First(None),
            LinkLeaf::Last(None),
            LinkLeaf::First(Some(anchor("lender-a/full/1"))),
            LinkLeaf::Last(Some(anchor(&longest))),
        ] {
            assert_eq!(LinkLeaf::read(&link.to_leaf()).unwrap(), Some(link));
        }
        assert_eq!(
            LinkLeaf::read(&Leaf::from_bytes([7; LEAF_BYTES])).unwrap(),
            None
        );
    }

    #[test]
    fn every_loose_or_altered_field_of_a_link_is_refused_or_read_as_another_link() {
        let link = LinkLeaf::First(Some(anchor("lender-a/full/1")));
        let good = *link.to_leaf().bytes();
        for at in 12..LEAF_BYTES {
            let mut bytes = good;
            bytes[at] ^= 0x81;
            let read = LinkLeaf::read(&Leaf::from_bytes(bytes));
            let free = (14..54).contains(&at);
            assert_eq!(read.is_ok(), free, "byte {at}");
            assert_ne!(read.ok(), Some(Some(link.clone())), "byte {at}");
        }
        let mut loose = *LinkLeaf::First(None).to_leaf().bytes();
        loose[40] = 1;
        assert!(LinkLeaf::read(&Leaf::from_bytes(loose)).is_err());
    }

    #[test]
    fn a_link_leads_to_the_same_member_and_forward_in_time() {
        let feed: FeedId = "lender-a/full/5".parse().unwrap();
        for (link, fits) in [
            (LinkLeaf::First(None), true),
            (LinkLeaf::First(Some(anchor("lender-a/full/4"))), true),
            (LinkLeaf::First(Some(anchor("lender-a/defaults/3"))), true),
            (LinkLeaf::First(Some(anchor("lender-a/full/5"))), false),
            (LinkLeaf::First(Some(anchor("lender-b/full/4"))), false),
            (LinkLeaf::Last(None), true),
            (LinkLeaf::Last(Some(anchor("lender-a/full/6"))), true),
            (LinkLeaf::Last(Some(anchor("lender-a/full/4"))), false),
            (LinkLeaf::Last(Some(anchor("lender-b/full/6"))), false),
        ] {
            assert_eq!(link.fits(&feed), fits, "{link:?}");
        }
    }
}
