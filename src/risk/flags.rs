//! The flags: definitions, thresholds, severities and reason codes of `docs/flags.md`.

mod identity;
mod selective;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use super::amounts::{self, Growth};
use super::counts::Counted;
use super::facts::{Facts, Sure};
use super::trust::CORROBORATED_PER_MILLE;
use super::votes::{Support, Votes};
use super::witness::Bench;
use crate::domain::{
    AmountSpan, CountName, Flag, FlagCode, FlagState, Level, Reason, Severity, SignalMark,
};

/// Most reasons of one flag: as many as a lender may have to tell a borrower.
const REASONS_MAX: usize = 4;

/// A flag, and whom it rests on.
#[derive(Debug, Clone)]
pub(crate) struct Raised {
    pub(crate) flag: Flag,
    /// Members that report what is certain.
    pub(crate) reporters: BTreeSet<usize>,
    /// Members that were not heard in full and could change it.
    pub(crate) could_change: BTreeSet<usize>,
    /// What the thresholds rest on that give it its severity.
    pub(crate) support: Vec<Support>,
    /// The weight behind it, once that was looked at.
    pub(crate) votes: Option<Votes>,
}

impl Raised {
    fn of(
        code: FlagCode,
        steps: Vec<Step>,
        reporters: BTreeSet<usize>,
        could_change: BTreeSet<usize>,
    ) -> Self {
        let (flag, support) = flag_of(code, steps);
        Self {
            flag,
            reporters,
            could_change,
            support,
            votes: None,
        }
    }

    /// A flag that no member reports or could change.
    pub(super) fn alone(flag: Flag) -> Self {
        Self {
            flag,
            reporters: BTreeSet::new(),
            could_change: BTreeSet::new(),
            support: Vec::new(),
            votes: None,
        }
    }
}

/// One threshold of a flag: how grave it is, whether it is reached, and why.
struct Step {
    severity: Severity,
    state: FlagState,
    reason: Reason,
    support: Support,
}

impl Step {
    /// The same step, resting on any one of these members.
    fn on_any_of(self, members: &BTreeSet<usize>) -> Self {
        Self {
            support: Support::any_of(members),
            ..self
        }
    }

    fn bare(severity: Severity, state: FlagState, code: &str) -> Self {
        Self {
            severity,
            state,
            reason: Reason {
                code: code.to_owned(),
                evidence: None,
            },
            support: Support::default(),
        }
    }
}

pub(crate) type Counts = BTreeMap<CountName, Counted>;

/// Every flag that the asker's level shows, in the order of their codes.
pub(crate) fn raise_all(bench: &Bench<'_>, counts: &Counts) -> Vec<Raised> {
    let mut raised = vec![active_default(bench, counts)];
    if bench.asker.level == Level::Full {
        raised.extend([
            multi_borrowing(bench, counts),
            exposure(bench),
            growth(bench),
            velocity(bench, counts),
            stacking(bench, counts),
            concurrent(bench, counts),
            delinquent(counts),
            selective::default(bench),
            identity::inconsistent(bench),
            told::thin(bench),
        ]);
        raised.extend(told::by_signals(bench));
    }
    raised.push(told::signalled(
        bench,
        FlagCode::Fp,
        &[(Severity::High, SignalMark::FirstPaymentDefault, "FP1")],
    ));
    raised.push(told::recent_cure(bench));
    raised.push(told::coverage(bench));
    raised.push(told::stale(bench));
    raised.push(told::disputed(bench));
    raised.push(told::revised(bench));
    raised.sort_by_key(|one| one.flag.code);
    raised
}

/// Puts the steps of a flag together: it holds at the gravest step that is certain, and rests on
/// what gives it that.
fn flag_of(code: FlagCode, steps: Vec<Step>) -> (Flag, Vec<Support>) {
    let gravest = |state: FlagState| {
        let of_state = steps.iter().filter(move |step| step.state == state);
        of_state.map(|step| step.severity).max()
    };
    let (certain, possible) = (gravest(FlagState::True), gravest(FlagState::Unknown));
    let least = steps.iter().map(|step| step.severity).min();
    let (state, severity) = match (certain, possible) {
        (Some(severity), _) => (FlagState::True, severity),
        (None, Some(severity)) => (FlagState::Unknown, severity),
        (None, None) => (FlagState::False, least.unwrap_or(Severity::Info)),
    };
    let gives_it = |step: &&Step| step.state == FlagState::True && step.severity == severity;
    let support = steps.iter().filter(gives_it);
    let support = support.map(|step| step.support.clone()).collect();
    let mut because: Vec<Step> = steps
        .into_iter()
        .filter(|step| step.state == state)
        .collect();
    because.sort_by_key(|step| std::cmp::Reverse(step.severity));
    let mut reasons: Vec<Reason> = Vec::new();
    for step in because {
        let said = reasons.iter().any(|reason| reason.code == step.reason.code);
        if state != FlagState::False && !said && reasons.len() < REASONS_MAX {
            reasons.push(step.reason);
        }
    }
    let flag = Flag {
        code,
        state,
        severity,
        up_to: possible.map_or(severity, |possible| possible.max(severity)),
        reasons,
    };
    (flag, support)
}

fn counted(counts: &Counts, name: CountName) -> Counted {
    counts.get(&name).cloned().unwrap_or_default()
}

/// A step on a count. The code ends with the number that is certain, or that could be reached.
fn count_step(
    counts: &Counts,
    name: CountName,
    threshold: u32,
    severity: Severity,
    code: impl Fn(u32) -> String,
) -> Step {
    let counted = counted(counts, name);
    let interval = counted.interval;
    let state = interval.reaches(threshold);
    let number = if state == FlagState::True {
        interval.lo
    } else {
        threshold
    };
    Step {
        severity,
        state,
        reason: Reason {
            code: code(number),
            evidence: Some((name, interval)),
        },
        support: Support {
            units: counted.units,
            least: threshold,
        },
    }
}

/// A flag on these counts.
fn raised_by(code: FlagCode, counts: &Counts, names: &[CountName], steps: Vec<Step>) -> Raised {
    let (mut reporters, mut could_change) = (BTreeSet::new(), BTreeSet::new());
    for name in names {
        let counted = counted(counts, *name);
        reporters.extend(counted.reporters());
        could_change.extend(counted.could_add);
    }
    Raised::of(code, steps, reporters, could_change)
}

fn multi_borrowing(bench: &Bench<'_>, counts: &Counts) -> Raised {
    let name = CountName::ActiveLenderGroups;
    let limits = &bench.policy.multi_borrowing;
    let steps = [
        (limits.low, Severity::Low),
        (limits.medium, Severity::Medium),
        (limits.high, Severity::High),
    ]
    .map(|(least, severity)| count_step(counts, name, least, severity, |n| format!("MB{n:02}")));
    raised_by(FlagCode::Mb, counts, &[name], steps.into())
}

fn velocity(bench: &Bench<'_>, counts: &Counts) -> Raised {
    let mut steps = Vec::new();
    let mut names = Vec::new();
    for (name, medium) in bench.policy.velocity.medium {
        let window = name.word().trim_start_matches("hard_applications_");
        let window = match window {
            "24h" => "24H",
            "7d" => "07",
            days => days.trim_end_matches('d'),
        };
        let high = medium.saturating_mul(bench.policy.velocity.high_factor);
        for (least, severity) in [(medium, Severity::Medium), (high, Severity::High)] {
            let code = |n| format!("VL{window}-{n:02}");
            steps.push(count_step(counts, name, least, severity, code));
        }
        names.push(name);
    }
    raised_by(FlagCode::Vl, counts, &names, steps)
}

fn stacking(bench: &Bench<'_>, counts: &Counts) -> Raised {
    let limits = &bench.policy.stacking;
    let hours = CountName::SignedGroups72h;
    let days = CountName::SignedGroups15d;
    let in_days = |n| format!("ST15-{n:02}");
    let steps = vec![
        count_step(
            counts,
            hours,
            limits.critical_72h,
            Severity::Critical,
            |n| format!("ST72H-{n:02}"),
        ),
        count_step(
            counts,
            days,
            limits.critical_15d,
            Severity::Critical,
            in_days,
        ),
        count_step(counts, days, limits.high_15d, Severity::High, in_days),
    ];
    raised_by(FlagCode::St, counts, &[hours, days], steps)
}

fn concurrent(bench: &Bench<'_>, counts: &Counts) -> Raised {
    let name = CountName::ConcurrentGroups72h;
    let (medium, high) = bench.policy.concurrent;
    let steps = [(medium, Severity::Medium), (high, Severity::High)].map(|(least, severity)| {
        count_step(counts, name, least, severity, |n| format!("CA{n:02}"))
    });
    raised_by(FlagCode::Ca, counts, &[name], steps.into())
}

fn active_default(bench: &Bench<'_>, counts: &Counts) -> Raised {
    let name = CountName::ActiveDefaults;
    let (high, critical) = bench.policy.active_default;
    let steps = [(high, Severity::High), (critical, Severity::Critical)]
        .map(|(least, severity)| count_step(counts, name, least, severity, |n| format!("AD{n}")));
    raised_by(FlagCode::Ad, counts, &[name], steps.into())
}

fn delinquent(counts: &Counts) -> Raised {
    let from_30 = CountName::DelinquentGroups;
    let from_60 = CountName::Delinquent60Groups;
    let steps = vec![
        count_step(counts, from_30, 1, Severity::Medium, |_| "DQ30".to_owned()),
        count_step(counts, from_60, 1, Severity::High, |_| "DQ60".to_owned()),
    ];
    raised_by(FlagCode::Dq, counts, &[from_30, from_60], steps)
}

/// Whether an amount reaches a threshold.
fn reaches(amount: AmountSpan, least_minor: u64) -> FlagState {
    if amount.lo_minor >= least_minor {
        FlagState::True
    } else if amount.hi_minor.is_some_and(|hi| hi < least_minor) {
        FlagState::False
    } else {
        FlagState::Unknown
    }
}

/// `percent` hundredths of an amount, rounded up.
fn share(amount_minor: u64, percent: u32) -> u64 {
    let share = (u128::from(amount_minor) * u128::from(percent)).div_ceil(100);
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn exposure(bench: &Bench<'_>) -> Raised {
    let limits = &bench.policy.exposure;
    let owed = if bench.amounts_compare() {
        amounts::exposure(bench)
    } else {
        AmountSpan::ANY
    };
    let (firm, doubted) = owing(bench);
    let firmly_owed = amounts::exposure(
        &bench.with(
            firm.iter()
                .filter_map(|at| bench.witnesses.get(*at).copied())
                .collect(),
        ),
    );
    let mut steps: Vec<Step> = [
        (limits.medium_percent, Severity::Medium),
        (limits.high_percent, Severity::High),
        (limits.critical_percent, Severity::Critical),
    ]
    .into_iter()
    .map(|(percent, severity)| {
        let least = share(limits.cap_minor, percent);
        let without_doubted = reaches(firmly_owed, least) == FlagState::True;
        let rests_on = if without_doubted { &firm } else { &doubted };
        Step::bare(severity, reaches(owed, least), &format!("EX{percent:03}")).on_any_of(rests_on)
    })
    .collect();
    if let Some(income) = bench.asker.income_month_minor {
        let more_than = share(income, limits.income_percent).saturating_add(1);
        let state = reaches(amounts::instalments(bench), more_than);
        steps.push(Step::bare(Severity::High, state, "EXINC"));
    }
    by_all(bench, FlagCode::Ex, steps, |facts| {
        !facts.loans.is_empty() || !facts.holds.is_empty()
    })
}

/// Members that report something owed: those whose word alone is enough, and the others. What
/// the first make certain does not rest on the others; what they do not does.
fn owing(bench: &Bench<'_>) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let owes = |facts: &Facts| !facts.loans.is_empty() || !facts.holds.is_empty();
    let all = bench.witnesses.iter().enumerate();
    let reporters = all.filter(|(_, one)| one.national.as_ref().is_some_and(owes));
    let (firm, doubted): (Vec<_>, Vec<_>) =
        reporters.partition(|(_, one)| one.trust >= CORROBORATED_PER_MILLE);
    let places = |of: Vec<(usize, _)>| of.into_iter().map(|(at, _)| at).collect();
    let (firm, doubted): (BTreeSet<usize>, BTreeSet<usize>) = (places(firm), places(doubted));
    if doubted.is_empty() {
        (firm.clone(), firm)
    } else {
        (firm, doubted)
    }
}

/// A flag that any member could change, reported by those whose facts say so.
fn by_all(
    bench: &Bench<'_>,
    code: FlagCode,
    steps: Vec<Step>,
    reports: impl Fn(&Facts) -> bool,
) -> Raised {
    let all = || bench.witnesses.iter().enumerate();
    let reporters: BTreeSet<usize> = all()
        .filter(|(_, one)| one.national.as_ref().is_some_and(&reports))
        .map(|(at, _)| at)
        .collect();
    let could_change = all()
        .filter(|(_, one)| !bench.hears_at(one, false))
        .map(|(at, _)| at);
    let rests_on = |step: Step| {
        if step.support.units.is_empty() {
            step.on_any_of(&reporters)
        } else {
            step
        }
    };
    let steps = steps.into_iter().map(rests_on).collect();
    Raised::of(code, steps, reporters.clone(), could_change.collect())
}

fn growth(bench: &Bench<'_>) -> Raised {
    let Growth {
        new,
        old,
        new_lender,
    } = amounts::growth(bench);
    let percent = bench.policy.growth_percent;
    let grew = old.lo_minor > 0
        && old
            .hi_minor
            .is_some_and(|hi| new.lo_minor >= share(hi, percent));
    let stood = old.hi_minor == Some(0)
        || new
            .hi_minor
            .is_some_and(|hi| hi == 0 || hi < share(old.lo_minor, percent));
    let state = match new_lender {
        Sure::No => FlagState::False,
        Sure::Maybe | Sure::Yes if stood => FlagState::False,
        Sure::Yes if grew => FlagState::True,
        Sure::Maybe | Sure::Yes => FlagState::Unknown,
    };
    let step = Step::bare(Severity::Medium, state, &format!("EG{percent}"));
    by_all(bench, FlagCode::Eg, vec![step], |facts| {
        !facts.loans.is_empty() || !facts.holds.is_empty()
    })
}
