//! The names of what is wrong with a feed, the same as those of an audit log, and what a mirror
//! remembers of them.

use super::fork::{ForkKind, SeenCheckpoint};
use super::{ForkProof, MirrorFault};
use crate::domain::Timestamp;
use crate::limits::MIRROR_FAULT_NOTED_EVERY;
use crate::protocol::fields::Fields;

/// What is wrong with a feed; `docs/protocol.md` says what each means and what can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultName {
    /// Leaves are not those that were signed.
    ForgedLeaf,
    /// Leaves are missing between those that came.
    DroppedLeaf,
    /// The leaves are those that were signed, in another order.
    ReorderedLeaves,
    /// What was signed later does not go on from what was signed before.
    RewrittenHistory,
    /// Two roots were signed at one size.
    ForkedLog,
    /// The feed ends before leaves that were signed.
    TruncatedLog,
    /// The checkpoint is altered, of another feed, or not signed by the pinned key.
    WrongSignature,
}

/// A fault that was found in a peer's feed, kept in the state of its mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedFault {
    /// What.
    pub name: FaultName,
    /// When it was found first.
    pub first_at: Timestamp,
    /// When it was found last, to about a minute.
    pub last_at: Timestamp,
    /// Leaves that the mirror held when it was found last.
    pub size: u64,
}

impl FaultName {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ForgedLeaf,
        Self::DroppedLeaf,
        Self::ReorderedLeaves,
        Self::RewrittenHistory,
        Self::ForkedLog,
        Self::TruncatedLog,
        Self::WrongSignature,
    ];

    /// The name in the docs and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ForgedLeaf => "forged-leaf",
            Self::DroppedLeaf => "dropped-leaf",
            Self::ReorderedLeaves => "reordered-leaves",
            Self::RewrittenHistory => "rewritten-history",
            Self::ForkedLog => "forked-log",
            Self::TruncatedLog => "truncated-log",
            Self::WrongSignature => "wrong-signature",
        }
    }

    /// The name's byte in a stored row.
    const fn byte(self) -> u8 {
        match self {
            Self::ForgedLeaf => 1,
            Self::DroppedLeaf => 2,
            Self::ReorderedLeaves => 3,
            Self::RewrittenHistory => 4,
            Self::ForkedLog => 5,
            Self::TruncatedLog => 6,
            Self::WrongSignature => 7,
        }
    }
}

impl MirrorFault {
    /// The name of the fault; `None` where there is nothing wrong with the log as such: the peer
    /// sent what does not follow the protocol, or this mirror cannot judge it.
    #[must_use]
    pub fn name(&self) -> Option<FaultName> {
        match self {
            Self::Note(_) => Some(FaultName::WrongSignature),
            Self::Gap { .. } | Self::Dropped { .. } | Self::PartOfGroup { .. } => {
                Some(FaultName::DroppedLeaf)
            }
            Self::Overlong { .. } | Self::ProofInvalid | Self::RootOther { .. } => {
                Some(FaultName::ForgedLeaf)
            }
            Self::Reordered { .. } => Some(FaultName::ReorderedLeaves),
            Self::Rewritten { .. } => Some(FaultName::RewrittenHistory),
            Self::Shrunk { .. } => Some(FaultName::TruncatedLog),
            Self::Fork(proof) => Some(proof.fault_name()),
            Self::Untimed
            | Self::NotWholeGroups
            | Self::Overtaken { .. }
            | Self::Link
            | Self::AfterClosing
            | Self::HeadDamaged => None,
        }
    }

    /// Whether the leaves do not lead to the checkpoint, so that either they are other ones or the
    /// leaves before them: the peer's proof of growth tells.
    #[must_use]
    pub const fn is_of_leaves(&self) -> bool {
        matches!(self, Self::ProofInvalid | Self::RootOther { .. })
    }
}

impl ForkProof {
    /// What the peer did.
    fn fault_name(&self) -> FaultName {
        let read = |note: &str| SeenCheckpoint::stored(note, &self.feed);
        let kind = read(&self.smaller)
            .zip(read(&self.larger))
            .and_then(|(smaller, larger)| smaller.kind_with(&larger));
        match kind {
            Some(ForkKind::TwoRoots) => FaultName::ForkedLog,
            Some(ForkKind::WentBack) => FaultName::TruncatedLog,
            Some(ForkKind::Rewritten) | None => FaultName::RewrittenHistory,
        }
    }
}

/// The faults after one more was found; `None` where it was noted a moment ago.
///
/// Leaves that do not fit because the history before them is another one are no forged leaves: of
/// the two names, found at one size of the mirror, the rewritten history stays.
pub(super) fn noting(
    faults: &[NotedFault],
    found: FaultName,
    size: u64,
    now: Timestamp,
) -> Option<Vec<NotedFault>> {
    let explains = |one: &NotedFault| one.name == FaultName::RewrittenHistory && one.size == size;
    let name = match found {
        FaultName::ForgedLeaf if faults.iter().any(explains) => FaultName::RewrittenHistory,
        FaultName::ForgedLeaf
        | FaultName::DroppedLeaf
        | FaultName::ReorderedLeaves
        | FaultName::RewrittenHistory
        | FaultName::ForkedLog
        | FaultName::TruncatedLog
        | FaultName::WrongSignature => found,
    };
    let before = faults.iter().find(|one| one.name == name);
    let is_new =
        |one: &NotedFault| one.size != size || now.since(one.last_at) >= MIRROR_FAULT_NOTED_EVERY;
    if !before.is_none_or(is_new) {
        return None;
    }
    let noted = NotedFault {
        name,
        first_at: before.map_or(now, |one| one.first_at),
        last_at: now,
        size,
    };
    let explained = |one: &NotedFault| {
        name == FaultName::RewrittenHistory && one.name == FaultName::ForgedLeaf && one.size == size
    };
    let mut kept = faults.to_vec();
    kept.retain(|one| one.name != name && !explained(one));
    kept.push(noted);
    kept.sort_by_key(|one| one.name);
    Some(kept)
}

/// The number of faults (1), then for each name (1), first (8) and last time (8), size (8).
pub(super) fn put(row: &mut Vec<u8>, faults: &[NotedFault]) {
    row.push(u8::try_from(faults.len()).unwrap_or(u8::MAX));
    for fault in faults {
        row.push(fault.name.byte());
        row.extend_from_slice(&fault.first_at.unix_ms().to_be_bytes());
        row.extend_from_slice(&fault.last_at.unix_ms().to_be_bytes());
        row.extend_from_slice(&fault.size.to_be_bytes());
    }
}

/// What [`put`] wrote.
pub(super) fn read(row: &mut Fields<'_>) -> Option<Vec<NotedFault>> {
    let count = row.byte()?;
    let mut faults: Vec<NotedFault> = Vec::new();
    for _ in 0..count {
        let byte = row.byte()?;
        let name = FaultName::ALL
            .into_iter()
            .find(|name| name.byte() == byte)?;
        // Sorted, so each name at most once.
        faults
            .last()
            .is_none_or(|last| last.name < name)
            .then_some(())?;
        faults.push(NotedFault {
            name,
            first_at: Timestamp::from_unix_ms(row.signed()?),
            last_at: Timestamp::from_unix_ms(row.signed()?),
            size: row.number()?,
        });
    }
    Some(faults)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        let start = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        start.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn each_name_is_kept_once_with_its_first_and_last_time() {
        let mut faults = Vec::new();
        for (second, name) in (0..).zip(FaultName::ALL) {
            faults = noting(&faults, name, 100 + second, at(second)).unwrap();
        }
        assert_eq!(faults.len(), 7);
        let again = noting(&faults, FaultName::DroppedLeaf, 101, at(10));
        assert_eq!(again, None, "it was noted a moment ago");
        faults = noting(&faults, FaultName::DroppedLeaf, 101, at(90)).unwrap();
        assert_eq!((faults[1].first_at, faults[1].last_at), (at(1), at(90)));
        let mut row = Vec::new();
        put(&mut row, &faults);
        assert_eq!(read(&mut Fields::of(&row)), Some(faults));
        for length in 0..row.len() {
            assert_eq!(read(&mut Fields::of(&row[..length])), None);
        }
        let doubled = [&[2], &row[1..26], &row[1..26]].concat();
        assert_eq!(read(&mut Fields::of(&doubled)), None);
        row[1] = 8;
        assert_eq!(read(&mut Fields::of(&row)), None);
    }

    #[test]
    fn a_rewritten_history_takes_the_place_of_the_leaves_that_did_not_fit() {
        let names = |faults: &[NotedFault]| -> Vec<FaultName> {
            faults.iter().map(|one| one.name).collect()
        };
        let faults = noting(&[], FaultName::ForgedLeaf, 24, at(0)).unwrap();
        let faults = noting(&faults, FaultName::RewrittenHistory, 24, at(1)).unwrap();
        assert_eq!(names(&faults), [FaultName::RewrittenHistory]);
        assert_eq!(noting(&faults, FaultName::ForgedLeaf, 24, at(2)), None);
        let faults = noting(&faults, FaultName::ForgedLeaf, 32, at(3)).unwrap();
        let both = [FaultName::ForgedLeaf, FaultName::RewrittenHistory];
        assert_eq!(names(&faults), both, "at another size it is another one");
    }
}
