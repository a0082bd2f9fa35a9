//! From one version of a record to the next: the state graphs, and what to do with what arrives.

use super::{RecordError, Rule};
use crate::domain::{
    Application, ApplicationOutcome, Body, Hold, HoldState, Loan, LoanState, Record, Signal,
};

/// What a version that arrives means beside the newest one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The record was unknown: keep it.
    New {
        /// Its earlier versions were never seen.
        gap: bool,
    },
    /// A higher version: keep it.
    Newer {
        /// Versions between the two were never seen.
        gap: bool,
    },
    /// The same version with the same content: nothing to do.
    Unchanged,
    /// A lower version: ignore it.
    Stale,
}

/// Decides what `next` means beside `previous`, the newest known version of the same record.
///
/// Idempotent by record id and version. A lower version is ignored without being looked at.
///
/// # Errors
/// [`Rule::Conflict`] where the same version has other content; otherwise what
/// [`Record::check`] refuses.
pub fn merge(previous: Option<&Record>, next: &Record) -> Result<Verdict, RecordError> {
    let Some(previous) = previous else {
        next.check(None)?;
        let gap = next.head.version.number() > 1;
        return Ok(Verdict::New { gap });
    };
    same_record(previous, next)?;
    if next.head.version < previous.head.version {
        return Ok(Verdict::Stale);
    }
    if next.head.version == previous.head.version {
        return Rule::Conflict
            .unless(next == previous, "version")
            .map(|()| Verdict::Unchanged);
    }
    next.check(Some(previous))?;
    let gap = next.head.version != previous.head.version.next();
    Ok(Verdict::Newer { gap })
}

fn same_record(previous: &Record, next: &Record) -> Result<(), RecordError> {
    Rule::Changed.unless(previous.head.record_id == next.head.record_id, "record_id")
}

/// Whether `next` may follow `previous`.
///
/// Where versions between the two were never seen, a step over them is judged like a direct one:
/// the state graphs contain every such shortcut.
pub(super) fn check(previous: &Record, next: &Record) -> Result<(), RecordError> {
    same_record(previous, next)?;
    Rule::NotNewer.unless(next.head.version > previous.head.version, "version")?;
    Rule::Changed.unless(previous.kind() == next.kind(), "kind")?;
    // A record about somebody else is retracted as wrong-person and furnished under a new id.
    let national = &previous.borrower.national;
    let same = national.is_none() || *national == next.borrower.national;
    Rule::Changed.unless(same, "national_id")?;
    let gap = next.head.version != previous.head.version.next();
    match (&previous.body, &next.body) {
        (Body::Retracted(_), _) => Err(Rule::AfterRetraction.on("version")),
        (_, Body::Retracted(_)) => Ok(()),
        (Body::Loan(previous), Body::Loan(next)) => loan(previous, next, gap),
        (Body::Application(previous), Body::Application(next)) => application(previous, next),
        (Body::Hold(previous), Body::Hold(next)) => hold(previous, next),
        (Body::Signal(previous), Body::Signal(next)) => signal(previous, next),
        (Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Signal(_), _) => {
            Err(Rule::Changed.on("kind"))
        }
    }
}

fn loan(previous: &Loan, next: &Loan, gap: bool) -> Result<(), RecordError> {
    Rule::Changed.unless(previous.account_ref == next.account_ref, "account_ref")?;
    let same_currency = previous.principal.currency == next.principal.currency;
    Rule::Changed.unless(same_currency, "principal")?;
    let still_funded = previous.funded_at.is_none() || next.funded_at.is_some();
    Rule::Step.unless(still_funded, "funded_at")?;
    Rule::Step.unless(loan_may_become(previous.state, next.state), "state")?;
    check_clock(previous, next, gap)
}

/// The state graph of a loan. A step that was never paid out may end void (the rules of one
/// version see to it that no void loan was funded).
const fn loan_may_become(from: LoanState, to: LoanState) -> bool {
    use LoanState::{Active, ChargedOff, Paid, SettledLess, Transferred, Void};
    match (from, to) {
        (Active, Active | Paid | SettledLess | ChargedOff | Transferred | Void)
        | (ChargedOff, ChargedOff | Paid | SettledLess | Transferred)
        | (Paid, Paid)
        | (SettledLess, SettledLess)
        | (Transferred, Transferred)
        | (Void, Void) => true,
        (ChargedOff | Paid | SettledLess | Transferred | Void, _) => false,
    }
}

/// The first day of delinquency fixes how long it is kept, so it may not be set anew at will: it
/// moves only after a version that was fully cured, and never once the loan was charged off. Where
/// versions are missing, the cure may be among them. It may be cleared by the version that cures.
fn check_clock(previous: &Loan, next: &Loan, gap: bool) -> Result<(), RecordError> {
    let Some(clock) = previous.first_delinquency_on else {
        return Ok(());
    };
    if next.first_delinquency_on == Some(clock) {
        return Ok(());
    }
    let current = |loan: &Loan| loan.dpd == 0 && loan.past_due.is_zero();
    let charged_off = previous.state == LoanState::ChargedOff;
    let cured = match next.first_delinquency_on {
        Some(moved) => current(previous) || (gap && moved > clock),
        None => current(previous) || current(next),
    };
    Rule::DelinquencyMoved.unless(cured && !charged_off, "first_delinquency_on")
}

fn application(previous: &Application, next: &Application) -> Result<(), RecordError> {
    Rule::Changed.unless(previous.kind == next.kind, "application_kind")?;
    Rule::Changed.unless(previous.at == next.at, "at")?;
    let may = outcome_may_become(previous.outcome, next.outcome);
    Rule::Step.unless(may, "outcome")
}

const fn outcome_may_become(from: ApplicationOutcome, to: ApplicationOutcome) -> bool {
    use ApplicationOutcome::{Approved, Declined, Expired, Funded, Pending, Signed, Withdrawn};
    match (from, to) {
        (Pending, _)
        | (Approved, Approved | Declined | Withdrawn | Signed | Funded | Expired)
        | (Signed, Signed | Withdrawn | Funded | Expired)
        | (Declined, Declined)
        | (Withdrawn, Withdrawn)
        | (Funded, Funded)
        | (Expired, Expired) => true,
        (Approved | Signed | Declined | Withdrawn | Funded | Expired, _) => false,
    }
}

fn hold(previous: &Hold, next: &Hold) -> Result<(), RecordError> {
    Rule::Changed.unless(previous.signed_at == next.signed_at, "signed_at")?;
    let may = previous.state == HoldState::Live || previous.state == next.state;
    Rule::Step.unless(may, "state")
}

fn signal(previous: &Signal, next: &Signal) -> Result<(), RecordError> {
    Rule::Changed.unless(previous.kind == next.kind, "signal_kind")
}
