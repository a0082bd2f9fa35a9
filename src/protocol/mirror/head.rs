//! How far a mirror has come, and what its peer signed.

use super::days::DayMark;
use super::faults::noting;
use super::fork::{ForkProof, SeenCheckpoint};
use super::order::fits_in_another_order;
use super::{FaultName, MirrorFault, NotedFault, Tail};
use crate::domain::{Day, Timestamp};
use crate::limits::{
    CHECKPOINT_INTERVAL_MS, CLOCK_SKEW_MAX, FEED_GROUP_LEAVES, LEAF_BYTES, MIRROR_AHEAD_MAX,
};
use crate::merkle::{Frontier, Hash, Tree, leaf_hash, verify_consistency};
use crate::protocol::feed::{FeedId, Group, LinkLeaf};
use crate::protocol::leaf::Leaf;

/// What a node keeps of a mirror besides its leaves, written together with every leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorHead {
    pub(super) feed: FeedId,
    pub(super) frontier: Frontier,
    /// The feed's closing leaf is here.
    pub(super) closed: bool,
    /// The newest checkpoint whose leaves are all here.
    pub(super) reached: Option<SeenCheckpoint>,
    /// Checkpoints whose leaves are not all here yet, by size: the first that were seen and the
    /// newest. Each is compared with the leaves when they come.
    pub(super) ahead: Vec<SeenCheckpoint>,
    /// What was found wrong with the feed, each name once, sorted by name.
    pub(super) faults: Vec<NotedFault>,
    /// The first position taken on each day, in the order of time.
    pub(super) days: Vec<DayMark>,
}

/// What to write after a tail was accepted, all in one durable step.
#[derive(Debug)]
pub struct Accepted {
    /// The head, to be written with the leaves.
    pub head: MirrorHead,
    /// Position of the first leaf that is new to the mirror.
    pub first: u64,
    /// Leaves of the tail that the mirror had already, or does not need.
    pub skipped: usize,
    /// Leaves that are new: those after the skipped ones.
    pub added: usize,
    /// The tail's checkpoint, to be kept for ever.
    pub checkpoint: SeenCheckpoint,
    /// The feed's first leaf, if it is among the new ones.
    pub opening: Option<LinkLeaf>,
    /// The feed's last leaf, if it is among the new ones.
    pub closing: Option<LinkLeaf>,
}

/// What a checkpoint that another member saw says beside this mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Both hold the same leaves up to it.
    Agrees,
    /// This mirror has not come that far: compare again then.
    Ahead,
}

/// What the new leaves of a tail did to the head.
struct Growth {
    head: MirrorHead,
    opening: Option<LinkLeaf>,
    closing: Option<LinkLeaf>,
    /// A checkpoint seen earlier whose root the leaves do not give.
    contradicted: Option<SeenCheckpoint>,
}

impl MirrorHead {
    /// A mirror of `feed` without leaves.
    #[must_use]
    pub const fn new(feed: FeedId) -> Self {
        Self::going_on(feed, Frontier::new(), false)
    }

    /// A mirror that goes on where some leaves, already proven, end.
    pub(in crate::protocol) const fn going_on(
        feed: FeedId,
        frontier: Frontier,
        closed: bool,
    ) -> Self {
        Self {
            feed,
            frontier,
            closed,
            reached: None,
            ahead: Vec::new(),
            faults: Vec::new(),
            days: Vec::new(),
        }
    }

    /// The right edge of the leaves that are here.
    pub(in crate::protocol) const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The feed.
    #[must_use]
    pub const fn feed(&self) -> &FeedId {
        &self.feed
    }

    /// Leaves that are here: where the next tail should begin.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The newest checkpoint, whether or not all its leaves are here.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&SeenCheckpoint> {
        self.ahead.last().or(self.reached.as_ref())
    }

    /// The checkpoints that are remembered: the newest whose leaves are here, and those ahead.
    pub fn checkpoints(&self) -> impl Iterator<Item = &SeenCheckpoint> {
        self.reached.iter().chain(&self.ahead)
    }

    /// What was found wrong with the feed since this mirror began, each name once.
    #[must_use]
    pub fn faults(&self) -> &[NotedFault] {
        &self.faults
    }

    /// The head with one more fault noted; `None` where it was noted a moment ago.
    #[must_use]
    pub fn noting(&self, found: FaultName, now: Timestamp) -> Option<Self> {
        let faults = noting(&self.faults, found, self.size(), now)?;
        Some(Self {
            faults,
            ..self.clone()
        })
    }

    /// Leaves that the newest checkpoint covers and that are not here.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.checkpoint()
            .map_or(0, |seen| seen.size().saturating_sub(self.size()))
    }

    /// Whether the feed's closing leaf is here.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the mirror holds all that its peer signed, and the peer signed within the last ten
    /// minutes, clocks apart by at most [`CLOCK_SKEW_MAX`].
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        let (true, Some(newest)) = (self.ahead.is_empty(), &self.reached) else {
            return false;
        };
        let skew_ms = i64::try_from(CLOCK_SKEW_MAX.as_millis()).unwrap_or(0);
        let age_ms = now.unix_ms().saturating_sub(newest.signed_at().unix_ms());
        (-skew_ms..=CHECKPOINT_INTERVAL_MS + skew_ms).contains(&age_ms)
    }

    /// Takes a tail: skips what is here already, proves the rest, and compares the checkpoint with
    /// those seen before. `past` is the tree over this mirror's leaves, where it is kept: with it a
    /// tail that the mirror has overtaken is judged too.
    ///
    /// # Errors
    /// [`MirrorFault`]; the mirror stays as it is.
    pub fn accept(
        &self,
        tail: &Tail<'_>,
        key: &[u8; 32],
        past: Option<&Tree>,
    ) -> Result<Accepted, MirrorFault> {
        let seen = SeenCheckpoint::open(tail.note, &self.feed, key)?;
        let groups = groups_of(tail)?;
        self.compare_notes(&seen)?;
        let sent = groups.len().saturating_mul(FEED_GROUP_LEAVES);
        if seen.size() < self.size() {
            return self.overtaken(seen, sent, past);
        }
        if tail.from > self.size() {
            return Err(MirrorFault::Gap {
                have: self.size(),
                from: tail.from,
            });
        }
        let end = tail
            .from
            .saturating_add(u64::try_from(sent).unwrap_or(u64::MAX));
        if end > seen.size() {
            return Err(MirrorFault::Overlong {
                end,
                size: seen.size(),
            });
        }
        let known = usize::try_from(self.size() - tail.from).unwrap_or(usize::MAX);
        let skipped = known.min(sent);
        let new = groups
            .get(skipped / FEED_GROUP_LEAVES..)
            .unwrap_or_default();
        let growth = self.grown(new)?;
        let led = growth.head.lead_to(&seen, end, tail);
        led.map_err(|fault| self.in_order(fault, new.as_flattened(), &seen, tail))?;
        if let Some(earlier) = &growth.contradicted {
            return Err(fork(ForkProof::between(&self.feed, earlier, &seen)));
        }
        let mut head = growth.head;
        head.remember(seen.clone());
        Ok(Accepted {
            head,
            first: self.size(),
            skipped,
            added: sent - skipped,
            checkpoint: seen,
            opening: growth.opening,
            closing: growth.closing,
        })
    }

    /// Compares a checkpoint that another member saw with this mirror and its tree.
    ///
    /// # Errors
    /// [`MirrorFault::Note`] and others where the note is not this feed's,
    /// [`MirrorFault::Fork`] where it shows another history, [`MirrorFault::Overtaken`] where the
    /// tree does not reach back to it.
    pub fn compare(
        &self,
        note: &str,
        key: &[u8; 32],
        past: &Tree,
    ) -> Result<Compared, MirrorFault> {
        let seen = SeenCheckpoint::open(note, &self.feed, key)?;
        self.compare_notes(&seen)?;
        if seen.size() > self.size() {
            return Ok(Compared::Ahead);
        }
        self.overtaken(seen, 0, Some(past))
            .map(|_| Compared::Agrees)
    }

    /// A checkpoint contradicts none that was seen before.
    pub(super) fn compare_notes(&self, seen: &SeenCheckpoint) -> Result<(), MirrorFault> {
        let known = self.reached.iter().chain(&self.ahead);
        match known
            .filter_map(|known| ForkProof::of(&self.feed, known, seen))
            .next()
        {
            Some(proof) => Err(fork(proof)),
            None => Ok(()),
        }
    }

    /// The leaves of the checkpoint are all here, and perhaps more: they must give its root.
    fn overtaken(
        &self,
        seen: SeenCheckpoint,
        sent: usize,
        past: Option<&Tree>,
    ) -> Result<Accepted, MirrorFault> {
        let late = || MirrorFault::Overtaken {
            have: self.size(),
            size: seen.size(),
        };
        let known = self
            .reached
            .iter()
            .find(|known| known.size() == seen.size());
        let root = match known {
            // Their roots were compared already.
            Some(known) => *known.root(),
            None => past
                .and_then(|past| past.root_at(seen.size()).ok())
                .ok_or_else(late)?,
        };
        if root != *seen.root() {
            return Err(fork(self.rewritten(&seen, past).ok_or_else(late)?));
        }
        Ok(Accepted {
            head: self.clone(),
            first: self.size(),
            skipped: sent,
            added: 0,
            checkpoint: seen,
            opening: None,
            closing: None,
        })
    }

    /// The proof that this mirror's leaves, which the peer signed, are not those of `seen`.
    fn rewritten(&self, seen: &SeenCheckpoint, past: Option<&Tree>) -> Option<ForkProof> {
        let mut later = self.reached.iter().chain(&self.ahead);
        let later = later.find(|known| known.size() >= seen.size())?;
        let proof = ForkProof::between(&self.feed, seen, later);
        let bridged = past.and_then(|past| proof.clone().bridged(seen, later, past).ok());
        Some(bridged.unwrap_or(proof))
    }

    /// The head after these groups, before anything of them is proven.
    fn grown(&self, groups: &[Group]) -> Result<Growth, MirrorFault> {
        let mut growth = Growth {
            head: self.clone(),
            opening: None,
            closing: None,
            contradicted: None,
        };
        for group in groups {
            growth.read_links(group)?;
            let head = &mut growth.head;
            for leaf in group {
                head.frontier.append(leaf_hash(leaf.bytes()))?;
            }
            let passed = head
                .ahead
                .iter()
                .find(|seen| seen.size() == head.frontier.size());
            if let Some(passed) = passed.filter(|seen| *seen.root() != head.frontier.root()) {
                growth.contradicted.get_or_insert(passed.clone());
            }
        }
        Ok(growth)
    }

    /// The leaves that are here lead to the checkpoint.
    fn lead_to(&self, seen: &SeenCheckpoint, end: u64, tail: &Tail<'_>) -> Result<(), MirrorFault> {
        let (have, root, size) = (self.size(), self.frontier.root(), seen.size());
        if have == size {
            return if root == *seen.root() {
                Ok(())
            } else {
                Err(MirrorFault::RootOther { size })
            };
        }
        if end < have {
            // The proof leads from where the tail ends, and the mirror has gone on from there.
            return Err(MirrorFault::Overtaken { have, size });
        }
        if have > 0 && tail.consistency.is_empty() {
            return Err(MirrorFault::Dropped { end, size });
        }
        verify_consistency(have, &root, size, seen.root(), tail.consistency)
            .map_err(|_| MirrorFault::ProofInvalid)
    }

    /// The fault of leaves that do not lead to their checkpoint, named more closely where another
    /// order of them does.
    fn in_order(
        &self,
        fault: MirrorFault,
        new: &[Leaf],
        seen: &SeenCheckpoint,
        tail: &Tail<'_>,
    ) -> MirrorFault {
        if !fault.is_of_leaves() {
            return fault;
        }
        let added = u64::try_from(new.len()).unwrap_or(u64::MAX);
        let until = self.size().saturating_add(added);
        let proof = if until == seen.size() {
            &[]
        } else {
            tail.consistency
        };
        let fits =
            |root: &Hash| verify_consistency(until, root, seen.size(), seen.root(), proof).is_ok();
        if fits_in_another_order(&self.frontier, new, &fits) {
            let from = self.size();
            return MirrorFault::Reordered { from, until };
        }
        fault
    }

    /// Keeps a checkpoint that is proven, and sorts those whose leaves have come.
    fn remember(&mut self, seen: SeenCheckpoint) {
        self.ahead.push(seen);
        self.ahead
            .sort_by_key(|seen| (seen.size(), seen.signed_at()));
        // Of equal sizes the one signed last stays: it is the fresher one.
        self.ahead.reverse();
        self.ahead.dedup_by_key(|seen| seen.size());
        self.ahead.reverse();
        let have = self.size();
        let reached = self.ahead.extract_if(.., |seen| seen.size() <= have).last();
        if let Some(reached) = reached {
            let order = |seen: &SeenCheckpoint| (seen.size(), seen.signed_at());
            if self
                .reached
                .as_ref()
                .is_none_or(|before| order(before) <= order(&reached))
            {
                self.reached = Some(reached);
            }
        }
        if self.ahead.len() > MIRROR_AHEAD_MAX {
            self.ahead.remove(MIRROR_AHEAD_MAX - 1);
        }
    }
}

impl Accepted {
    /// The same, with a note of the day on which it was accepted, if anything was new.
    #[must_use]
    pub fn on(self, day: Day) -> Self {
        let first = self.first;
        if self.added == 0 {
            return self;
        }
        Self {
            head: self.head.taking_on(day, first),
            ..self
        }
    }

    /// The new leaves of the tail that was accepted, flat.
    #[must_use]
    pub fn new_leaves<'a>(&self, tail: &Tail<'a>) -> &'a [u8] {
        let from = self.skipped.saturating_mul(LEAF_BYTES);
        tail.leaves.get(from..).unwrap_or_default()
    }
}

impl Growth {
    /// The feed's first leaf is a link; its last leaf closes it; no other group has either.
    fn read_links(&mut self, group: &Group) -> Result<(), MirrorFault> {
        if self.head.closed {
            return Err(MirrorFault::AfterClosing);
        }
        let [first, .., last] = group;
        if self.head.size() == 0 {
            self.opening = match LinkLeaf::read(first)? {
                Some(link @ LinkLeaf::First(_)) if link.fits(&self.head.feed) => Some(link),
                _ => return Err(MirrorFault::Link),
            };
        }
        match LinkLeaf::read(last)? {
            Some(link @ LinkLeaf::Last(_)) if link.fits(&self.head.feed) => {
                self.head.closed = true;
                self.closing = Some(link);
                Ok(())
            }
            Some(_) => Err(MirrorFault::Link),
            None => Ok(()),
        }
    }
}

/// The tail's leaves as whole groups.
fn groups_of(tail: &Tail<'_>) -> Result<Vec<Group>, MirrorFault> {
    let (leaves, odd_bytes) = tail.leaves.as_chunks::<LEAF_BYTES>();
    let (groups, odd_leaves) = leaves.as_chunks::<FEED_GROUP_LEAVES>();
    let group = u64::try_from(FEED_GROUP_LEAVES).unwrap_or(1);
    if !odd_bytes.is_empty() || !tail.from.is_multiple_of(group) {
        return Err(MirrorFault::NotWholeGroups);
    }
    if !odd_leaves.is_empty() {
        let leaves = odd_leaves.len();
        return Err(MirrorFault::PartOfGroup { leaves });
    }
    Ok(groups
        .iter()
        .map(|group| group.map(Leaf::from_bytes))
        .collect())
}

pub(super) fn fork(proof: ForkProof) -> MirrorFault {
    MirrorFault::Fork(Box::new(proof))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
