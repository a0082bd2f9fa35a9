//! Two members' logs of the evaluations from one to the other, compared entry by entry.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::wire::LoggedEntry;

/// What one log has and the other has not, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDifference {
    /// What it is.
    pub kind: DifferenceKind,
    /// When the entry was logged that this is about.
    pub at: Timestamp,
    /// Its commitment, by which both sides find it.
    pub commitment: [u8; 32],
    /// What it is, in words.
    pub says: String,
}

/// How two logs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The asker logged a question, and the answerer nothing.
    OnlyAsked,
    /// The answerer logged an evaluation, and the asker nothing.
    OnlyAnswered,
    /// Both logged one commitment, with other contents.
    Differs,
}

impl DifferenceKind {
    /// A word for programs, which stays.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OnlyAsked => "only-asked",
            Self::OnlyAnswered => "only-answered",
            Self::Differs => "differs",
        }
    }
}

/// The entries of one side: those of the span that is compared, among those around it, which an
/// entry of the other side near the span's end may belong to.
#[derive(Debug, Clone, Default)]
pub struct LogSide(BTreeMap<[u8; 32], Vec<LoggedEntry>>);

impl LogSide {
    /// Takes entries in. The same batch logged again, as repeats are, counts once.
    pub fn take(&mut self, entries: impl IntoIterator<Item = LoggedEntry>) {
        for entry in entries {
            let held = self.0.entry(entry.commitment).or_default();
            if !held.iter().any(|one| one.batch == entry.batch) {
                held.push(entry);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Compares the entries of `asked` and `answered` that were logged in `from` up to `until`.
///
/// Gives how many agree, and the differences.
#[must_use]
pub fn compare(
    asked: &LogSide,
    answered: &LogSide,
    (from, until): (Timestamp, Timestamp),
) -> (u64, Vec<LogDifference>) {
    let mut agree = 0;
    let mut found = Vec::new();
    let within = |one: &&LoggedEntry| from <= one.at && one.at < until;
    for (commitment, entries) in &asked.0 {
        for entry in entries.iter().filter(within) {
            match partner(answered, entry) {
                Ok(None) => agree += 1,
                Ok(Some(says)) => found.push(difference(DifferenceKind::Differs, entry, says)),
                Err(()) if answered.0.contains_key(commitment) => {
                    let says = "the answerer logged other blinded elements under this commitment";
                    found.push(difference(DifferenceKind::Differs, entry, says.to_owned()));
                }
                Err(()) => {
                    let says = "the asker logged this question, the answerer nothing";
                    found.push(difference(
                        DifferenceKind::OnlyAsked,
                        entry,
                        says.to_owned(),
                    ));
                }
            }
        }
    }
    for (commitment, entries) in &answered.0 {
        for entry in entries.iter().filter(within) {
            // Other contents under a commitment that both have were told above.
            if !asked.0.contains_key(commitment) {
                let says = "the answerer logged this evaluation, the asker nothing";
                found.push(difference(
                    DifferenceKind::OnlyAnswered,
                    entry,
                    says.to_owned(),
                ));
            }
        }
    }
    found.sort_by_key(|one| (one.at, one.commitment));
    (agree, found)
}

fn difference(kind: DifferenceKind, entry: &LoggedEntry, says: String) -> LogDifference {
    LogDifference {
        kind,
        at: entry.at,
        commitment: entry.commitment,
        says,
    }
}

/// Looks for the same batch on the other side: what of it differs; `Err` where it is not there.
fn partner(other: &LogSide, entry: &LoggedEntry) -> Result<Option<String>, ()> {
    let held = other.0.get(&entry.commitment).ok_or(())?;
    let same = held.iter().find(|one| one.batch == entry.batch).ok_or(())?;
    if same.purpose != entry.purpose {
        let (asked, answered) = (entry.purpose, same.purpose);
        return Ok(Some(format!("asked for {asked}, answered for {answered}")));
    }
    if same.elements != entry.elements {
        let (asked, answered) = (entry.elements, same.elements);
        return Ok(Some(format!("{asked} elements asked, {answered} answered")));
    }
    if (same.level, same.epoch) != (entry.level, entry.epoch) {
        return Ok(Some(format!(
            "asked at level {} in epoch {}, answered at level {} in epoch {}",
            entry.level, entry.epoch, same.level, same.epoch
        )));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, Level, Purpose};

    fn entry(number: u8, at: i64) -> LoggedEntry {
        LoggedEntry {
            position: u64::from(number),
            at: Timestamp::from_unix_ms(at),
            purpose: Purpose::CreditApplication,
            level: Level::Full,
            epoch: Epoch(1),
            commitment: [number; 32],
            batch: [number; 32],
            elements: 2,
        }
    }

    fn side(entries: &[LoggedEntry]) -> LogSide {
        let mut side = LogSide::default();
        side.take(entries.iter().cloned());
        side
    }

    fn kinds(asked: &[LoggedEntry], answered: &[LoggedEntry]) -> (u64, Vec<(DifferenceKind, u8)>) {
        let span = (Timestamp::from_unix_ms(100), Timestamp::from_unix_ms(200));
        let (agree, found) = compare(&side(asked), &side(answered), span);
        let kinds = found.iter().map(|one| (one.kind, one.commitment[0]));
        (agree, kinds.collect())
    }

    #[test]
    fn logs_that_tell_the_same_agree_whatever_their_clocks_say() {
        let repeated = [entry(1, 110), entry(1, 111), entry(2, 210)];
        let (agree, found) = kinds(&[entry(1, 100), entry(2, 199)], &repeated);
        assert_eq!((agree, found.len()), (2, 0));
        let outside = kinds(&[entry(1, 99), entry(2, 200)], &[]);
        assert_eq!((outside.0, outside.1.len()), (0, 0));
        assert!(side(&[]).is_empty() && side(&repeated).len() == 2);
    }

    #[test]
    fn what_one_side_has_alone_and_what_differs_is_named() {
        use DifferenceKind::{Differs, OnlyAnswered, OnlyAsked};
        let asked = [entry(1, 110), entry(2, 120), entry(3, 130), entry(4, 140)];
        let mut other_batch = entry(2, 120);
        other_batch.batch = [9; 32];
        let mut other_purpose = entry(3, 130);
        other_purpose.purpose = Purpose::Collection;
        let mut other_elements = entry(4, 140);
        other_elements.elements = 4;
        let answered = [other_batch, other_purpose, other_elements, entry(5, 150)];
        let (agree, found) = kinds(&asked, &answered);
        assert_eq!(agree, 0);
        let wanted = [
            (OnlyAsked, 1),
            (Differs, 2),
            (Differs, 3),
            (Differs, 4),
            (OnlyAnswered, 5),
        ];
        assert_eq!(found, wanted);
        let mut other_epoch = entry(1, 110);
        other_epoch.epoch = Epoch(2);
        assert_eq!(kinds(&[entry(1, 110)], &[other_epoch]).1, [(Differs, 1)]);
    }
}
