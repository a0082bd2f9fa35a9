//! Which signals stand of a borrower now: derived from loans where these tell it, else as filed.
//!
//! It agrees with what [`summarize`](super::summarize()) publishes: both rest on the same standing
//! records and rules, and a property test compares them.

use super::adverse::{cured_on, cures_default, is_first_payment_default, mark_of, told_by_loan};
use super::loans;
use super::standing::Standing;
use crate::domain::{
    Day, Loan, LoanStage, Record, RecordId, Signal, SignalKind, SignalMark, Timestamp, Treatment,
};
use crate::limits::{ADVERSE_MONTHS, FIRST_PAYMENT_DAYS, SIGNAL_CURED_MONTHS};

/// What a signal rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalSource {
    /// It follows from this loan.
    Loan(RecordId),
    /// It was filed as this record.
    Filed(RecordId),
}

impl SignalSource {
    /// The record that it rests on.
    #[must_use]
    pub const fn record(self) -> RecordId {
        match self {
            Self::Loan(id) | Self::Filed(id) => id,
        }
    }
}

/// A signal that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingSignal {
    /// What happened.
    pub kind: SignalKind,
    /// What it rests on.
    pub source: SignalSource,
    /// The day of the event; of a treatment whose beginning no record tells, the day that the loan
    /// is told as of.
    pub event_on: Day,
    /// The last day on which it stands, where it ends by itself.
    pub ends_on: Option<Day>,
    /// Whether it is disputed: no automated decision may rest on it.
    pub disputed: bool,
    /// Of a cure: whether what was made good was a default.
    pub cures_default: bool,
}

impl StandingSignal {
    /// The mark that a full summary carries for it. None where its loan's stage tells it, and while
    /// it is disputed.
    #[must_use]
    pub const fn mark(&self) -> Option<SignalMark> {
        let by_loan = matches!(self.source, SignalSource::Loan(_))
            && matches!(self.kind, SignalKind::Default | SignalKind::ChargeOff);
        if self.disputed || by_loan {
            return None;
        }
        mark_of(self.kind)
    }
}

/// The signals of a borrower, and when time alone changes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalsNow {
    /// Those that stand, in the order of their records' ids.
    pub standing: Vec<StandingSignal>,
    /// The first moment at which time alone changes them.
    pub next_change: Option<Timestamp>,
}

/// The signals that stand at `now` by these records, all of them of one borrower at one member.
///
/// Of several versions of a record the newest counts, in whatever order they come. What was cured,
/// retracted, or disputed and not decided in time is not among them.
#[must_use]
pub fn signals_of(records: &[Record], now: Timestamp) -> SignalsNow {
    let mut standing = Standing::of(records, now);
    let filed: Vec<_> = standing.signals().collect();
    let mut signals = Vec::new();
    for (record, signal) in filed {
        signals.extend(filed_signal(&standing, record, signal));
    }
    let borrowed: Vec<_> = standing.loans().collect();
    for (record, loan) in borrowed {
        signals.extend(loan_signals(&mut standing, record, loan));
    }
    signals.sort_by_key(|signal| (signal.source.record(), signal.kind));
    SignalsNow {
        standing: signals,
        next_change: standing.next_change(),
    }
}

/// A filed signal, unless the loan that it is about tells better.
fn filed_signal(
    standing: &Standing<'_>,
    record: &Record,
    signal: &Signal,
) -> Option<StandingSignal> {
    (!told_by_loan(standing, signal)).then(|| StandingSignal {
        kind: signal.kind,
        source: SignalSource::Filed(record.head.record_id),
        event_on: signal.event_on,
        ends_on: first_of(signal.last_day(), record.head.expires_on),
        disputed: signal.kind != SignalKind::Disputed && standing.is_disputed(record),
        cures_default: signal.kind == SignalKind::Cured && cures_default(standing, signal),
    })
}

/// What a loan tells: how late it is, what treatment it has, that a default was made good.
fn loan_signals(standing: &mut Standing<'_>, record: &Record, loan: &Loan) -> Vec<StandingSignal> {
    let disputed = standing.is_disputed(record);
    let told_on = record.head.as_of.day();
    let clock = loan.first_delinquency_on;
    let forgotten_on = clock.map(|day| day.plus_months(ADVERSE_MONTHS));
    let base = StandingSignal {
        kind: SignalKind::Disputed,
        source: SignalSource::Loan(record.head.record_id),
        event_on: told_on,
        ends_on: first_of(forgotten_on, record.head.expires_on),
        disputed,
        cures_default: false,
    };
    // The day on which so many days past due were reached.
    let reached = |dpd: u16| told_on.plus_days(i64::from(dpd) - i64::from(loan.dpd));
    let at = |kind, event_on| StandingSignal {
        kind,
        event_on,
        ..base
    };
    let expiring = |kind, event_on, ends_on| StandingSignal {
        ends_on: first_of(ends_on, record.head.expires_on),
        ..at(kind, event_on)
    };
    let mut signals = match loans::stage(loan) {
        LoanStage::From30 => vec![at(SignalKind::Dpd30, reached(30))],
        LoanStage::From60 => vec![at(SignalKind::Dpd60, reached(60))],
        LoanStage::From90 => [SignalKind::Dpd90, SignalKind::Default]
            .map(|kind| at(kind, reached(90)))
            .to_vec(),
        LoanStage::ChargedOff => vec![at(SignalKind::ChargeOff, told_on)],
        LoanStage::Below30
        | LoanStage::Closed
        | LoanStage::Transferred
        | LoanStage::Signalled30
        | LoanStage::Signalled60
        | LoanStage::Signalled90 => Vec::new(),
    };
    if loans::is_owed(loan) {
        let treated = treatment(loan.treatment).map(|kind| expiring(kind, told_on, None));
        signals.extend(treated);
        if is_first_payment_default(standing, loan) {
            let paid_out = loan.funded_at.unwrap_or(loan.signed_at).day();
            let ends_on = i64::try_from(FIRST_PAYMENT_DAYS).unwrap_or(i64::MAX) - 1;
            let ends_on = Some(paid_out.plus_days(ends_on));
            signals.push(expiring(
                SignalKind::FirstPaymentDefault,
                reached(30),
                ends_on,
            ));
        }
    }
    if let Some(day) = cured_on(record, loan) {
        let ends_on = Some(day.plus_months(SIGNAL_CURED_MONTHS));
        signals.push(StandingSignal {
            cures_default: true,
            ..expiring(SignalKind::Cured, day, ends_on)
        });
    }
    if disputed {
        signals.push(StandingSignal {
            disputed: false,
            ..expiring(SignalKind::Disputed, told_on, None)
        });
    }
    signals
}

const fn treatment(treatment: Treatment) -> Option<SignalKind> {
    match treatment {
        Treatment::Restructured => Some(SignalKind::Restructured),
        Treatment::Forbearance | Treatment::Disaster => Some(SignalKind::Forbearance),
        Treatment::Insolvency => Some(SignalKind::Insolvency),
        Treatment::None | Treatment::Deceased => None,
    }
}

fn first_of(one: Option<Day>, other: Option<Day>) -> Option<Day> {
    one.into_iter().chain(other).min()
}
