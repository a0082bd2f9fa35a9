//! What is owed and paid elsewhere, as spans of amounts, and how late the borrower has been.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::facts::{Facts, HoldFact, Link, LoanFact, Sure};
use super::witness::{Bench, Witness};
use crate::domain::{AmountSpan, Arrears, ArrearsSpan, GroupCode, Level};

/// Loans signed this recently are growth.
const GROWTH: Duration = Duration::from_secs(30 * 86_400);

/// Months for which the worst arrears are told.
const ARREARS_MONTHS: [u8; 4] = [3, 6, 12, 24];

/// Which part of what is owed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    New,
    Old,
}

/// Growth of what is owed, by loans signed in the last 30 days.
pub(crate) struct Growth {
    pub(crate) new: AmountSpan,
    pub(crate) old: AmountSpan,
    /// Whether some group lends only since then.
    pub(crate) new_lender: Sure,
}

/// What is owed elsewhere, live holds included.
pub(crate) fn exposure(bench: &Bench<'_>) -> AmountSpan {
    owed(bench, Part::All)
}

pub(crate) fn growth(bench: &Bench<'_>) -> Growth {
    Growth {
        new: owed(bench, Part::New),
        old: owed(bench, Part::Old),
        new_lender: new_lender(bench),
    }
}

/// How sure it is that something signed then belongs to the part.
fn belongs(part: Part, signed: super::facts::Span, bench: &Bench<'_>) -> Sure {
    match (part, signed.within(GROWTH, bench.now)) {
        (Part::All, _) => Sure::Yes,
        (Part::New, sure) => sure,
        (Part::Old, Sure::Yes) => Sure::No,
        (Part::Old, Sure::Maybe) => Sure::Maybe,
        (Part::Old, Sure::No) => Sure::Yes,
    }
}

fn weighted(amount: AmountSpan, sure: Sure) -> AmountSpan {
    match sure {
        Sure::Yes => amount,
        Sure::Maybe => amount.possible(),
        Sure::No => AmountSpan::ZERO,
    }
}

fn loan_amount(loan: &LoanFact, part: Part, bench: &Bench<'_>) -> AmountSpan {
    let undisputed = if loan.disputed {
        Sure::Maybe
    } else {
        Sure::Yes
    };
    let owed = Sure::of(loan.stage.is_owed());
    let sure = belongs(part, loan.signed, bench).and(undisputed).and(owed);
    weighted(loan.outstanding, sure)
}

/// What is surely owed to each group by the word of one member, or of all.
type ByGroup = BTreeMap<GroupCode, u64>;

/// Of one group that two members report, `lo` is the larger and `hi` the sum: the two may speak of
/// the same loans. What links take away from `lo` cannot exceed what is reported under links:
/// nobody lowers by an invented link what others report without one.
fn owed(bench: &Bench<'_>, part: Part) -> AmountSpan {
    let (mut lo_by_group, mut unlinked_by_group) = (ByGroup::new(), ByGroup::new());
    let mut total = AmountSpan::ZERO;
    for witness in &bench.witnesses {
        if let Some(facts) = &witness.national {
            let (by_group, hi_minor) = owed_at(facts, part, bench);
            keep_larger(&mut lo_by_group, by_group);
            keep_larger(&mut unlinked_by_group, owed_unlinked(facts, part, bench));
            total = total.plus(AmountSpan {
                lo_minor: 0,
                hi_minor,
            });
        }
        if !bench.hears_at(witness, false) {
            total = total.plus(silent_exposure(witness, bench));
        }
    }
    let lo = sum(&lo_by_group).saturating_sub(counted_twice(bench));
    AmountSpan {
        lo_minor: lo.max(sum(&unlinked_by_group)),
        ..total
    }
}

fn keep_larger(known: &mut ByGroup, said: ByGroup) {
    for (group, lo) in said {
        let most = known.entry(group).or_default();
        *most = lo.max(*most);
    }
}

fn sum(by_group: &ByGroup) -> u64 {
    by_group.values().fold(0, |sum, lo| sum.saturating_add(*lo))
}

/// The loans without a link, and the holds.
fn owed_unlinked(facts: &Facts, part: Part, bench: &Bench<'_>) -> ByGroup {
    let mut lo = ByGroup::new();
    let mut add = |group: GroupCode, amount: AmountSpan| {
        if group != bench.own_group {
            let sum = lo.entry(group).or_default();
            *sum = sum.saturating_add(amount.lo_minor);
        }
    };
    for loan in facts.loans.iter().filter(|loan| loan.link == Link::None) {
        add(loan.group, loan_amount(loan, part, bench));
    }
    for hold in &facts.holds {
        add(hold.group, hold_amount(hold, part, bench));
    }
    lo
}

fn hold_amount(hold: &HoldFact, part: Part, bench: &Bench<'_>) -> AmountSpan {
    let sure = hold.live(bench.now).and(belongs(part, hold.signed, bench));
    weighted(hold.amount, sure)
}

fn owed_at(facts: &Facts, part: Part, bench: &Bench<'_>) -> (ByGroup, Option<u64>) {
    let mut lo = ByGroup::new();
    let mut add = |group: GroupCode, amount: AmountSpan| {
        let sum = lo.entry(group).or_default();
        *sum = sum.saturating_add(amount.lo_minor);
    };
    let mut listed = AmountSpan::ZERO;
    for loan in facts
        .loans
        .iter()
        .filter(|loan| loan.group != bench.own_group)
    {
        let amount = loan_amount(loan, part, bench);
        add(loan.group, amount);
        listed = listed.plus(amount);
    }
    let known = AmountSpan {
        lo_minor: 0,
        ..facts.exposure
    };
    let mut total = if facts.untold.owed_loans {
        known
    } else {
        listed.hi_at_most(facts.exposure.hi_minor)
    };
    if let Some(group) = only_group(facts)
        && group != bench.own_group
        && part == Part::All
        && !facts.disputed
    {
        let sum = lo.entry(group).or_default();
        *sum = facts.exposure.lo_minor.max(*sum);
    }
    for hold in facts
        .holds
        .iter()
        .filter(|hold| hold.group != bench.own_group)
    {
        let amount = hold_amount(hold, part, bench);
        let sum = lo.entry(hold.group).or_default();
        *sum = sum.saturating_add(amount.lo_minor);
        total = total.plus(amount);
    }
    (lo, total.hi_minor.filter(|_| !facts.amounts_missing))
}

/// The one group to which all that is owed belongs, if it is one.
fn only_group(facts: &Facts) -> Option<GroupCode> {
    let owed = facts.loans.iter().filter(|loan| loan.stage.is_owed());
    let groups: BTreeSet<GroupCode> = owed.map(|loan| loan.group).collect();
    let whole = facts.untold.active.is_nothing() && facts.untold.defaults.is_nothing();
    let only = groups.first().copied().filter(|_| groups.len() == 1);
    only.filter(|_| whole)
}

/// What loans reported under one link by two groups add to `lo` more than once.
fn counted_twice(bench: &Bench<'_>) -> u64 {
    let mut linked: BTreeMap<[u8; 8], Vec<&LoanFact>> = BTreeMap::new();
    let facts = bench
        .witnesses
        .iter()
        .filter_map(|one| one.national.as_ref());
    for loan in facts.flat_map(|facts| &facts.loans) {
        if let Link::Known(link) = loan.link
            && loan.stage.is_owed()
            && loan.group != bench.own_group
        {
            linked.entry(link).or_default().push(loan);
        }
    }
    let mut twice = 0_u64;
    for loans in linked.values() {
        let groups: BTreeSet<GroupCode> = loans.iter().map(|loan| loan.group).collect();
        let highs = loans
            .iter()
            .map(|loan| loan.outstanding.hi_minor.unwrap_or(u64::MAX));
        let further = u64::try_from(groups.len().saturating_sub(1)).unwrap_or(u64::MAX);
        twice = twice.saturating_add(highs.min().unwrap_or(0).saturating_mul(further));
    }
    twice
}

/// What may be owed at a member that was not heard; an assumption of the policy.
fn silent_exposure(witness: &Witness, bench: &Bench<'_>) -> AmountSpan {
    if !bench.amounts_compare() {
        return AmountSpan::ANY;
    }
    let cap = bench.policy.silent_exposure_minor;
    let groups = if witness.is_bureau {
        u64::from(bench.policy.silent_bureau_groups)
    } else {
        1
    };
    AmountSpan {
        lo_minor: 0,
        hi_minor: cap.checked_mul(groups),
    }
}

/// Whether some group certainly, or possibly, lends only since the growth window began.
fn new_lender(bench: &Bench<'_>) -> Sure {
    let mut new: BTreeMap<GroupCode, Sure> = BTreeMap::new();
    let mut old: BTreeMap<GroupCode, Sure> = BTreeMap::new();
    let note = |map: &mut BTreeMap<GroupCode, Sure>, group: GroupCode, sure: Sure| {
        let known = map.entry(group).or_insert(Sure::No);
        *known = sure.max(*known);
    };
    let mut unheard = false;
    for witness in &bench.witnesses {
        unheard |= !bench.hears_at(witness, false);
        let Some(facts) = &witness.national else {
            continue;
        };
        unheard |= facts.untold.owed_loans || !facts.untold.holds.is_nothing();
        for loan in facts.loans.iter().filter(|loan| loan.stage.is_owed()) {
            let limit = if loan.disputed {
                Sure::Maybe
            } else {
                Sure::Yes
            };
            let is_new = belongs(Part::New, loan.signed, bench);
            let is_old = belongs(Part::Old, loan.signed, bench);
            note(&mut new, loan.group, is_new.and(limit));
            note(&mut old, loan.group, is_old.and(limit));
        }
        for hold in &facts.holds {
            let live = hold.live(bench.now);
            note(
                &mut new,
                hold.group,
                live.and(belongs(Part::New, hold.signed, bench)),
            );
        }
    }
    let others = new.iter().filter(|(group, _)| **group != bench.own_group);
    let known = others
        .map(|(group, is_new)| match old.get(group) {
            Some(Sure::Yes) => Sure::No,
            Some(Sure::Maybe) => Sure::Maybe.and(*is_new),
            Some(Sure::No) | None => *is_new,
        })
        .max()
        .unwrap_or(Sure::No);
    match (known, unheard) {
        (Sure::No, true) => Sure::Maybe,
        // A group whose older loans were not told may be no new lender.
        (Sure::Yes, true) if bench.witnesses.iter().any(|one| tells_in_part(one)) => Sure::Maybe,
        (sure, _) => sure,
    }
}

fn tells_in_part(witness: &Witness) -> bool {
    let facts = witness.national.as_ref();
    facts.is_some_and(|facts| facts.untold.owed_loans)
}

/// What is paid elsewhere each month.
pub(crate) fn instalments(bench: &Bench<'_>) -> AmountSpan {
    let mut lo_by_group: BTreeMap<GroupCode, u64> = BTreeMap::new();
    let mut total = AmountSpan::ZERO;
    for witness in &bench.witnesses {
        if let Some(facts) = &witness.national {
            let only = only_group(facts);
            if only == Some(bench.own_group) {
                continue;
            }
            if let Some(group) = only.filter(|_| !facts.disputed) {
                let most = lo_by_group.entry(group).or_default();
                *most = facts.instalment.lo_minor.max(*most);
            }
            let hi_minor = facts.instalment.hi_minor.filter(|_| !facts.amounts_missing);
            total = total.plus(AmountSpan {
                lo_minor: 0,
                hi_minor,
            });
        }
        if !bench.hears_at(witness, false) {
            total = total.plus(AmountSpan::ANY);
        }
    }
    AmountSpan {
        lo_minor: lo_by_group
            .values()
            .fold(0_u64, |sum, lo| sum.saturating_add(*lo)),
        ..total
    }
}

/// The worst arrears elsewhere in each of the last months told.
pub(crate) fn worst_arrears(bench: &Bench<'_>) -> BTreeMap<u8, ArrearsSpan> {
    ARREARS_MONTHS
        .iter()
        .map(|months| (*months, worst_within(u32::from(*months), bench)))
        .collect()
}

fn worst_within(months: u32, bench: &Bench<'_>) -> ArrearsSpan {
    let today = bench.now.day();
    let mut worst = ArrearsSpan {
        lo: Arrears::Below30,
        hi: Arrears::Below30,
    };
    // Defaults are all that an asker at defaults level is told.
    if bench.asker.level == Level::Defaults && !bench.witnesses.is_empty() {
        worst.hi = Arrears::From60;
    }
    for witness in &bench.witnesses {
        if !bench.hears_at(witness, false) {
            worst.hi = Arrears::From90;
        }
        let Some(facts) = &witness.national else {
            continue;
        };
        let days = facts.last_arrears;
        let steps = [
            (days.d30, Arrears::From30),
            (days.d60, Arrears::From60),
            (days.d90, Arrears::From90),
        ];
        for (day, arrears) in steps {
            if day.is_none_or(|day| day.day().plus_months(months) < today) {
                continue;
            }
            if facts.source != bench.own_group {
                worst.hi = worst.hi.max(arrears);
            }
            if facts.source != bench.own_group && facts.source != GroupCode::SEVERAL {
                worst.lo = worst.lo.max(arrears);
            }
        }
    }
    worst
}
