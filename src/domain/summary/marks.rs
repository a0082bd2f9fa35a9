//! What a summary is made of: groups in three bytes, hours in 20 bits, days in 16, tallies in 4.

use ring::digest::{SHA256, digest};

use crate::domain::{Day, LenderGroup, NetworkId, Timestamp};

const MS_PER_HOUR: i64 = 3_600_000;

/// A lender group in three bytes.
///
/// Zero is the publishing member's own group; another group is the first three bytes of
/// SHA-256(`lender-group` ‖ 0 ‖ network ‖ 0 ‖ group). Two groups of a network share a code with a
/// probability of 2⁻²⁴, and then count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GroupCode(pub(super) [u8; 3]);

impl GroupCode {
    /// The publishing member's own group.
    pub const OWN: Self = Self([0; 3]);

    /// Several groups; stands only where signals come from.
    pub const SEVERAL: Self = Self([0xff; 3]);

    /// The code of a group in a network; never [`Self::OWN`] or [`Self::SEVERAL`].
    #[must_use]
    pub fn of(network: &NetworkId, group: &LenderGroup) -> Self {
        let mut text = b"lender-group\0".to_vec();
        text.extend_from_slice(network.as_str().as_bytes());
        text.push(0);
        text.extend_from_slice(group.as_str().as_bytes());
        match *digest(&SHA256, &text).as_ref() {
            [0, 0, 0, ..] => Self([0, 0, 1]),
            [0xff, 0xff, 0xff, ..] => Self([0xff, 0xff, 0xfe]),
            [a, b, c, ..] => Self([a, b, c]),
            [..] => Self([0, 0, 1]),
        }
    }

    /// This code, or `own` where it is [`Self::OWN`].
    #[must_use]
    pub fn resolved(self, own: Self) -> Self {
        if self == Self::OWN { own } else { self }
    }
}

/// An hour in 20 bits: hours since 2020-01-01T00:00Z.
///
/// 0 also stands for everything before it, the largest also for everything after (2139).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HourMark(pub(super) u32);

impl HourMark {
    /// Hours from the Unix epoch to 2020-01-01T00:00Z.
    const EPOCH_HOURS: i64 = 438_288;
    const LAST: u32 = 0x000f_ffff;

    /// The hour that a moment lies in.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        let hours = moment.unix_ms().div_euclid(MS_PER_HOUR) - Self::EPOCH_HOURS;
        let last = i64::from(Self::LAST);
        Self(u32::try_from(hours.clamp(0, last)).unwrap_or(Self::LAST))
    }

    /// The first moment that it can stand for.
    #[must_use]
    pub fn earliest(self) -> Timestamp {
        if self.0 == 0 {
            Timestamp::from_unix_ms(i64::MIN)
        } else {
            self.start()
        }
    }

    /// The last moment that it can stand for.
    #[must_use]
    pub fn latest(self) -> Timestamp {
        if self.0 == Self::LAST {
            Timestamp::from_unix_ms(i64::MAX)
        } else {
            Timestamp::from_unix_ms(self.start().unix_ms() + MS_PER_HOUR - 1)
        }
    }

    /// The hour `hours` later; stops at the last one.
    #[must_use]
    pub fn plus_hours(self, hours: u8) -> Self {
        Self((self.0 + u32::from(hours)).min(Self::LAST))
    }

    /// Whole hours from `earlier` to this one; 0 if `earlier` is later.
    #[must_use]
    pub const fn hours_since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    fn start(self) -> Timestamp {
        Timestamp::from_unix_ms((i64::from(self.0) + Self::EPOCH_HOURS) * MS_PER_HOUR)
    }
}

/// A day in 16 bits, from 2000-01-02 to 2179-06-06; days outside are moved to the nearest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayMark(pub(super) u16);

impl DayMark {
    /// Days from the Unix epoch to 2000-01-01.
    const EPOCH_DAYS: i64 = 10_957;

    /// The mark of a day.
    #[must_use]
    pub fn of(day: Day) -> Self {
        let days = (day.unix_days() - Self::EPOCH_DAYS).clamp(1, i64::from(u16::MAX));
        Self(u16::try_from(days).unwrap_or(u16::MAX))
    }

    /// The day.
    #[must_use]
    pub fn day(self) -> Day {
        Day::from_unix_days(i64::from(self.0) + Self::EPOCH_DAYS)
    }
}

/// How many were left out: 0 to 14 exactly, 15 stands for 15 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tally(pub(super) u8);

impl Tally {
    /// The tally of `number`.
    #[must_use]
    pub fn of(number: usize) -> Self {
        Self(u8::try_from(number).unwrap_or(15).min(15))
    }

    /// The tally with `number` more.
    #[must_use]
    pub fn plus(self, number: usize) -> Self {
        Self::of(usize::from(self.0).saturating_add(number))
    }

    /// The most it can stand for; `None` where nothing bounds it.
    #[must_use]
    pub const fn at_most(self) -> Option<u32> {
        match self.0 {
            0..=14 => Some(self.0 as u32),
            15.. => None,
        }
    }

    /// The least it can stand for.
    #[must_use]
    pub const fn at_least(self) -> u32 {
        self.0 as u32
    }

    /// Whether nothing was left out.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}
