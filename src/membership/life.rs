//! How much of its life a certificate has left: what operators are told by a colour.

use super::certificate::PeerCertificate;
use crate::domain::Timestamp;

/// How much of its life a certificate has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifeLeft {
    /// More than half.
    Green,
    /// Half or less: it should have been renewed.
    Amber,
    /// A fifth or less: peers will soon refuse it.
    Red,
    /// Nothing: peers refuse it.
    Expired,
}

impl LifeLeft {
    /// The word for it in JSON and for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
            Self::Expired => "expired",
        }
    }

    /// The life left at `now` between a beginning and an end.
    #[must_use]
    pub fn at(now: Timestamp, not_before: Timestamp, not_after: Timestamp) -> Self {
        let life = not_after.since(not_before);
        let left = not_after.since(now);
        if left.is_zero() {
            Self::Expired
        } else if left.saturating_mul(5) <= life {
            Self::Red
        } else if left.saturating_mul(2) <= life {
            Self::Amber
        } else {
            Self::Green
        }
    }
}

impl PeerCertificate {
    /// The life left at `now`.
    #[must_use]
    pub fn life_left(&self, now: Timestamp) -> LifeLeft {
        LifeLeft::at(now, self.not_before(), self.not_after())
    }

    /// When half of its life is over and it is to be renewed.
    #[must_use]
    pub fn renews_at(&self) -> Timestamp {
        let life = self.not_after().since(self.not_before());
        self.not_before().plus(life / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amber_begins_at_half_and_red_at_a_fifth() {
        let at = Timestamp::from_unix_ms;
        for (now, wanted) in [
            (0, LifeLeft::Green),
            (499, LifeLeft::Green),
            (500, LifeLeft::Amber),
            (799, LifeLeft::Amber),
            (800, LifeLeft::Red),
            (999, LifeLeft::Red),
            (1_000, LifeLeft::Expired),
            (5_000, LifeLeft::Expired),
        ] {
            assert_eq!(LifeLeft::at(at(now), at(0), at(1_000)), wanted, "{now}");
        }
    }
}
