//! What an auditor sees among opened evaluations: identifiers that no person owns.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Identifier, MemberId, Timestamp};

/// Identifiers that are valid by their rules and that nobody owns. Who asks about one enumerates.
#[derive(Debug, Clone, Default)]
pub struct Canaries(BTreeSet<Identifier>);

impl Canaries {
    /// These.
    #[must_use]
    pub fn of(identifiers: impl IntoIterator<Item = Identifier>) -> Self {
        Self(identifiers.into_iter().collect())
    }
}

/// An evaluation that a member opened to the auditor.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Who asked.
    pub member: MemberId,
    /// Position of the question in the member's audit log.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// The identifier that was evaluated.
    pub identifier: Identifier,
}

/// A member that asked about canaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Who.
    pub member: MemberId,
    /// Openings looked at.
    pub opened: u64,
    /// Positions of the questions about canaries in its audit log, rising.
    pub positions: Vec<u64>,
    /// Different canaries among them.
    pub canaries: u64,
    /// The first of them.
    pub since: Timestamp,
}

impl Touched {
    /// What was seen, in words; without an identifier.
    #[must_use]
    pub fn says(&self) -> String {
        format!(
            "{} of {} opened evaluations of {} were about {} identifiers that no person owns",
            self.positions.len(),
            self.opened,
            self.member,
            self.canaries
        )
    }
}

/// The members that asked about canaries, in the order of their ids; one opening is enough,
/// because no application can name a person who does not exist.
#[must_use]
pub fn touched(openings: &[Opened], canaries: &Canaries) -> Vec<Touched> {
    let mut members: BTreeMap<&MemberId, (u64, Vec<&Opened>)> = BTreeMap::new();
    for opened in openings {
        let (count, hits) = members.entry(&opened.member).or_default();
        *count += 1;
        if canaries.0.contains(&opened.identifier) {
            hits.push(opened);
        }
    }
    let found = members.into_iter().filter_map(|(member, (opened, hits))| {
        let different: BTreeSet<&Identifier> = hits.iter().map(|one| &one.identifier).collect();
        let positions: BTreeSet<u64> = hits.iter().map(|one| one.position).collect();
        Some(Touched {
            member: member.clone(),
            opened,
            positions: positions.into_iter().collect(),
            canaries: u64::try_from(different.len()).unwrap_or(u64::MAX),
            since: hits.iter().map(|one| one.at).min()?,
        })
    });
    found.collect()
}
