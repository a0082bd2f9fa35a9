//! What flags rest on beside the counts: amounts, cures, treatments and signals.

use super::selective;
use super::standing::Standing;
use crate::domain::{
    ApplicationKind, Body, Currency, Day, HISTORY_MONTHS, Loan, LoanState, Money, MonthStatus,
    Record, SignalKind, Timestamp, Treatment,
};
use crate::limits::{CLOSED_LOAN_DAYS, FIRST_PAYMENT_DAYS, HARD_INQUIRY_DAYS, SOFT_INQUIRY_DAYS};

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// What is true of a borrower beside the counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traits {
    /// Nothing is recorded of it anywhere.
    pub unknown: bool,
    /// What is owed on running and charged-off loans, each amount by itself.
    pub owed: Vec<Money>,
    /// The amounts of live holds.
    pub held: Vec<Money>,
    /// The monthly payments on what is owed.
    pub instalments: Vec<Money>,
    /// The amounts of live holds and of what is owed on loans signed in the last 30 days.
    pub new_in_30d: Vec<Money>,
    /// Some group lends, or holds a contract, only since 30 days.
    pub new_lender: bool,
    /// The first instalment of a loan younger than 90 days is unpaid for 30 days, or was
    /// signalled to be.
    pub first_payment_default: bool,
    /// The last day on which a default was made good.
    pub cured_on: Option<Day>,
    /// What is owed is restructured or in forbearance, or an insolvency stands.
    pub restructured: bool,
    /// A confirmed fraud stands.
    pub fraud: bool,
    /// A protection stands: the borrower is a victim, asked for it, or died.
    pub protective: bool,
    /// A lost contact stands.
    pub lost_contact: bool,
    /// A record was left out because it is disputed.
    pub disputed: bool,
    /// Late at one lender on a young loan, and current at all others.
    pub selective_default: bool,
    /// Telephone numbers that members saw with the national number in 90 days.
    pub phones_90d: usize,
    /// National numbers that members saw with the telephone number in 90 days.
    pub nationals_90d: usize,
}

impl Traits {
    pub(super) fn of(standing: &Standing<'_>, by_phone: &Standing<'_>, now: Timestamp) -> Self {
        let mut traits = Self {
            selective_default: selective::is_selective(standing, now),
            phones_90d: selective::others_seen(standing, false, now),
            nationals_90d: selective::others_seen(by_phone, true, now),
            unknown: !standing.disputed && !standing.bodies().any(|body| is_told(body, now)),
            new_lender: has_new_lender(standing, now),
            disputed: standing.disputed,
            cured_on: standing.cures.iter().max().copied(),
            ..Self::default()
        };
        for (record, loan) in standing.loans() {
            traits.add_loan(record, loan, now);
        }
        for body in standing.bodies() {
            if let Body::Hold(hold) = body
                && hold.is_live(now)
            {
                traits.held.push(hold.amount);
                traits.new_in_30d.push(hold.amount);
            }
        }
        for signal in standing.signals() {
            match signal.kind {
                SignalKind::FirstPaymentDefault => traits.first_payment_default = true,
                SignalKind::FraudConfirmed => traits.fraud = true,
                SignalKind::FraudVictim | SignalKind::ProtectiveRegistration => {
                    traits.protective = true;
                }
                SignalKind::Restructured | SignalKind::Forbearance | SignalKind::Insolvency => {
                    traits.restructured = true;
                }
                SignalKind::LostContact => traits.lost_contact = true,
                SignalKind::Dpd30
                | SignalKind::Dpd60
                | SignalKind::Dpd90
                | SignalKind::Default
                | SignalKind::ChargeOff
                | SignalKind::Cured
                | SignalKind::Disputed => {}
            }
        }
        traits
    }

    fn add_loan(&mut self, record: &Record, loan: &Loan, now: Timestamp) {
        let owed = match loan.state {
            LoanState::Active => true,
            LoanState::ChargedOff => loan.outstanding.minor > 0,
            LoanState::Paid | LoanState::SettledLess | LoanState::Transferred | LoanState::Void => {
                false
            }
        };
        if owed {
            self.owed.push(loan.outstanding);
            self.instalments.extend(loan.instalment);
            if loan.signed_at > now.minus(30 * DAY) {
                self.new_in_30d.push(loan.outstanding);
            }
            match loan.treatment {
                Treatment::None => {}
                Treatment::Deceased => self.protective = true,
                Treatment::Restructured
                | Treatment::Forbearance
                | Treatment::Disaster
                | Treatment::Insolvency => self.restructured = true,
            }
            self.first_payment_default |= is_first_payment_default(loan, now);
        }
        self.cured_on = self.cured_on.max(cure_in_history(record, loan));
    }
}

const fn is_owed(loan: &Loan) -> bool {
    match loan.state {
        LoanState::Active => true,
        LoanState::ChargedOff => loan.outstanding.minor > 0,
        LoanState::Paid | LoanState::SettledLess | LoanState::Transferred | LoanState::Void => {
            false
        }
    }
}

/// Whether a record that stands is told to others at all: closed loans, contracts and inquiries
/// are not for ever.
fn is_told(body: &Body, now: Timestamp) -> bool {
    let since = |moment: Timestamp, days: u64| {
        moment > now.minus(DAY * u32::try_from(days).unwrap_or(u32::MAX))
    };
    match body {
        Body::Loan(loan) => {
            let late = |month: &MonthStatus| month_is_late(*month);
            is_owed(loan)
                || since(loan.signed_at, CLOSED_LOAN_DAYS)
                || loan.history.months().iter().any(late)
        }
        Body::Application(application) => match application.kind {
            ApplicationKind::Application => since(application.at, HARD_INQUIRY_DAYS),
            ApplicationKind::Offer => since(application.at, SOFT_INQUIRY_DAYS),
            ApplicationKind::Recheck
            | ApplicationKind::Review
            | ApplicationKind::Collection
            | ApplicationKind::SelfAccess
            | ApplicationKind::Fraud => false,
        },
        Body::Hold(hold) => hold.is_live(now),
        Body::Signal(_) => true,
        Body::Retracted(_) => false,
    }
}

const fn month_is_late(month: MonthStatus) -> bool {
    match month {
        MonthStatus::Unknown
        | MonthStatus::Current
        | MonthStatus::D1To29
        | MonthStatus::ZeroBalance => false,
        MonthStatus::D30To59
        | MonthStatus::D60To89
        | MonthStatus::D90To119
        | MonthStatus::D120To149
        | MonthStatus::D150To179
        | MonthStatus::D180Plus
        | MonthStatus::Collection
        | MonthStatus::ChargedOff => true,
    }
}

/// Whether some group has loans owed or live holds of the last 30 days, and no older loan owed.
fn has_new_lender(standing: &Standing<'_>, now: Timestamp) -> bool {
    let month_ago = now.minus(30 * DAY);
    let new = standing.groups(&|body| match body {
        Body::Loan(loan) => is_owed(loan) && loan.signed_at > month_ago,
        Body::Hold(hold) => hold.is_live(now) && hold.signed_at > month_ago,
        Body::Application(_) | Body::Signal(_) | Body::Retracted(_) => false,
    });
    let old = standing.groups(&|body| match body {
        Body::Loan(loan) => is_owed(loan) && loan.signed_at <= month_ago,
        Body::Hold(_) | Body::Application(_) | Body::Signal(_) | Body::Retracted(_) => false,
    });
    new.difference(&old).next().is_some()
}

/// The sum of the amounts in one currency; the others are left out.
pub(super) fn sum(amounts: &[Money], currency: Currency) -> i128 {
    let of_currency = amounts.iter().filter(|amount| amount.currency == currency);
    of_currency.map(|amount| i128::from(amount.minor)).sum()
}

fn is_first_payment_default(loan: &Loan, now: Timestamp) -> bool {
    let paid_out = loan.funded_at.unwrap_or(loan.signed_at);
    let young = now < paid_out.plus(DAY * u32::try_from(FIRST_PAYMENT_DAYS).unwrap_or(90));
    let nothing_paid = loan.n_on_time == 0 && loan.n_late == 0;
    young && nothing_paid && loan.n_missed > 0 && loan.dpd >= 30
}

/// The day on which a default that the history shows was made good: that of the closing for a
/// repaid loan, the first of the month after the default for a running one.
fn cure_in_history(record: &Record, loan: &Loan) -> Option<Day> {
    let back = loan.history.months().iter().position(|month| match month {
        MonthStatus::D90To119
        | MonthStatus::D120To149
        | MonthStatus::D150To179
        | MonthStatus::D180Plus
        | MonthStatus::Collection
        | MonthStatus::ChargedOff => true,
        MonthStatus::Unknown
        | MonthStatus::Current
        | MonthStatus::D1To29
        | MonthStatus::D30To59
        | MonthStatus::D60To89
        | MonthStatus::ZeroBalance => false,
    })?;
    let after = month_before(record.head.as_of.day(), back);
    match loan.state {
        LoanState::Paid | LoanState::SettledLess => Some(loan.closed_on.unwrap_or(after)),
        LoanState::Active if loan.dpd < 90 => Some(after),
        LoanState::Active | LoanState::ChargedOff | LoanState::Transferred | LoanState::Void => {
            None
        }
    }
}

/// The first day of the month `back` months before that of `day`.
fn month_before(day: Day, back: usize) -> Day {
    let mut first = day.first_of_month();
    for _ in 0..back.min(HISTORY_MONTHS) {
        first = first.plus_days(-1).first_of_month();
    }
    first
}
