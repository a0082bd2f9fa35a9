//! What a member states of itself for a month: counts of its book, its filings and corrections.

use std::fmt;

use super::{Day, RetractionReason, Timestamp};

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
    /// Accounts on which money was owed when the counts were made.
    pub accounts: u32,
    /// Defaults, charge-offs, first-payment defaults and frauds filed in the month.
    pub default_filings: u32,
    /// Loans and signals retracted in the month, in the order of [`RetractionReason::ALL`].
    pub retracted: [u32; RetractionReason::ALL.len()],
    /// Disputes that the borrower won in the month.
    pub disputes_upheld: u32,
    /// Disputes that the borrower lost in the month.
    pub disputes_rejected: u32,
}

impl MonthlyCounts {
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

#[cfg(test)]
mod tests {
    use super::*;

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
