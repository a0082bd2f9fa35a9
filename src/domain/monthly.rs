//! What a member states of itself for a month: counts of its book, its filings and corrections.

use std::fmt;

use super::{
    Body, Day, Dispute, Loan, LoanState, Record, RecordKind, RetractionReason, SignalKind,
    Timestamp,
};

/// A calendar month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u32);

impl Month {
    /// The month that a day lies in; days before the year 0 lie in its January.
    #[must_use]
    pub fn of(day: Day) -> Self {
        let first = day.first_of_month();
        let month = (1..=12_u8).position(|month| {
            let of_year = Day::from_calendar(day.year(), month, 1);
            of_year == Some(first)
        });
        let years = u32::try_from(day.year()).unwrap_or(0);
        let months = month.and_then(|month| u32::try_from(month).ok());
        Self(years.saturating_mul(12).saturating_add(months.unwrap_or(0)))
    }

    /// The month with this number: 12 times the year, and 0 to 11.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Its number: 12 times the year, and 0 to 11.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The month so many before.
    #[must_use]
    pub const fn minus(self, months: u32) -> Self {
        Self(self.0.saturating_sub(months))
    }

    /// The month after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether a day lies in it.
    #[must_use]
    pub fn has(self, day: Day) -> bool {
        Self::of(day) == self
    }

    /// Its first moment; the Unix epoch for a month that the calendar here does not have.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let year = i32::try_from(self.0 / 12).unwrap_or(i32::MAX);
        let month = u8::try_from(self.0 % 12 + 1).unwrap_or(1);
        let first = Day::from_calendar(year, month, 1);
        first.map_or(Timestamp::default(), Day::start)
    }

    /// Reads `YYYY-MM`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let day: Day = format!("{text}-01").parse().ok()?;
        Some(Self::of(day)).filter(|month| month.to_string() == text)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// What a member states of one month. Counts stop at their largest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MonthlyCounts {
    /// Accounts on which money was owed when the counts were made; a statement tells them rounded
    /// up as the size of a feed is, to about 20 %.
    pub accounts: u32,
    /// Defaults, charge-offs, first-payment defaults and frauds filed in the month.
    pub default_filings: u32,
    /// What was retracted in the month, in the order of [`RetractionReason::ALL`]: loans and
    /// signals that had reported a default or fraud, and the signals of disputes that were
    /// decided.
    pub retracted: [u32; RetractionReason::ALL.len()],
    /// Disputes that the borrower won in the month.
    pub disputes_upheld: u32,
    /// Disputes that the borrower lost in the month.
    pub disputes_rejected: u32,
}

impl MonthlyCounts {
    /// How many numbers these are.
    pub const NUMBERS: usize = 10;

    /// All counts in the order of the fields: what statements and rows are made of.
    #[must_use]
    pub const fn to_numbers(&self) -> [u32; Self::NUMBERS] {
        let [error, person, upheld, court, duplicate, decided] = self.retracted;
        [
            self.accounts,
            self.default_filings,
            error,
            person,
            upheld,
            court,
            duplicate,
            decided,
            self.disputes_upheld,
            self.disputes_rejected,
        ]
    }

    /// What [`Self::to_numbers`] gave.
    #[must_use]
    pub const fn from_numbers(numbers: [u32; Self::NUMBERS]) -> Self {
        let [accounts, default_filings, rest @ ..] = numbers;
        let [error, person, upheld, court, duplicate, decided, won, lost] = rest;
        Self {
            accounts,
            default_filings,
            retracted: [error, person, upheld, court, duplicate, decided],
            disputes_upheld: won,
            disputes_rejected: lost,
        }
    }

    /// Counts one record of the member's book, in its newest version; `was` is what its retraction
    /// ended.
    pub fn count(&mut self, record: &Record, was: Option<RetractedAs>, month: Month) {
        let one_more = |count: &mut u32| *count = count.saturating_add(1);
        if default_reported_on(record).is_some_and(|day| month.has(day)) {
            one_more(&mut self.default_filings);
        }
        let reported = month.has(record.head.reported_at.day());
        match &record.body {
            Body::Loan(loan) => {
                if loan.state == LoanState::Active || is_unpaid(loan) {
                    one_more(&mut self.accounts);
                }
                if loan.dispute == Dispute::ResolvedDisagrees && reported {
                    one_more(&mut self.disputes_rejected);
                }
            }
            Body::Retracted(retraction) if reported => match retraction.kind {
                RecordKind::Loan | RecordKind::Signal => {
                    self.count_retracted(retraction.reason, was);
                }
                RecordKind::Application | RecordKind::Hold => {}
            },
            Body::Signal(_) | Body::Application(_) | Body::Hold(_) | Body::Retracted(_) => {}
        }
    }

    fn count_retracted(&mut self, reason: RetractionReason, was: Option<RetractedAs>) {
        let one_more = |count: &mut u32| *count = count.saturating_add(1);
        let decided = reason == RetractionReason::DisputeDecided;
        if decided || was == Some(RetractedAs::DefaultReport) {
            self.add_retracted(reason);
        }
        if was == Some(RetractedAs::LostDispute) {
            one_more(&mut self.disputes_rejected);
        }
        if reason == RetractionReason::DisputeUpheld {
            one_more(&mut self.disputes_upheld);
        }
    }

    /// What was retracted for one reason.
    #[must_use]
    pub fn retracted_for(&self, reason: RetractionReason) -> u32 {
        let all = RetractionReason::ALL.iter().zip(self.retracted);
        all.filter(|(one, _)| **one == reason).map(|(_, n)| n).sum()
    }

    /// Counts one more that was retracted for a reason.
    pub fn add_retracted(&mut self, reason: RetractionReason) {
        let all = RetractionReason::ALL.iter().zip(&mut self.retracted);
        for (one, count) in all {
            if *one == reason {
                *count = count.saturating_add(1);
            }
        }
    }

    /// What was filed and proved wrong: retracted, neither as a duplicate nor because a dispute was
    /// decided.
    #[must_use]
    pub fn overturned(&self) -> u32 {
        let all: u32 = self
            .retracted
            .iter()
            .fold(0, |sum, n| sum.saturating_add(*n));
        let not_wrong = [
            RetractionReason::Duplicate,
            RetractionReason::DisputeDecided,
        ];
        let not_wrong = not_wrong.map(|reason| self.retracted_for(reason));
        not_wrong.iter().fold(all, |sum, n| sum.saturating_sub(*n))
    }
}

/// Days past due from which a loan is in default.
const DEFAULT_DPD: u16 = 90;

/// What a retraction ended, where that counts in the member's months: the retraction itself does
/// not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetractedAs {
    /// A default, charge-off, first-payment default or fraud.
    DefaultReport,
    /// A dispute that the borrower lost.
    LostDispute,
}

/// The day on which a record reported a default, charge-off, first-payment default or fraud; `None`
/// where it reports none.
#[must_use]
pub fn default_reported_on(record: &Record) -> Option<Day> {
    match &record.body {
        Body::Loan(loan) => {
            let runs = loan.state == LoanState::Active;
            let defaulted = is_unpaid(loan) || runs && loan.dpd >= DEFAULT_DPD;
            defaulted.then(|| defaulted_on(loan, record))
        }
        Body::Signal(signal) => {
            let alone = signal.about.is_none();
            let reports = match signal.kind {
                SignalKind::FraudConfirmed | SignalKind::FirstPaymentDefault => true,
                SignalKind::Dpd90 | SignalKind::Default | SignalKind::ChargeOff => alone,
                SignalKind::Dpd30
                | SignalKind::Dpd60
                | SignalKind::FraudVictim
                | SignalKind::ProtectiveRegistration
                | SignalKind::Restructured
                | SignalKind::Forbearance
                | SignalKind::Insolvency
                | SignalKind::LostContact
                | SignalKind::Cured
                | SignalKind::Disputed => false,
            };
            reports.then(|| record.head.reported_at.day())
        }
        Body::Application(_) | Body::Hold(_) | Body::Retracted(_) => None,
    }
}

/// Charged off, and something still owed.
const fn is_unpaid(loan: &Loan) -> bool {
    matches!(loan.state, LoanState::ChargedOff) && loan.outstanding.minor > 0
}

/// The day on which a loan came to be in default: 90 days after the first day of the delinquency,
/// or, where that is not told, the day that the record tells of.
fn defaulted_on(loan: &Loan, record: &Record) -> Day {
    let first = loan.first_delinquency_on;
    first.map_or(record.head.as_of.day(), |day| {
        day.plus_days(i64::from(DEFAULT_DPD))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Borrower, Currency, Money, Product, RecordHead, RecordId, Signal, Version,
    };
    use uuid::Uuid;

    fn record(number: u128, at: &str, body: Body) -> Record {
        let at = Timestamp::parse_rfc3339(at).unwrap();
        Record {
            head: RecordHead {
                record_id: RecordId(Uuid::from_u128(number)),
                version: Version::FIRST,
                reported_at: at,
                as_of: at,
                expires_on: None,
            },
            borrower: Borrower::default(),
            body,
        }
    }

    fn loan(dpd: u16, first: Option<&str>) -> Body {
        let signed = Timestamp::parse_rfc3339("2025-01-05T09:00:00Z").unwrap();
        let amount = Money::of(1_000, Currency::USD);
        let mut loan = Loan::new("a".to_owned(), Product::CashLoan, amount, signed);
        loan.dpd = dpd;
        loan.first_delinquency_on = first.map(|day| day.parse().unwrap());
        Body::Loan(loan)
    }

    #[test]
    fn a_book_is_counted_for_the_month_asked_for() {
        let month = Month::parse("2026-02").unwrap();
        let fraud = |day: &str| {
            let on = "2026-02-03".parse().unwrap();
            let signal = Signal::new(SignalKind::FraudConfirmed, on, "desk".to_owned());
            record(9, day, Body::Signal(signal))
        };
        let gone = |reason| {
            let filed = record(5, "2026-01-05T09:00:00Z", loan(0, None));
            let at = Timestamp::parse_rfc3339("2026-02-28T23:59:59Z").unwrap();
            filed.retracted(reason, at)
        };
        let mut counts = MonthlyCounts::default();
        for record in [
            record(1, "2026-02-05T09:00:00Z", loan(0, None)),
            record(2, "2026-02-05T09:00:00Z", loan(95, Some("2025-11-20"))),
            record(3, "2026-02-05T09:00:00Z", loan(200, Some("2025-08-01"))),
            fraud("2026-02-04T00:00:00Z"),
            fraud("2026-03-01T00:00:00Z"),
        ] {
            counts.count(&record, None, month);
        }
        let report = Some(RetractedAs::DefaultReport);
        for (reason, was) in [
            (RetractionReason::DisputeUpheld, report),
            (RetractionReason::Duplicate, report),
            // Loans that were filed by mistake and reported nothing bad.
            (RetractionReason::FurnisherError, None),
            (RetractionReason::DisputeUpheld, None),
            (RetractionReason::DisputeDecided, None),
            (
                RetractionReason::DisputeDecided,
                Some(RetractedAs::LostDispute),
            ),
        ] {
            counts.count(&gone(reason), was, month);
        }
        assert_eq!(counts.to_numbers(), [3, 2, 0, 0, 1, 0, 1, 2, 2, 1]);
        assert_eq!(MonthlyCounts::from_numbers(counts.to_numbers()), counts);
    }

    #[test]
    fn months_follow_one_another_over_the_year() {
        let december = Month::of("2025-12-31".parse().unwrap());
        assert_eq!(december.to_string(), "2025-12");
        assert_eq!(december.next().to_string(), "2026-01");
        assert_eq!(december.next().minus(1), december);
        assert_eq!(december.next().start().to_rfc3339(), "2026-01-01T00:00:00Z");
        assert_eq!(Month::parse("2026-01"), Some(december.next()));
        for wrong in ["2026-1", "2026-13", "2026-00", "26-01", "2026-01-01", ""] {
            assert_eq!(Month::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn duplicates_and_decided_disputes_were_not_wrong() {
        let mut counts = MonthlyCounts::default();
        for reason in RetractionReason::ALL {
            counts.add_retracted(*reason);
        }
        assert_eq!(counts.retracted, [1; 6]);
        assert_eq!(counts.overturned(), 4);
    }
}
