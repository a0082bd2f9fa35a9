//! How much a member's word weighs: trust from what became of its reports, and doubts about it.

use super::PeerStanding;
use crate::domain::Timestamp;

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

/// Why a member's adverse word weighs less than its trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It is in quarantine: its word weighs nothing.
    Quarantined,
    /// It is watched: its word weighs half.
    Watched,
}

impl Doubt {
    /// The doubt about what a member published at `made`, which has to be later than what made the
    /// member doubtful. A summary does not tell the day on which something was filed, so all that
    /// stands in a leaf published since then counts as new.
    pub(crate) fn of(standing: &PeerStanding, made: Timestamp) -> Option<Self> {
        let since = |start: Option<Timestamp>| start.is_some_and(|start| made >= start);
        if since(standing.quarantined_since) {
            Some(Self::Quarantined)
        } else if since(standing.watched_since) {
            Some(Self::Watched)
        } else {
            None
        }
    }

    /// What is left of a weight.
    pub(crate) const fn weight(doubt: Option<Self>, per_mille: u32) -> u32 {
        match doubt {
            None => per_mille,
            Some(Self::Watched) => per_mille / 2,
            Some(Self::Quarantined) => 0,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Quarantined => {
                "is in quarantine: nothing adverse rests on what it published since"
            }
            Self::Watched => "is watched: what it published since weighs half where it is adverse",
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
    fn doubt_is_about_what_was_published_since_only() {
        let since = Timestamp::parse_rfc3339("2026-03-01T00:00:00Z").unwrap();
        let before = Timestamp::from_unix_ms(since.unix_ms() - 1);
        let watched = PeerStanding {
            watched_since: Some(since),
            ..PeerStanding::default()
        };
        assert_eq!(Doubt::of(&watched, before), None);
        assert_eq!(Doubt::of(&watched, since), Some(Doubt::Watched));
        let both = PeerStanding {
            quarantined_since: Some(since),
            ..watched
        };
        assert_eq!(Doubt::of(&both, since), Some(Doubt::Quarantined));
        assert_eq!(Doubt::weight(Some(Doubt::Watched), 801), 400);
        assert_eq!(Doubt::weight(Some(Doubt::Quarantined), 801), 0);
    }
}
