//! What members report in the simulated days about borrowers who do not apply anywhere.
//!
//! Of the loans past 30 days 35 % reach 60, of those 55 % reach 90, and a quarter of the defaults
//! is cured within a year. 1.5 % of the current loans are repaid in a month, 0.3 % of all are
//! retracted, and 0.5 % of the borrowers take a loan of a lender that is no member, of which the
//! bureau hears late.

use super::WorkloadError;
use super::conduct::{Conduct, DAY, HOUR, MINUTE};
use super::events::{Report, Step};
use super::population::{Filed, Person};
use super::standing::{DEFAULT_DPD, Standing, settle};
use crate::domain::{
    Body, Loan, LoanState, Money, Record, RecordHead, RecordId, RetractionReason, Signal,
    SignalKind, Timestamp, Version,
};

/// Writes the reports about `person`.
pub(super) fn write(conduct: &mut Conduct<'_>, person: &Person) -> Result<(), WorkloadError> {
    for filed in &person.book {
        let Body::Loan(loan) = &filed.record.body else {
            continue;
        };
        if conduct.draw().chance(0.003) {
            let at = moment(conduct, 0, days(conduct));
            let gone = filed.record.retracted(RetractionReason::FurnisherError, at);
            report(conduct, filed.member, at, Report::Retracted, gone);
        } else if loan.state == LoanState::Active {
            course(conduct, person, filed, loan);
        }
    }
    if conduct.draw().chance(0.005) {
        booked_outside(conduct, person)?;
    }
    Ok(())
}

/// How a running loan goes on.
fn course(conduct: &mut Conduct<'_>, person: &Person, filed: &Filed, loan: &Loan) {
    let days = days(conduct);
    match i64::from(loan.dpd) {
        0 => {
            let share = 0.015 * f64::from(u32::try_from(days).unwrap_or(0)) / 30.0;
            if conduct.draw().chance(share) {
                let at = moment(conduct, 0, days);
                next_version(conduct, filed, at, Report::Closed, close);
            }
        }
        dpd @ 1..DEFAULT_DPD => arrears(conduct, filed, dpd),
        _ => {
            let share = 0.25 * f64::from(u32::try_from(days).unwrap_or(0)) / 365.0;
            if conduct.draw().chance(share) {
                let at = moment(conduct, 0, days);
                let cured = Standing::Cured { days: 0 };
                next_version(conduct, filed, at, Report::Cure, |loan, at| {
                    settle(loan, cured, at.day());
                });
                end_signals(conduct, person, filed, at);
            }
        }
    }
}

/// Ends the signals of default about a loan that was made good.
fn end_signals(conduct: &mut Conduct<'_>, person: &Person, loan: &Filed, at: Timestamp) {
    for filed in &person.book {
        let Body::Signal(signal) = &filed.record.body else {
            continue;
        };
        if signal.kind == SignalKind::Default && signal.about == Some(loan.record.head.record_id) {
            let mut cure = Signal::new(SignalKind::Cured, at.day(), "desk-1".to_owned());
            cure.about = Some(filed.record.head.record_id);
            let record = first_version(conduct, person, at, Body::Signal(cure));
            report(conduct, filed.member, at, Report::Cure, record);
        }
    }
}

/// The first version of a new record about `person`.
fn first_version(conduct: &mut Conduct<'_>, person: &Person, at: Timestamp, body: Body) -> Record {
    Record {
        head: RecordHead {
            record_id: RecordId::fresh(at, conduct.draw().bytes()),
            version: Version::FIRST,
            reported_at: at,
            as_of: at,
            expires_on: None,
        },
        borrower: person.borrower.clone(),
        body,
    }
}

/// A loan that is `dpd` days past due at the start comes to the next mark, or is paid before.
fn arrears(conduct: &mut Conduct<'_>, filed: &Filed, dpd: i64) {
    let mut newest = filed.clone();
    for (mark, share) in [(30, 0.30), (60, 0.35), (DEFAULT_DPD, 0.55)] {
        let day = mark - dpd;
        if day <= 0 {
            continue;
        }
        if !conduct.draw().chance(share) {
            let from = (day - 30).max(0);
            let at = moment(conduct, from, day);
            let current = Standing::Running { dpd: 0 };
            let when_late = conduct.draw().chance(0.9);
            if when_late && at < conduct.end() {
                next_version(conduct, &newest, at, Report::Cure, |loan, at| {
                    settle(loan, current, at.day());
                });
            }
            return;
        }
        if day >= days(conduct) {
            return;
        }
        let at = moment(conduct, day, day + 1);
        let (what, standing) = if mark == DEFAULT_DPD {
            (Report::Default, Standing::Default { days: 0 })
        } else {
            (Report::Arrears, Standing::Running { dpd: mark })
        };
        newest.record = next_version(conduct, &newest, at, what, |loan, at| {
            settle(loan, standing, at.day());
        });
    }
}

fn close(loan: &mut Loan, at: Timestamp) {
    settle(loan, Standing::Running { dpd: 0 }, at.day());
    loan.state = LoanState::Paid;
    loan.outstanding = Money::zero(loan.principal.currency);
    loan.closed_on = Some(at.day());
}

/// A loan of a lender that is no member, reported by the bureau: half within six hours, a tenth
/// of them up to seven days late.
fn booked_outside(conduct: &mut Conduct<'_>, person: &Person) -> Result<(), WorkloadError> {
    let population = conduct.population();
    let Some(bureau) = population.bureau() else {
        return Ok(());
    };
    let outside: Vec<_> = population
        .platforms
        .iter()
        .filter(|platform| !platform.is_member)
        .collect();
    let (drawn, terms) = {
        let draw = conduct.draw();
        (
            draw.one_of(&outside).copied(),
            draw.one_of(&population.terms).copied(),
        )
    };
    let platform = drawn.ok_or(WorkloadError::NoLenders)?;
    let terms = terms.ok_or(WorkloadError::Extract { line: 2 })?;
    let signed_at = moment(conduct, 0, days(conduct));
    let draw = conduct.draw();
    let lag = if draw.chance(0.1) {
        draw.span(36 * HOUR, 7 * DAY)
    } else {
        draw.log_normal(6 * HOUR, 0.77)
    };
    let at = signed_at.plus(lag.max(30 * MINUTE));
    let account = format!("L{:06}-outside", conduct.person());
    let mut loan = Loan::new(account, terms.product, terms.principal, signed_at);
    loan.lender_group = Some(platform.group.clone());
    loan.funded_at = Some(signed_at.plus(20 * MINUTE));
    loan.maturity_on = Some(loan.opened_on.plus_months(u32::from(terms.months)));
    loan.term_days = terms.months.saturating_mul(30);
    loan.apr_bps = Some(terms.apr_bps);
    loan.instalment = Some(terms.instalment);
    let record = first_version(conduct, person, at, Body::Loan(loan));
    report(conduct, bureau, at, Report::Booked, record);
    Ok(())
}

/// Writes the next version of a loan record, changed by `change`, and returns it.
fn next_version(
    conduct: &mut Conduct<'_>,
    filed: &Filed,
    at: Timestamp,
    what: Report,
    change: impl FnOnce(&mut Loan, Timestamp),
) -> Record {
    let mut record = filed.record.clone();
    record.head.version = record.head.version.next();
    record.head.reported_at = at;
    record.head.as_of = at;
    if let Body::Loan(loan) = &mut record.body {
        change(loan, at);
    }
    report(conduct, filed.member, at, what, record.clone());
    record
}

fn report(conduct: &mut Conduct<'_>, member: usize, at: Timestamp, what: Report, record: Record) {
    let case = conduct.new_case();
    conduct.write(case, member, at, Step::Report(what, Box::new(record)));
}

/// How many days are simulated.
fn days(conduct: &Conduct<'_>) -> i64 {
    conduct.end().day().unix_days() - conduct.population().spec.start.day().unix_days()
}

/// A moment from day `from` (0 is the first) to before day `to`.
fn moment(conduct: &mut Conduct<'_>, from: i64, to: i64) -> Timestamp {
    let start = conduct.population().spec.start;
    let length = u32::try_from(to - from).unwrap_or(1).max(1);
    let begins = start.plus(DAY * u32::try_from(from).unwrap_or(0));
    begins.plus(conduct.draw().span(std::time::Duration::ZERO, DAY * length))
}
