//! How fast what happened loses weight in a score. Counts and flags never decay; the explanation of
//! an answer says how much of a dated event is left.

use std::time::Duration;

use super::witness::Bench;
use crate::domain::{ApplicationStage, FlagCode, Timestamp};

const DAY_S: u64 = 86_400;

/// What loses weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decaying {
    /// An application: half after 60 days.
    Inquiry,
    /// A delinquency: half after 12 months of 365/12 days.
    Delinquency,
    /// A default: half after 24 months.
    Default,
    /// A confirmed fraud: whole until it expires.
    Fraud,
}

impl Decaying {
    const fn half_life(self) -> Option<Duration> {
        match self {
            Self::Inquiry => Some(Duration::from_secs(60 * DAY_S)),
            Self::Delinquency => Some(Duration::from_secs(365 * DAY_S)),
            Self::Default => Some(Duration::from_secs(2 * 365 * DAY_S)),
            Self::Fraud => None,
        }
    }

    /// What is left of it after `age`: 0.5^(age ÷ half-life), from 0 to 1. Live states (a running
    /// loan, a hold) do not decay, and whatever is past its retention is not there to be weighed.
    #[must_use]
    pub fn weight(self, age: Duration) -> f64 {
        self.half_life().map_or(1.0, |half_life| {
            0.5_f64.powf(age.as_secs_f64() / half_life.as_secs_f64())
        })
    }
}

/// The newest dated event that a flag rests on, and how it loses weight; nothing for flags that
/// rest on live states, or on what summaries do not date.
pub(crate) fn newest(code: FlagCode, bench: &Bench<'_>) -> Option<(Decaying, Timestamp)> {
    let facts = || {
        let heard = bench.witnesses.iter();
        heard.filter_map(|witness| witness.national.as_ref())
    };
    if matches!(code, FlagCode::Ca | FlagCode::Vl) {
        let applications = facts().flat_map(|one| &one.applications);
        let hard = applications.filter(|one| one.stage != ApplicationStage::Soft);
        let newest = hard.map(|one| one.at.earliest).max()?;
        return Some((Decaying::Inquiry, newest));
    }
    if code == FlagCode::Rc {
        let cured = facts().filter_map(|one| one.cured_on).max()?;
        return Some((Decaying::Default, cured.start()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(number: u64) -> Duration {
        Duration::from_secs(number * DAY_S)
    }

    #[test]
    fn half_is_left_after_the_half_life_and_a_quarter_after_two() {
        for (what, half) in [
            (Decaying::Inquiry, 60),
            (Decaying::Delinquency, 365),
            (Decaying::Default, 730),
        ] {
            assert!((what.weight(days(0)) - 1.0).abs() < 1e-12);
            assert!((what.weight(days(half)) - 0.5).abs() < 1e-12);
            assert!((what.weight(days(2 * half)) - 0.25).abs() < 1e-12);
        }
        assert!((Decaying::Fraud.weight(days(3_000)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn weight_falls_with_age_and_is_never_gone() {
        let weights: Vec<f64> = (0..40)
            .map(|months| Decaying::Default.weight(days(months * 30)))
            .collect();
        assert!(weights.windows(2).all(|two| two[0] > two[1]));
        assert!(weights.iter().all(|weight| *weight > 0.0));
    }
}
