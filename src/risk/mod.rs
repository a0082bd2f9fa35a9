//! What follows from what the members answered: counts as intervals, flags, outcome. Pure.

mod amounts;
mod counts;
mod decay;
mod explain;
mod facts;
pub mod fishing;
mod flags;
mod policy;
mod proven;
mod quarantine;
mod trust;
mod view;
mod votes;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Answer, AnswerBands, CountName, Coverage, Flag, FlagCode, FlagState, Interval, Outcome,
    QueryId, Severity, Timestamp,
};
pub use decay::Decaying;
use flags::{Counts, Raised};
pub use policy::{Exposure, MultiBorrowing, Policy, PolicyError, Stacking, Velocity};
pub use proven::{Proven, proven};
pub use quarantine::{Against, BASE_MONTHS, Jump, filing_jump};
pub use trust::{believed, weight_per_mille};
pub use view::{AskerContext, PeerStanding, PeerView, Seen};
use witness::{Bench, Witness};

/// What is concluded about a borrower at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// The moment for which it holds.
    pub as_of: Timestamp,
    /// How much of the network it covers.
    pub coverage: Coverage,
    /// The counts.
    pub counts: BTreeMap<CountName, Interval>,
    /// Amounts and arrears.
    pub bands: AnswerBands,
    /// The flags, in the order of their codes.
    pub flags: Vec<Flag>,
    /// What the policy suggests.
    pub outcome: Outcome,
    /// Until when it may be used.
    pub valid_until: Timestamp,
    /// What each flag rests on, and what could change it.
    pub explanation: Vec<String>,
}

impl Conclusion {
    /// The answer to a query, without a score.
    #[must_use]
    pub fn into_answer(self, query_id: QueryId) -> Answer {
        Answer {
            query_id,
            as_of: self.as_of,
            coverage: self.coverage,
            counts: self.counts,
            bands: self.bands,
            flags: self.flags,
            outcome: self.outcome,
            score: None,
            valid_until: self.valid_until,
            explanation: self.explanation,
        }
    }
}

/// What follows from the answers of the other members. It depends on nothing else, not on the
/// order of `peers` either, and takes any summary that decodes.
#[must_use]
pub fn conclude(
    policy: &Policy,
    asker: &AskerContext,
    peers: &[PeerView],
    now: Timestamp,
) -> Conclusion {
    let witnesses = witness::summon(policy, asker, peers, now);
    conclude_from(policy, asker, &witnesses, now)
}

/// The same from facts, which a test can make of exact records.
fn conclude_from(
    policy: &Policy,
    asker: &AskerContext,
    witnesses: &[Witness],
    now: Timestamp,
) -> Conclusion {
    let bench = Bench {
        policy,
        asker,
        own_group: asker.group_code(),
        witnesses: witnesses.iter().collect(),
        now,
    };
    let counts = counts::count_all(&bench);
    let mut raised = flags::raise_all(&bench, &counts);
    votes::weigh(&bench, &mut raised);
    let rests_on_one = resting_on_one(&bench, &raised);
    let coverage = bench.coverage();
    let outcome = outcome(policy, &coverage, &raised, &rests_on_one);
    let explanation = explain::lines(&bench, &coverage, &raised, &rests_on_one, outcome);
    Conclusion {
        as_of: now,
        counts: intervals(&counts),
        bands: AnswerBands {
            currency: asker.bands.currency,
            exposure: amounts::exposure(&bench),
            instalments: amounts::instalments(&bench),
            worst_arrears: amounts::worst_arrears(&bench),
        },
        flags: raised.into_iter().map(|one| one.flag).collect(),
        outcome,
        coverage,
        valid_until: now.plus(policy.answer_valid),
        explanation,
    }
}

fn intervals(counts: &Counts) -> BTreeMap<CountName, Interval> {
    counts
        .iter()
        .map(|(name, counted)| (*name, counted.interval))
        .collect()
}

/// The critical flags that rest on a single member: it alone would raise them as critical, and
/// without it the others would not.
fn resting_on_one(bench: &Bench<'_>, raised: &[Raised]) -> BTreeSet<FlagCode> {
    let critical = |raised: &[Raised]| -> BTreeSet<FlagCode> {
        raised
            .iter()
            .filter(|one| one.flag.holds_at(Severity::Critical))
            .map(|one| one.flag.code)
            .collect()
    };
    let all = critical(raised);
    let mut on_one = BTreeSet::new();
    if all.is_empty() {
        return on_one;
    }
    let raised_by = |witnesses: Vec<&Witness>| {
        let part = bench.with(witnesses);
        critical(&flags::raise_all(&part, &counts::count_all(&part)))
    };
    for (at, witness) in bench.witnesses.iter().enumerate() {
        if witness.national.is_none() {
            continue;
        }
        let alone = raised_by(vec![witness]);
        if alone.is_empty() {
            continue;
        }
        let others = bench.witnesses.iter().enumerate();
        let others = others.filter(|(other, _)| *other != at);
        let without = raised_by(others.map(|(_, one)| *one).collect());
        on_one.extend(
            all.iter()
                .filter(|code| alone.contains(code) && !without.contains(code)),
        );
    }
    on_one
}

/// Whether a dispute keeps something from being told that would need a person to look: until it is
/// decided, nothing automated rests on the record, and neither does an ALLOW rest on its absence.
fn rests_on_dispute(raised: &[Raised]) -> bool {
    let mut flags = raised.iter().map(|one| &one.flag);
    let disputed = |flag: &Flag| flag.code == FlagCode::Dp && flag.state == FlagState::True;
    flags.clone().any(disputed) && flags.any(|flag| flag.could_reach(Severity::High))
}

/// The outcome, by the rules of `docs/flags.md`.
fn outcome(
    policy: &Policy,
    coverage: &Coverage,
    raised: &[Raised],
    rests_on_one: &BTreeSet<FlagCode>,
) -> Outcome {
    let flags = || raised.iter().map(|one| &one.flag);
    let restricts = |one: &Raised| {
        one.flag.holds_at(Severity::Critical)
            && !rests_on_one.contains(&one.flag.code)
            && one.votes.is_some_and(votes::Votes::restricts)
    };
    if raised.iter().any(restricts) {
        Outcome::Restrict
    } else if flags().any(|flag| flag.holds_at(Severity::High)) || rests_on_dispute(raised) {
        Outcome::Review
    } else if !coverage.reaches(policy.coverage_least_per_mille) {
        Outcome::Inconclusive
    } else if !coverage.reaches(policy.coverage_good_per_mille)
        && flags().any(|flag| flag.could_reach(Severity::High))
    {
        Outcome::Review
    } else {
        Outcome::Allow
    }
}

#[cfg(test)]
mod tests;
