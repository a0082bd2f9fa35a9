//! A peer's feed as this node holds it: checked leaf by leaf, found by tag, compared with others.
//!
//! [`MirrorHead::accept`] takes what a peer sent, in an answer or a stream, and either returns the
//! leaves to write and the head to write with them, or says what is wrong. Nothing unproven is ever
//! kept: a tail that is cut short comes with a proof that its leaves lead to the signed root.

mod days;
mod faults;
mod fork;
mod growth;
mod head;
mod head_row;
mod order;
mod tag_index;

#[cfg(test)]
mod test_peer;

use super::feed::FeedFault;
use crate::merkle::{Hash, LogFault};

pub use faults::{FaultName, NotedFault};
pub use fork::{Bridge, ForkKind, ForkProof, SeenCheckpoint};
pub use head::{Accepted, Compared, MirrorHead};
pub use tag_index::{IndexFull, LeavesUnbounded, TagIndex, find_last, following};

/// Leaves of a feed from some position, and the checkpoint that they lead to.
#[derive(Debug, Clone, Copy)]
pub struct Tail<'a> {
    /// Position of the first leaf.
    pub from: u64,
    /// Whole groups of leaves, flat.
    pub leaves: &'a [u8],
    /// The signed checkpoint, whose size is the position after the last leaf or, in a truncated
    /// tail, beyond it.
    pub note: &'a str,
    /// In a truncated tail the consistency proof from the position after the last leaf to the
    /// checkpoint. Not looked at where the leaves reach the checkpoint: that the root comes out of
    /// all leaves proves more.
    pub consistency: &'a [Hash],
}

/// What is wrong with what a peer sent. The mirror stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorFault {
    /// The note is not a checkpoint that this peer signed for this feed.
    #[error("the peer's checkpoint is refused: {0}")]
    Note(#[from] LogFault),
    /// The checkpoint does not say when it was signed.
    #[error("the peer's checkpoint has no signing time; its node must follow docs/protocol.md")]
    Untimed,
    /// The bytes are not whole groups of leaves, or a position or size lies inside a group.
    #[error("the peer sent parts of a group; its node must send whole groups of 8 leaves")]
    NotWholeGroups,
    /// A group is not whole: at least one of its leaves was dropped.
    #[error("the peer's last group has {leaves} leaves where 8 are signed; ask again")]
    PartOfGroup {
        /// Leaves behind the last whole group.
        leaves: usize,
    },
    /// There are leaves between the mirror's end and the tail's beginning.
    #[error("the tail begins at {from} and the mirror ends at {have}; ask again from {have}")]
    Gap {
        /// Leaves that the mirror has.
        have: u64,
        /// Where the tail begins.
        from: u64,
    },
    /// There are leaves beyond the checkpoint, so nothing signed covers them.
    #[error("the tail ends at {end}, beyond its checkpoint of {size} leaves; ask again")]
    Overlong {
        /// Where the tail ends.
        end: u64,
        /// Size at the checkpoint.
        size: u64,
    },
    /// The leaves end before the checkpoint and no proof leads on: at least one was dropped.
    #[error("the tail ends at {end}, short of its checkpoint of {size} leaves; ask again")]
    Dropped {
        /// Where the tail ends.
        end: u64,
        /// Size at the checkpoint.
        size: u64,
    },
    /// A truncated tail does not lead to its checkpoint: a leaf was forged, exchanged or
    /// reordered, or the proof was.
    #[error(
        "the tail's consistency proof does not lead to its checkpoint; ask again, then suspect"
    )]
    ProofInvalid,
    /// The leaves do not give the signed root: one was forged, exchanged or reordered.
    #[error(
        "the leaves up to {size} do not give the signed root; ask again, then suspect the peer"
    )]
    RootOther {
        /// Size at the checkpoint.
        size: u64,
    },
    /// The leaves do not give the signed root as they came, and give it in another order.
    #[error(
        "the leaves from {from} to {until} are the signed ones in another order; ask again, then \
         suspect the peer"
    )]
    Reordered {
        /// Position of the first one.
        from: u64,
        /// The position after the last one.
        until: u64,
    },
    /// The peer does not show that its newest checkpoint goes on from the leaves that are here.
    #[error(
        "the peer does not show that the {have} leaves mirrored here became the {size} of its \
         newest checkpoint: it rewrote what it had signed; tell the administrators"
    )]
    Rewritten {
        /// Leaves that the mirror has.
        have: u64,
        /// Size at the checkpoint.
        size: u64,
    },
    /// The peer's newest checkpoint covers fewer leaves than it signed before.
    #[error(
        "the peer's newest checkpoint covers {size} leaves, and it had signed {have}: its feed \
         was cut, or its node went back to an older state; ask its operator"
    )]
    Shrunk {
        /// Leaves that the mirror has.
        have: u64,
        /// Size at the checkpoint.
        size: u64,
    },
    /// The tail is older than the mirror, and cannot be judged without the mirror's tree.
    #[error("the mirror has {have} leaves and the tail leads to {size}; ask again")]
    Overtaken {
        /// Leaves that the mirror has.
        have: u64,
        /// Size at the checkpoint.
        size: u64,
    },
    /// The peer signed two histories.
    #[error(
        "the peer signed two histories of one feed; keep the proof and tell the administrators"
    )]
    Fork(Box<ForkProof>),
    /// The feed does not begin, or does not end, with a link leaf as `docs/protocol.md` asks for.
    #[error("the feed's first or last leaf is not its link; its node must follow docs/protocol.md")]
    Link,
    /// The feed goes on after its closing leaf.
    #[error("the feed goes on after its closing leaf; its node must publish in the next epoch")]
    AfterClosing,
    /// A stored head does not decode.
    #[error("the stored head of a mirror is damaged; delete the mirror and fetch it again")]
    HeadDamaged,
}

impl From<FeedFault> for MirrorFault {
    fn from(_: FeedFault) -> Self {
        Self::Link
    }
}
