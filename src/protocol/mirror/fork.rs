//! Checkpoints that this node saw, and the proof that a peer signed two histories.
//!
//! A feed's signing times only grow, and its size never shrinks. So two checkpoints of one feed
//! prove a fork where they have one size and two roots, or where the smaller one was not signed
//! first. Where the later tree holds other leaves than the earlier one, a consistency proof shows
//! it.

use super::MirrorFault;
use crate::domain::Timestamp;
use crate::limits::FEED_GROUP_LEAVES;
use crate::merkle::{Checkpoint, Hash, LogFault, SignedNote, Tree, verify_consistency};
use crate::protocol::feed::FeedId;

/// A checkpoint whose signature was verified, with the note that proves it to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCheckpoint {
    note: String,
    size: u64,
    root: Hash,
    signed_at: Timestamp,
}

/// Two checkpoints of one feed that cannot both be honest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    /// The feed.
    pub feed: FeedId,
    /// The note of the checkpoint with fewer leaves, or either of two with equally many.
    pub smaller: String,
    /// The note of the other one.
    pub larger: String,
    /// What the larger tree holds in place of the smaller one, where the two notes alone do not
    /// prove the fork. Without it, only who holds the leaves of the larger tree can tell.
    pub bridge: Option<Bridge>,
}

/// The root that the larger tree has at the smaller tree's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// That root, which is not the one that was signed.
    pub root: Hash,
    /// Proof that the larger tree begins with it.
    pub consistency: Vec<Hash>,
}

/// What a [`ForkProof`] proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkKind {
    /// One size, two roots.
    TwoRoots,
    /// The smaller tree was not signed before the larger one.
    WentBack,
    /// The larger tree does not begin with the smaller one.
    Rewritten,
}

impl SeenCheckpoint {
    /// The checkpoint in a note, if the holder of `key` signed it for `feed`.
    ///
    /// # Errors
    /// [`MirrorFault::Note`] where it did not, [`MirrorFault::Untimed`] where it names no signing
    /// time, [`MirrorFault::NotWholeGroups`] where its size is not a multiple of a group.
    pub fn open(note: &str, feed: &FeedId, key: &[u8; 32]) -> Result<Self, MirrorFault> {
        let signed = SignedNote::parse(note)?;
        Self::of(note, &Checkpoint::open(&signed, &feed.origin(), key)?)
    }

    /// The checkpoint in a note that was opened before it was stored.
    pub(super) fn stored(note: &str, feed: &FeedId) -> Option<Self> {
        let checkpoint = Checkpoint::stored(&SignedNote::parse(note).ok()?).ok()?;
        let seen = Self::of(note, &checkpoint).ok()?;
        (checkpoint.origin() == feed.origin()).then_some(seen)
    }

    fn of(note: &str, checkpoint: &Checkpoint) -> Result<Self, MirrorFault> {
        let group = u64::try_from(FEED_GROUP_LEAVES).unwrap_or(1);
        if !checkpoint.size().is_multiple_of(group) {
            return Err(MirrorFault::NotWholeGroups);
        }
        Ok(Self {
            note: note.to_owned(),
            size: checkpoint.size(),
            root: *checkpoint.root(),
            signed_at: checkpoint.signed_at().ok_or(MirrorFault::Untimed)?,
        })
    }

    /// The signed note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Leaves of the feed.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// When it was signed, by the peer's clock.
    #[must_use]
    pub const fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// The fork that two checkpoints prove by themselves, if they do.
    pub(super) fn kind_with(&self, larger: &Self) -> Option<ForkKind> {
        if self.size == larger.size {
            (self.root != larger.root).then_some(ForkKind::TwoRoots)
        } else {
            (self.signed_at >= larger.signed_at).then_some(ForkKind::WentBack)
        }
    }
}

impl ForkProof {
    /// The proof that two checkpoints of `feed` contradict each other by themselves; `None` where
    /// they do not.
    #[must_use]
    pub fn of(feed: &FeedId, one: &SeenCheckpoint, other: &SeenCheckpoint) -> Option<Self> {
        let (smaller, larger) = if one.size <= other.size {
            (one, other)
        } else {
            (other, one)
        };
        smaller.kind_with(larger)?;
        Some(Self::between(feed, smaller, larger))
    }

    /// The two notes as evidence, where the leaves show what the notes alone do not.
    pub(super) fn between(
        feed: &FeedId,
        smaller: &SeenCheckpoint,
        larger: &SeenCheckpoint,
    ) -> Self {
        Self {
            feed: feed.clone(),
            smaller: smaller.note.clone(),
            larger: larger.note.clone(),
            bridge: None,
        }
    }

    /// Adds the bridge from a tree that holds the leaves of the larger checkpoint.
    ///
    /// # Errors
    /// [`LogFault`] where the tree does not reach it.
    pub(super) fn bridged(
        self,
        smaller: &SeenCheckpoint,
        larger: &SeenCheckpoint,
        tree: &Tree,
    ) -> Result<Self, LogFault> {
        let bridge = Bridge {
            root: tree.root_at(smaller.size)?,
            consistency: tree.consistency(smaller.size, larger.size)?,
        };
        Ok(Self {
            bridge: Some(bridge),
            ..self
        })
    }

    /// What the proof proves to whoever knows the member's identity key; `None` where it proves
    /// nothing without the leaves.
    ///
    /// # Errors
    /// [`MirrorFault::Note`] and others where a note is not a checkpoint that this key signed for
    /// this feed.
    pub fn check(&self, key: &[u8; 32]) -> Result<Option<ForkKind>, MirrorFault> {
        self.check_among(key, &[])
    }

    /// As [`Self::check`], where the member had other identity keys before: each note may be signed
    /// by any of them. What rests on a former key proves what its holder signed, who may be another
    /// one since it was replaced: whether the note was seen before, people must judge.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_among(
        &self,
        key: &[u8; 32],
        former: &[[u8; 32]],
    ) -> Result<Option<ForkKind>, MirrorFault> {
        let open = |note: &str| {
            let opened = SeenCheckpoint::open(note, &self.feed, key);
            let mut others = former.iter();
            opened.or_else(|fault| {
                let found = others.find_map(|one| SeenCheckpoint::open(note, &self.feed, one).ok());
                found.ok_or(fault)
            })
        };
        let (smaller, larger) = (open(&self.smaller)?, open(&self.larger)?);
        if smaller.size > larger.size {
            return Ok(None);
        }
        let rewritten = self.bridge.as_ref().is_some_and(|bridge| {
            let (from, to) = (smaller.size, larger.size);
            let leads =
                verify_consistency(from, &bridge.root, to, &larger.root, &bridge.consistency);
            bridge.root != smaller.root && leads.is_ok()
        });
        let by_themselves = smaller.kind_with(&larger);
        Ok(by_themselves.or(rewritten.then_some(ForkKind::Rewritten)))
    }
}

#[cfg(test)]
#[path = "fork_tests.rs"]
mod tests;
