//! How much a member's word weighs: trust from what became of its reports, and doubts about it.

use super::PeerStanding;
use crate::domain::{Day, MonthlyCounts, Timestamp};
use crate::limits::DECLARED_REPORTS_MAX;

/// A flag with less behind it is uncorroborated, and counts one step less.
pub(crate) const CORROBORATED_PER_MILLE: u32 = 750;

/// A critical flag restricts only with this much behind it, from two sources at least.
pub(crate) const CRITICAL_PER_MILLE: u32 = 1_500;

/// The weight of a member's word in thousandths: (8 + upheld) ÷ (10 + upheld + 3 · overturned),
/// rounded down. 800 for a member of whom nothing is known; never above 1,000.
#[must_use]
pub fn weight_per_mille(upheld: u32, overturned: u32) -> u32 {
    let right = 8 + u64::from(upheld);
    let all = 10 + u64::from(upheld) + 3 * u64::from(overturned);
    u32::try_from(1_000 * right / all).unwrap_or(1_000)
}

/// Reports of a member that proved right and wrong: what was seen here, and what the member stated
/// of its own last months.
///
/// What it stated is scaled down to [`DECLARED_REPORTS_MAX`] reports: filings that it did not take
/// back proved right, what it took back (duplicates left out) proved wrong. So that what was seen
/// cannot be talked away, the stated reports that proved right are divided by one more than the
/// reports that were seen to be wrong. Those are not counted twice: the larger number is taken.
#[must_use]
pub fn believed(seen: (u32, u32), months: &[MonthlyCounts]) -> (u32, u32) {
    let sum = |of: fn(&MonthlyCounts) -> u32| -> u64 {
        months.iter().map(|month| u64::from(of(month))).sum()
    };
    let wrong = sum(MonthlyCounts::overturned);
    let filed = sum(|month| month.default_filings) + sum(|month| month.disputes_rejected);
    let right = filed.saturating_sub(wrong);
    let all = (right + wrong).max(1);
    let most = u64::from(DECLARED_REPORTS_MAX);
    let scaled = |reports: u64| {
        let part = if all > most {
            (reports * most).div_ceil(all)
        } else {
            reports
        };
        u32::try_from(part).unwrap_or(u32::MAX)
    };
    let (seen_right, seen_wrong) = seen;
    let stated_right = scaled(right) / seen_wrong.saturating_add(1);
    (
        seen_right.saturating_add(stated_right),
        seen_wrong.max(scaled(wrong)),
    )
}

/// Why a member's adverse word weighs less than its trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It is in quarantine: its word weighs nothing.
    Quarantined,
    /// A person here called it troubled: its word weighs half.
    Troubled,
}

impl Doubt {
    /// The doubt about what a member published at `made` by its own word, and what this node took
    /// on the day `taken_on`. One of them has to be later than what made the member doubtful, since
    /// a liar dates its leaves back. A summary does not tell the day on which something was filed,
    /// so all that stands in a leaf published since then counts as new.
    pub(crate) fn of(
        standing: &PeerStanding,
        made: Timestamp,
        taken_on: Option<Day>,
    ) -> Option<Self> {
        let since = |start: Option<Timestamp>| {
            let taken_since = |start: Timestamp| taken_on.is_some_and(|day| day >= start.day());
            start.is_some_and(|start| made >= start || taken_since(start))
        };
        if since(standing.quarantined_since) {
            Some(Self::Quarantined)
        } else if since(standing.troubled_since) {
            Some(Self::Troubled)
        } else {
            None
        }
    }

    /// What is left of a weight.
    pub(crate) const fn weight(doubt: Option<Self>, per_mille: u32) -> u32 {
        match doubt {
            None => per_mille,
            Some(Self::Troubled) => per_mille / 2,
            Some(Self::Quarantined) => 0,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Quarantined => {
                "is in quarantine: nothing adverse rests on what it published since"
            }
            Self::Troubled => {
                "is troubled: what it published since weighs half where it is adverse"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_starts_at_800_and_falls_three_times_as_fast_as_it_rises() {
        for (upheld, overturned, weight) in [
            (0, 0, 800),
            (0, 1, 615),
            (1, 1, 642),
            (10, 0, 900),
            (100, 3, 907),
            (0, 20, 114),
            (u32::MAX, 0, 999),
            (0, u32::MAX, 0),
        ] {
            assert_eq!(weight_per_mille(upheld, overturned), weight);
        }
    }

    #[test]
    fn what_a_member_states_cannot_talk_away_what_was_seen() {
        let stated = |filings, taken_back| {
            let mut numbers = [0; MonthlyCounts::NUMBERS];
            numbers[0] = 1_000_000;
            numbers[1] = filings;
            numbers[2] = taken_back;
            MonthlyCounts::from_numbers(numbers)
        };
        assert_eq!(believed((0, 0), &[]), (0, 0));
        assert_eq!(believed((0, 0), &[stated(50, 2), stated(40, 1)]), (87, 3));
        assert_eq!(believed((1, 9), &[stated(50, 2)]), (5, 9));
        // However much it says it filed.
        for (seen, counted) in [(3, 25), (11, 8), (27, 3)] {
            let (right, wrong) = believed((0, seen), &[stated(u32::MAX, 0); 12]);
            assert_eq!((right, wrong), (counted, seen));
            assert!(weight_per_mille(right, wrong) <= CORROBORATED_PER_MILLE);
        }
        // A few errors of a member of whom much was seen to be right.
        let (right, wrong) = believed((300, 3), &[stated(600, 0)]);
        assert!(weight_per_mille(right, wrong) > 950);
        // A large honest book: 600 filings, 30 taken back.
        let (right, wrong) = believed((0, 0), &[stated(600, 30)]);
        assert_eq!((right, wrong), (95, 5));
        assert!(weight_per_mille(right, wrong) > 800);
    }

    #[test]
    fn doubt_is_about_what_was_published_since_only() {
        let since = Timestamp::parse_rfc3339("2026-03-01T00:00:00Z").unwrap();
        let before = Timestamp::from_unix_ms(since.unix_ms() - 1);
        let troubled = PeerStanding {
            troubled_since: Some(since),
            ..PeerStanding::default()
        };
        assert_eq!(Doubt::of(&troubled, before, None), None);
        assert_eq!(Doubt::of(&troubled, since, None), Some(Doubt::Troubled));
        // It says before, and this node took it since.
        assert_eq!(Doubt::of(&troubled, before, Some(before.day())), None);
        let dated_back = Doubt::of(&troubled, before, Some(since.day()));
        assert_eq!(dated_back, Some(Doubt::Troubled));
        let both = PeerStanding {
            quarantined_since: Some(since),
            ..troubled
        };
        assert_eq!(Doubt::of(&both, since, None), Some(Doubt::Quarantined));
        assert_eq!(Doubt::weight(Some(Doubt::Troubled), 801), 400);
        assert_eq!(Doubt::weight(Some(Doubt::Quarantined), 801), 0);
    }
}
