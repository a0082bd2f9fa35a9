//! Selective default: late at one lender, soon after signing, and current at all others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Raised, Step};
use crate::domain::{FlagCode, FlagState, GroupCode, LoanStage, Severity};
use crate::limits::SELECTIVE_DEFAULT_DAYS;
use crate::risk::facts::{Facts, Link, LoanFact, Sure};
use crate::risk::witness::Bench;

/// How the borrower pays at one lender group.
#[derive(Clone, Default)]
struct Pays {
    /// 60 days past due or more.
    late: Option<Sure>,
    /// So on a loan signed in the last 180 days.
    late_young: Option<Sure>,
    /// 30 days past due or more.
    behind: Option<Sure>,
    /// A loan that runs and is less than 30 days past due.
    current: Option<Sure>,
    reporters: BTreeSet<usize>,
}

fn note(known: &mut Option<Sure>, sure: Sure) {
    *known = Some(known.map_or(sure, |known| known.max(sure)));
}

fn is(known: Option<Sure>) -> Sure {
    known.unwrap_or(Sure::No)
}

/// What is known of all groups.
#[derive(Default)]
struct Picture {
    groups: BTreeMap<GroupCode, Pays>,
    could_change: BTreeSet<usize>,
    /// Something late may not be told.
    open: bool,
    /// Some loan that is owed is not told.
    partial: bool,
}

pub(super) fn default(bench: &Bench<'_>) -> Raised {
    let mut picture = Picture::default();
    for (at, witness) in bench.witnesses.iter().enumerate() {
        if let Some(facts) = &witness.national {
            picture.add(facts, at, bench);
        }
        if !bench.hears_at(witness, false) {
            picture.open = true;
            picture.could_change.insert(at);
        }
    }
    let (state, reporters) = picture.judge();
    let step = Step::bare(Severity::Medium, state, "SD1").on_any_of(&reporters);
    Raised::of(FlagCode::Sd, vec![step], reporters, picture.could_change)
}

impl Picture {
    fn add(&mut self, facts: &Facts, at: usize, bench: &Bench<'_>) {
        let untold = &facts.untold;
        let told = [untold.defaults, untold.delinquent, untold.delinquent_60];
        if told.iter().any(|missed| !missed.is_nothing()) {
            self.open = true;
            self.could_change.insert(at);
        }
        self.partial |= untold.owed_loans || !untold.active.is_nothing();
        let others = facts
            .loans
            .iter()
            .filter(|one| one.group != bench.own_group);
        for loan in others {
            self.add_loan(loan, at, bench);
        }
    }

    fn add_loan(&mut self, loan: &LoanFact, at: usize, bench: &Bench<'_>) {
        let pays = self.groups.entry(loan.group).or_default();
        // A disputed loan says nothing; a transferred one may be another's.
        let limit = if loan.disputed || loan.link != Link::None {
            Sure::Maybe
        } else {
            Sure::Yes
        };
        let late = loan.stage.is_default() || loan.stage.is_delinquent_60();
        let behind = late || loan.stage.is_delinquent();
        if late {
            let window = Duration::from_secs(SELECTIVE_DEFAULT_DAYS * 86_400);
            let young = if loan.stage.is_account() {
                loan.signed.within(window, bench.now)
            } else {
                Sure::Maybe
            };
            note(&mut pays.late, limit);
            note(&mut pays.late_young, young.and(limit));
        }
        if behind {
            note(&mut pays.behind, limit);
            pays.reporters.insert(at);
        }
        if loan.stage == LoanStage::Below30 {
            note(&mut pays.current, limit);
        }
    }

    /// Whether the flag holds, and who reports the loan that is late.
    fn judge(&self) -> (FlagState, BTreeSet<usize>) {
        let none = BTreeSet::new;
        let behind = self
            .groups
            .values()
            .filter(|one| is(one.behind) == Sure::Yes);
        if behind.count() >= 2 {
            return (FlagState::False, none());
        }
        let mut best = (Sure::No, none());
        for (group, pays) in &self.groups {
            let sure = self.is_selective(*group, pays);
            if sure > best.0 {
                best = (sure, pays.reporters.clone());
            }
        }
        match (best, self.open) {
            ((Sure::Yes, reporters), false) => (FlagState::True, reporters),
            ((Sure::No, _), false) => (FlagState::False, none()),
            ((Sure::Yes | Sure::Maybe | Sure::No, _), _) => (FlagState::Unknown, none()),
        }
    }

    /// How sure it is that the borrower is late at this group and pays at all others, by what is
    /// told.
    fn is_selective(&self, group: GroupCode, pays: &Pays) -> Sure {
        let untold = if self.partial { Sure::Maybe } else { Sure::No };
        let young = is(pays.late_young).max(untold.and(is(pays.late)));
        let others = || self.groups.iter().filter(|(other, _)| **other != group);
        let not_behind = others().map(|(_, one)| match is(one.behind) {
            Sure::Yes => Sure::No,
            Sure::Maybe => Sure::Maybe,
            Sure::No => Sure::Yes,
        });
        let current = others().map(|(_, one)| is(one.current)).max();
        is(pays.late)
            .and(young)
            .and(not_behind.min().unwrap_or(Sure::Yes))
            .and(current.unwrap_or(Sure::No).max(untold))
    }
}
