//! Moments, hours and calendar days, all in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

const MS_PER_HOUR: i64 = 3_600_000;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `ms` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The moment `span` later; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The moment `span` earlier; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The hour that this moment lies in; moments before 1970 lie in hour 0.
    #[must_use]
    pub fn hour(self) -> Hour {
        Hour(u32::try_from(self.0.div_euclid(MS_PER_HOUR)).unwrap_or(0))
    }

    /// The UTC calendar day that this moment lies in.
    #[must_use]
    pub fn day(self) -> Day {
        Day::from_unix_days(self.0.div_euclid(MS_PER_DAY))
    }

    /// Parses RFC 3339 text such as `2026-01-31T08:30:00Z`.
    ///
    /// # Errors
    /// [`InvalidDay`] where the text is not RFC 3339.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidDay> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidDay)?;
        let ms = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(ms).map(Self).map_err(|_| InvalidDay)
    }

    /// Parses RFC 3339 text, or a day, which stands for its first moment in UTC.
    ///
    /// # Errors
    /// [`InvalidDay`] where the text is neither.
    pub fn parse_day_or_moment(text: &str) -> Result<Self, InvalidDay> {
        Self::parse_rfc3339(text).or_else(|_| Ok(text.parse::<Day>()?.start()))
    }

    /// RFC 3339 text in UTC with milliseconds where there are any.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .unwrap_or_else(|| format!("{} ms", self.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// An hour: whole hours since the Unix epoch. What a member publishes is rounded down to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hour(pub u32);

impl Hour {
    /// The first moment of the hour.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0) * MS_PER_HOUR)
    }

    /// The first moment after the hour.
    #[must_use]
    pub fn end(self) -> Timestamp {
        Timestamp((i64::from(self.0) + 1) * MS_PER_HOUR)
    }
}

/// The text is not a calendar day (`2026-01-31`) or moment (`2026-01-31T08:30:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a date: write a day as 2026-01-31 and a moment as 2026-01-31T08:30:00Z")]
pub struct InvalidDay;

/// A calendar day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

impl Day {
    /// The day `days` days after 1970-01-01; out-of-range values give the nearest day that exists.
    #[must_use]
    pub fn from_unix_days(days: i64) -> Self {
        let moment = OffsetDateTime::from_unix_timestamp(days.saturating_mul(86_400));
        Self(moment.map_or(
            if days < 0 { Date::MIN } else { Date::MAX },
            OffsetDateTime::date,
        ))
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub fn unix_days(self) -> i64 {
        self.0
            .midnight()
            .assume_utc()
            .unix_timestamp()
            .div_euclid(86_400)
    }

    /// The day with this calendar date, if it exists.
    #[must_use]
    pub fn from_calendar(year: i32, month: u8, day: u8) -> Option<Self> {
        let month = time::Month::try_from(month).ok()?;
        Date::from_calendar_date(year, month, day).ok().map(Self)
    }

    /// Year of the day.
    #[must_use]
    pub fn year(self) -> i32 {
        self.0.year()
    }

    /// The first day of its month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        self.plus_days(1 - i64::from(self.0.day()))
    }

    /// The same date `months` later; where that month is too short, the first day after it.
    #[must_use]
    pub fn plus_months(self, months: u32) -> Self {
        let (year, month, day) = self.0.to_calendar_date();
        let months = i64::from(year) * 12 + i64::from(u8::from(month)) - 1 + i64::from(months);
        let year = i32::try_from(months.div_euclid(12)).unwrap_or(i32::MAX);
        let month = u8::try_from(months.rem_euclid(12) + 1).unwrap_or(1);
        let first = Self::from_calendar(year, month, 1);
        let last_of_range = Self(Date::MAX);
        Self::from_calendar(year, month, day).unwrap_or_else(|| {
            first.map_or(last_of_range, |first| {
                let next_month = first.plus_days(31);
                next_month.plus_days(1 - i64::from(next_month.0.day()))
            })
        })
    }

    /// The first moment of the day.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(self.unix_days() * MS_PER_DAY)
    }

    /// The day `days` later (earlier where negative).
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        Self::from_unix_days(self.unix_days().saturating_add(days))
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        // The parser would also take a sign in front of the year.
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(InvalidDay);
        }
        Date::parse(text, format_description!("[year]-[month]-[day]"))
            .map(Self)
            .map_err(|_| InvalidDay)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_round_trip() {
        let day: Day = "2024-02-29".parse().unwrap();
        assert_eq!(day.to_string(), "2024-02-29");
        assert_eq!(day.start().day(), day);
        let moment = Timestamp::parse_rfc3339("2026-01-31T08:30:00.250Z").unwrap();
        assert_eq!(Timestamp::parse_rfc3339(&moment.to_rfc3339()), Ok(moment));
        assert!(moment.hour().start() <= moment && moment < moment.hour().end());
    }

    #[test]
    fn months_later_is_the_same_date_or_the_first_day_after_a_short_month() {
        for (from, months, to) in [
            ("2024-01-15", 1, "2024-02-15"),
            ("2024-12-31", 2, "2025-03-01"),
            ("2024-02-29", 216, "2042-03-01"),
            ("2024-02-29", 48, "2028-02-29"),
            ("2024-10-31", 1, "2024-12-01"),
        ] {
            let day: Day = from.parse().unwrap();
            assert_eq!(day.plus_months(months).to_string(), to, "{from} + {months}");
        }
    }

    #[test]
    fn a_day_that_does_not_exist_is_refused() {
        for text in [
            "2023-02-29",
            "+2023-02-28",
            "2023-2-28",
            "23-02-28",
            "2023-02-28 ",
            "",
        ] {
            assert_eq!(text.parse::<Day>(), Err(InvalidDay), "{text}");
        }
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), Err(InvalidDay));
    }
}
