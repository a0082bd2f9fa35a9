//! What changed between two summaries of one borrower at one peer, as alerts.

use crate::domain::{
    AlertKind, ApplicationMark, ApplicationStage, GroupCode, HourMark, LoanMark, LoanStage,
    SignalMark, Summary, Tally,
};

/// Whose summary it is, and who looks at it: a lender is not told of its own accounts.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// The code of the peer's own lender group.
    pub peer: GroupCode,
    /// The code of this node's lender group.
    pub own: GroupCode,
    /// Whether hard applications are told.
    pub hard_applications: bool,
}

/// What a peer said of a borrower before.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// The borrower was not watched at this peer: of what stands already, only what is adverse and
    /// severe is told.
    NotWatched,
    /// The peer had published nothing.
    Nothing,
    /// It had published this.
    Was(&'a Summary),
}

/// The alerts that lead from one summary to the next, each kind at most once.
#[must_use]
pub fn changes(before: Standing<'_>, after: &Summary, side: Side) -> Vec<AlertKind> {
    let nothing = Summary::default();
    let was = match before {
        Standing::Was(was) => was,
        Standing::NotWatched | Standing::Nothing => &nothing,
    };
    let (old, new) = (Adverse::of(was, side), Adverse::of(after, side));
    let mut kinds = ladder(&old, &new, was, after);
    kinds.extend(signals(was, after, side));
    kinds.extend(events(was, after, side));
    // What the asker's own level hides is no relief.
    let is_told_alike = was.level == after.level;
    // A dispute that ends without its record coming back has taken it away.
    let dispute_ended = was.disputed && !after.disputed && !came_back(was, after, side);
    if kinds.is_empty() && is_told_alike && (new.is_less_than(&old) || dispute_ended) {
        kinds.push(relief(&old, was, after));
    }
    if matches!(before, Standing::NotWatched) {
        kinds.retain(|kind| kind.severity() >= crate::domain::Severity::High);
    }
    kinds
}

/// Whether every account that was disputed is there again.
fn came_back(was: &Summary, after: &Summary, side: Side) -> bool {
    let name = |loan: &LoanMark| (loan.signed, loan.group);
    let disputed = |loan: &&LoanMark| loan.disputed && is_others(loan.group, side);
    let mut accounts = was.loans.as_slice().iter().filter(disputed).peekable();
    let there: Vec<_> = after.loans.as_slice().iter().map(name).collect();
    accounts.peek().is_some() && accounts.all(|loan| there.contains(&name(loan)))
}

/// How many accounts are how late, disputed ones and the asker's own left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Adverse {
    charged_off: usize,
    defaults: usize,
    late_60: usize,
    late_30: usize,
    signals: usize,
}

/// Signals that are told when they begin; those of defaults are told by [`ladder`].
const SIGNALS: [(SignalMark, AlertKind); 9] = [
    (SignalMark::FraudConfirmed, AlertKind::Fraud),
    (SignalMark::FraudVictim, AlertKind::FraudVictim),
    (SignalMark::Protective, AlertKind::Protective),
    (SignalMark::Insolvency, AlertKind::Insolvency),
    (SignalMark::Deceased, AlertKind::Deceased),
    (SignalMark::LostContact, AlertKind::LostContact),
    (SignalMark::Restructured, AlertKind::Restructured),
    (SignalMark::Forbearance, AlertKind::Forbearance),
    (
        SignalMark::FirstPaymentDefault,
        AlertKind::FirstPaymentDefault,
    ),
];

/// What a tally counts at most; 15 stands for more.
fn left_out(tally: Tally) -> usize {
    tally
        .at_most()
        .map_or(15, |most| usize::try_from(most).unwrap_or(15))
}

impl Adverse {
    fn of(summary: &Summary, side: Side) -> Self {
        let counted = |loan: &&LoanMark| !loan.disputed && is_others(loan.group, side);
        let loans = || summary.loans.as_slice().iter().filter(counted);
        let count = |is: fn(LoanStage) -> bool| loans().filter(|loan| is(loan.stage)).count();
        let defaults = count(LoanStage::is_default) + left_out(summary.unlisted.default_groups);
        let late_60 =
            count(LoanStage::is_delinquent_60) + left_out(summary.unlisted.delinquent_60_groups);
        let late = count(LoanStage::is_delinquent) + left_out(summary.unlisted.delinquent_groups);
        let charged_off = count(|stage| matches!(stage, LoanStage::ChargedOff));
        let told = |mark: SignalMark| summary.signals.contains(mark);
        let own_signals = !is_others(summary.source, side);
        let signalled = |mark| usize::from(told(mark) && !own_signals);
        let weighs = |mark: &SignalMark| {
            !matches!(mark, SignalMark::FraudVictim | SignalMark::Protective) && told(*mark)
        };
        Self {
            charged_off: charged_off.max(signalled(SignalMark::ChargeOff)),
            defaults: defaults
                .max(signalled(SignalMark::Default))
                .max(signalled(SignalMark::ChargeOff)),
            late_60,
            late_30: late.saturating_sub(late_60),
            signals: SignalMark::ALL.iter().filter(|mark| weighs(mark)).count(),
        }
    }

    fn is_less_than(&self, old: &Self) -> bool {
        self.worst() < old.worst() || self.signals < old.signals
    }

    /// Accounts from the worst on, so that a lower one is better.
    const fn worst(&self) -> (usize, usize, usize, usize) {
        (self.charged_off, self.defaults, self.late_60, self.late_30)
    }
}

/// Whether a mark is of another lender group than the asker's.
fn is_others(group: GroupCode, side: Side) -> bool {
    group.resolved(side.peer) != side.own
}

/// How late accounts have come to be: the worst step alone is told.
fn ladder(old: &Adverse, new: &Adverse, was: &Summary, after: &Summary) -> Vec<AlertKind> {
    let fresh = |mark| after.signals.contains(mark) && !was.signals.contains(mark);
    // An account that climbs leaves the step below: a step counts with all above it.
    let (old_60, new_60) = (old.defaults + old.late_60, new.defaults + new.late_60);
    let (old_30, new_30) = (old_60 + old.late_30, new_60 + new.late_30);
    let step = if new.charged_off > old.charged_off {
        Some(AlertKind::ChargeOff)
    } else if new.defaults > old.defaults {
        Some(AlertKind::Default)
    } else if new_60 > old_60 {
        Some(AlertKind::Arrears60)
    } else if new_30 > old_30 && !fresh(SignalMark::FirstPaymentDefault) {
        Some(AlertKind::Arrears30)
    } else {
        None
    };
    step.into_iter().collect()
}

fn signals(was: &Summary, after: &Summary, side: Side) -> Vec<AlertKind> {
    let mut kinds = Vec::new();
    if !is_others(after.source, side) {
        return kinds;
    }
    for (mark, kind) in SIGNALS {
        let is_new = after.signals.contains(mark) && !was.signals.contains(mark);
        if is_new {
            kinds.push(kind);
        }
    }
    kinds
}

/// New contracts, loans and applications. A loan that is late when it appears is told by how late
/// it is.
fn events(was: &Summary, after: &Summary, side: Side) -> Vec<AlertKind> {
    let mut kinds = Vec::new();
    // What is listed now and was not before is new, unless it was left out before: then only where
    // it happened since.
    let since = |tally: Tally, at: HourMark| tally.is_zero() || at >= was.as_of;
    let held = was.holds.as_slice();
    let is_new_hold = after.holds.as_slice().iter().any(|hold| {
        let known =
            |old: &crate::domain::HoldMark| (old.signed, old.group) == (hold.signed, hold.group);
        is_others(hold.group, side)
            && !held.iter().any(known)
            && since(was.unlisted.holds, hold.signed)
    });
    if is_new_hold {
        kinds.push(AlertKind::Hold);
    }
    let owed = was.loans.as_slice();
    let is_new_loan = after.loans.as_slice().iter().any(|loan| {
        let known = |old: &LoanMark| (old.signed, old.group) == (loan.signed, loan.group);
        is_others(loan.group, side)
            && loan.stage == LoanStage::Below30
            && !owed.iter().any(known)
            && since(was.unlisted.active_loans, loan.signed)
    });
    if is_new_loan {
        kinds.push(AlertKind::NewLoan);
    }
    let applied = was.applications.as_slice();
    let is_hard = |one: &ApplicationMark| one.stage == ApplicationStage::Undecided;
    let is_new_application = after.applications.as_slice().iter().any(|one| {
        let known = |old: &ApplicationMark| (old.at, old.group) == (one.at, one.group);
        is_hard(one)
            && is_others(one.group, side)
            && !applied.iter().any(known)
            && since(was.unlisted.hard, one.at)
    });
    if side.hard_applications && is_new_application {
        kinds.push(AlertKind::HardApplication);
    }
    kinds
}

/// Why something adverse stands no more.
fn relief(old: &Adverse, was: &Summary, after: &Summary) -> AlertKind {
    let only_arrears = old.defaults == 0 && old.late_60 + old.late_30 > 0;
    let is_paid = after.cured_on.is_some() && after.cured_on > was.cured_on;
    // Arrears may also end because their record was taken back, and then the account is gone.
    let was_there = |loan: &LoanMark| {
        let same = |old: &LoanMark| (old.signed, old.group) == (loan.signed, loan.group);
        was.loans.as_slice().iter().any(same)
    };
    let mut accounts = after.loans.as_slice().iter();
    let is_there = accounts.any(|loan| loan.stage.is_account() && was_there(loan));
    if after.disputed && !was.disputed {
        AlertKind::Disputed
    } else if is_paid || only_arrears && is_there {
        AlertKind::Cured
    } else {
        AlertKind::Withdrawn
    }
}

#[cfg(test)]
mod tests;
