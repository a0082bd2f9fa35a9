//! Who is believed: one vote per member and flag, weighed by trust; what too little stands behind
//! counts one step less, and only two independent sources restrict. `docs/aggregation.md`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::flags::Raised;
use super::trust::{CORROBORATED_PER_MILLE, CRITICAL_PER_MILLE};
use super::witness::Bench;
use crate::domain::{Flag, FlagCode, FlagState, GroupCode, Reason, Severity};

/// Most flags that UC names.
const REASONS_MAX: usize = 4;

/// What a threshold rests on: things of which `least` are needed, each with the members that
/// report it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Support {
    pub(crate) units: Vec<BTreeSet<usize>>,
    pub(crate) least: u32,
}

impl Support {
    /// Each of these members would be enough.
    pub(crate) fn any_of(members: &BTreeSet<usize>) -> Self {
        Self {
            units: members.iter().map(|at| BTreeSet::from([*at])).collect(),
            least: 1,
        }
    }
}

/// The weight behind a flag, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Votes {
    /// Of those on whom the threshold turns: all but the best believed that could do without them.
    pub(crate) deciding: u32,
    /// Of all that report it, one vote for each lender group of members.
    pub(crate) total: u32,
    /// How many those are.
    pub(crate) sources: u32,
}

impl Votes {
    pub(crate) const fn corroborates(self) -> bool {
        self.deciding >= CORROBORATED_PER_MILLE
    }

    /// Whether a critical flag with this behind it may restrict.
    pub(crate) const fn restricts(self) -> bool {
        self.corroborates() && self.total >= CRITICAL_PER_MILLE && self.sources >= 2
    }
}

/// Which of a member's weights counts for a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// What it says it did itself: lent, was asked, holds a contract.
    Deed,
    /// What it says about the borrower's conduct.
    Adverse,
    /// Not weighed: it protects the borrower, or is about the answer.
    Unweighed,
}

const fn word(code: FlagCode) -> Word {
    match code {
        FlagCode::Mb
        | FlagCode::Ex
        | FlagCode::Eg
        | FlagCode::Vl
        | FlagCode::St
        | FlagCode::Ca
        | FlagCode::Id => Word::Deed,
        FlagCode::Ad
        | FlagCode::Dq
        | FlagCode::Fp
        | FlagCode::Sd
        | FlagCode::Rc
        | FlagCode::Rs
        | FlagCode::Fr
        | FlagCode::Lc => Word::Adverse,
        FlagCode::Vi
        | FlagCode::Co
        | FlagCode::Th
        | FlagCode::Cv
        | FlagCode::Sa
        | FlagCode::Uc
        | FlagCode::Dp
        | FlagCode::Rv => Word::Unweighed,
    }
}

/// Weighs what stands behind each flag that holds: what is uncorroborated counts one step less.
/// Adds flag UC, which names those.
pub(crate) fn weigh(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    let mut lowered: Vec<Reason> = Vec::new();
    for one in raised.iter_mut() {
        let word = word(one.flag.code);
        if one.flag.state != FlagState::True || word == Word::Unweighed {
            continue;
        }
        let all = one.support.iter();
        let best = all.map(|support| votes(support, word, bench)).max();
        one.votes = best;
        if best.is_some_and(|best| !best.corroborates()) {
            one.flag.severity = one_less(one.flag.severity);
            lowered.push(Reason {
                code: format!("UC-{}", one.flag.code),
                evidence: None,
            });
        }
    }
    lowered.truncate(REASONS_MAX);
    raised.push(Raised::alone(Flag {
        code: FlagCode::Uc,
        state: if lowered.is_empty() {
            FlagState::False
        } else {
            FlagState::True
        },
        severity: Severity::Info,
        up_to: Severity::Info,
        reasons: lowered,
    }));
    raised.sort_by_key(|one| one.flag.code);
}

const fn one_less(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium => Severity::Low,
        Severity::Low | Severity::Info => Severity::Info,
    }
}

/// A threshold of `least` needs so many things: the best believed prove all but the last, and what
/// the others weigh together decides.
fn votes(support: &Support, word: Word, bench: &Bench<'_>) -> Votes {
    let weight = |at: &usize| {
        bench.witnesses.get(*at).map_or(0, |one| match word {
            Word::Deed => one.trust,
            Word::Adverse | Word::Unweighed => one.trust_adverse,
        })
    };
    let mut units: Vec<&BTreeSet<usize>> = support.units.iter().collect();
    units.sort_by_key(|unit| Reverse(unit.iter().map(weight).max()));
    let sum = |units: &[&BTreeSet<usize>]| {
        let mut by_source: BTreeMap<GroupCode, u32> = BTreeMap::new();
        for at in units.iter().copied().flatten() {
            if let Some(witness) = bench.witnesses.get(*at) {
                let vote = by_source.entry(witness.group).or_default();
                *vote = weight(at).max(*vote);
            }
        }
        let total = by_source
            .values()
            .fold(0, |sum: u32, w| sum.saturating_add(*w));
        let sources = by_source.values().filter(|weight| **weight > 0).count();
        (total, u32::try_from(sources).unwrap_or(u32::MAX))
    };
    let proven = usize::try_from(support.least.saturating_sub(1)).unwrap_or(usize::MAX);
    let (deciding, _) = sum(units.get(proven..).unwrap_or_default());
    let (total, sources) = sum(&units);
    Votes {
        deciding,
        total,
        sources,
    }
}
