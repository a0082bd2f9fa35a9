//! The flags that rest on what members tell as such: signals, cures, disputes, and on how many
//! members told anything.

use std::collections::BTreeSet;

use super::{Raised, Step, by_all};
use crate::domain::{FlagCode, FlagState, GroupCode, LastArrears, Severity, SignalMark};
use crate::risk::facts::{Facts, Sure};
use crate::risk::witness::Bench;

/// Whether something that a member tells of a group is another's than the asker's.
fn is_of_others(facts: &Facts, asker_tells_it_too: bool, bench: &Bench<'_>) -> Sure {
    if facts.source == bench.own_group {
        Sure::No
    } else if facts.source == GroupCode::SEVERAL && asker_tells_it_too {
        Sure::Maybe
    } else {
        Sure::Yes
    }
}

const fn is_told_at_defaults(mark: SignalMark) -> bool {
    matches!(
        mark,
        SignalMark::FirstPaymentDefault | SignalMark::Default | SignalMark::ChargeOff
    )
}

const fn state_of(sure: Sure) -> FlagState {
    match sure {
        Sure::Yes => FlagState::True,
        Sure::Maybe => FlagState::Unknown,
        Sure::No => FlagState::False,
    }
}

/// A flag on signals: it holds if a member that is not the asker reports one.
pub(super) fn signalled(
    bench: &Bench<'_>,
    code: FlagCode,
    marks: &[(Severity, SignalMark, &str)],
) -> Raised {
    let (mut reporters, mut could_change) = (BTreeSet::new(), BTreeSet::new());
    let mut steps = Vec::new();
    for (severity, mark, reason) in marks {
        let mut telling = BTreeSet::new();
        let own = bench.asker.own.as_ref();
        let own_has_it = own.is_some_and(|own| own.signals.contains(*mark));
        let mut sure = Sure::No;
        for (at, witness) in bench.witnesses.iter().enumerate() {
            let told = witness.national.as_ref();
            if let Some(facts) = told.filter(|facts| facts.signals.contains(*mark)) {
                let others = is_of_others(facts, own_has_it, bench);
                sure = sure.max(others);
                if others == Sure::Yes {
                    telling.insert(at);
                }
            }
            if !bench.hears_at(witness, is_told_at_defaults(*mark)) {
                sure = sure.max(Sure::Maybe);
                could_change.insert(at);
            }
        }
        steps.push(Step::bare(*severity, state_of(sure), reason).on_any_of(&telling));
        reporters.extend(telling);
    }
    Raised::of(code, steps, reporters, could_change)
}

pub(super) fn by_signals(bench: &Bench<'_>) -> [Raised; 4] {
    [
        signalled(
            bench,
            FlagCode::Rs,
            &[
                (Severity::Info, SignalMark::Forbearance, "RSF"),
                (Severity::Medium, SignalMark::Restructured, "RS1"),
                (Severity::High, SignalMark::Insolvency, "RSI"),
            ],
        ),
        signalled(
            bench,
            FlagCode::Fr,
            &[(Severity::Critical, SignalMark::FraudConfirmed, "FR1")],
        ),
        signalled(
            bench,
            FlagCode::Vi,
            &[
                (Severity::Info, SignalMark::FraudVictim, "VIV"),
                (Severity::Info, SignalMark::Protective, "VIP"),
                (Severity::Info, SignalMark::Deceased, "VID"),
            ],
        ),
        signalled(
            bench,
            FlagCode::Lc,
            &[(Severity::Medium, SignalMark::LostContact, "LC1")],
        ),
    ]
}

pub(super) fn recent_cure(bench: &Bench<'_>) -> Raised {
    let today = bench.now.day();
    let own_cure = bench.asker.own.as_ref().and_then(|own| own.cured_on);
    let (medium, low) = bench.policy.recent_cure_months;
    let steps = [(medium, Severity::Medium), (low, Severity::Low)].map(|(months, severity)| {
        let mut sure = Sure::No;
        for witness in &bench.witnesses {
            if let Some(facts) = &witness.national
                && let Some(cured_on) = facts.cured_on
                && cured_on.plus_months(months) >= today
            {
                let own = own_cure.is_some_and(|day| day.day() == cured_on);
                sure = sure.max(is_of_others(facts, own, bench));
            }
            if !bench.hears_at(witness, true) {
                sure = sure.max(Sure::Maybe);
            }
        }
        Step::bare(severity, state_of(sure), &format!("RC{months:02}"))
    });
    by_all(bench, FlagCode::Rc, steps.into(), |facts| {
        facts.cured_on.is_some()
    })
}

/// Whether a member tells anything of another group than the asker's.
fn tells_of_others(facts: &Facts, bench: &Bench<'_>) -> bool {
    let other = |group: GroupCode| group != bench.own_group;
    let tells_of_source = !facts.signals.is_empty()
        || facts.cured_on.is_some()
        || facts.last_arrears != LastArrears::default();
    facts.applications.iter().any(|one| other(one.group))
        || facts.loans.iter().any(|one| other(one.group))
        || facts.holds.iter().any(|one| other(one.group))
        || tells_of_source && other(facts.source)
        || facts.disputed && other(facts.source)
}

pub(super) fn thin(bench: &Bench<'_>) -> Raised {
    let hit = bench
        .witnesses
        .iter()
        .filter_map(|one| one.national.as_ref())
        .any(|facts| tells_of_others(facts, bench));
    let state = if hit {
        FlagState::False
    } else if bench
        .coverage()
        .reaches(bench.policy.coverage_good_per_mille)
    {
        FlagState::True
    } else {
        FlagState::Unknown
    };
    let step = Step::bare(Severity::Info, state, "TH1");
    by_all(bench, FlagCode::Th, vec![step], |_| false)
}

pub(super) fn coverage(bench: &Bench<'_>) -> Raised {
    let coverage = bench.coverage();
    let steps = [
        (bench.policy.coverage_good_per_mille, Severity::Low),
        (bench.policy.coverage_least_per_mille, Severity::Medium),
    ]
    .map(|(per_mille, severity)| {
        let state = if coverage.reaches(per_mille) {
            FlagState::False
        } else {
            FlagState::True
        };
        Step::bare(severity, state, &format!("CV{:02}", per_mille / 10))
    });
    by_all(bench, FlagCode::Cv, steps.into(), |_| false)
}

pub(super) fn stale(bench: &Bench<'_>) -> Raised {
    let state = if bench.witnesses.iter().any(|one| one.stale) {
        FlagState::True
    } else {
        FlagState::False
    };
    let step = Step::bare(Severity::Low, state, "SA1");
    by_all(bench, FlagCode::Sa, vec![step], |_| false)
}

/// An earlier answer about the borrower changed: this node knows it for certain, whoever is silent.
pub(super) fn revised(bench: &Bench<'_>) -> Raised {
    let state = if bench.asker.revised {
        FlagState::True
    } else {
        FlagState::False
    };
    let step = Step::bare(Severity::Info, state, "RV1");
    Raised::of(FlagCode::Rv, vec![step], BTreeSet::new(), BTreeSet::new())
}

pub(super) fn disputed(bench: &Bench<'_>) -> Raised {
    let told = |facts: &Facts| facts.disputed;
    let facts = bench
        .witnesses
        .iter()
        .filter_map(|one| one.national.as_ref());
    let state = if facts.into_iter().any(told) {
        FlagState::True
    } else if bench.witnesses.iter().all(|one| one.is_heard()) {
        FlagState::False
    } else {
        FlagState::Unknown
    };
    let step = Step::bare(Severity::Info, state, "DP1");
    by_all(bench, FlagCode::Dp, vec![step], told)
}
