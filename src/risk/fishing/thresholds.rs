//! From when on something looks like fishing: part of the policy file, with defaults.

use serde::Deserialize;

/// Table `[fishing]` of the policy file; every key may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FishingThresholds {
    /// Two numbers at most so far apart are neighbours.
    pub near_numbers: u64,
    /// From so many people with neighbouring numbers, or in equal steps, more than chance makes.
    pub near_people: u32,
    /// Queries on one person that has got nothing, from which it counts as asked again and again.
    pub stranger_queries: u32,
    /// From so many such people.
    pub strangers: u32,
    /// People asked about from which a share of those who got something is judged.
    pub yield_people: u32,
    /// Thousandths of those asked about who got something, below which it is too few.
    pub yield_per_mille: u32,
    /// The share fell when it is below one part in so many of what it was.
    pub yield_fall: u32,
    /// Days on which a member must have asked before its days are compared with each other.
    pub base_days: u32,
    /// A day has far more questions from so many times the median day.
    pub volume_factor: u32,
    /// And from so many median distances above the median day.
    pub volume_spreads: u32,
    /// And from so many elements.
    pub volume_least: u32,
    /// Gaps of a second to an hour in one day from which their rhythm is judged.
    pub rhythm_gaps: u32,
    /// Thousandths of them that are as long as the gap before, from which it is a machine's.
    pub rhythm_per_mille: u32,
    /// Questions in a week from which its hours are judged.
    pub clock_requests: u32,
    /// Thousandths in the quietest six hours together, from which nobody sleeps there; 250 is even.
    pub clock_per_mille: u32,
    /// Elements in a week from which purposes are judged.
    pub purpose_elements: u32,
    /// Thousandths for collection, fraud prevention and self-access together.
    pub purpose_per_mille: u32,
    /// Account reviews are more than a book from so many times the leaves that it publishes.
    pub book_factor: u32,
    /// Thousandths of the quota from which it is spent to its end.
    pub spent_per_mille: u32,
    /// Key epochs in a row in which it was.
    pub spent_epochs: u32,
    /// Questions of a day under a commitment that another question had.
    pub reused_commitments: u32,
}

impl Default for FishingThresholds {
    fn default() -> Self {
        Self {
            near_numbers: 20,
            near_people: 20,
            stranger_queries: 6,
            strangers: 20,
            yield_people: 300,
            yield_per_mille: 20,
            yield_fall: 4,
            base_days: 7,
            volume_factor: 5,
            volume_spreads: 8,
            volume_least: 500,
            rhythm_gaps: 100,
            rhythm_per_mille: 700,
            clock_requests: 500,
            clock_per_mille: 200,
            purpose_elements: 500,
            purpose_per_mille: 500,
            book_factor: 3,
            spent_per_mille: 950,
            spent_epochs: 2,
            reused_commitments: 5,
        }
    }
}

/// A threshold that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("policy key `fishing.{key}` {rule}")]
pub struct ThresholdError {
    /// The key.
    pub key: &'static str,
    /// What must hold.
    pub rule: &'static str,
}

impl FishingThresholds {
    /// Checks that every threshold can be crossed, and that none is crossed by nothing.
    ///
    /// # Errors
    /// [`ThresholdError`] with the first key that is wrong.
    pub fn check(&self) -> Result<(), ThresholdError> {
        let at_least_one = [
            ("near_people", self.near_people),
            ("stranger_queries", self.stranger_queries),
            ("strangers", self.strangers),
            ("yield_people", self.yield_people),
            ("yield_fall", self.yield_fall),
            ("base_days", self.base_days),
            ("volume_factor", self.volume_factor),
            ("volume_least", self.volume_least),
            ("rhythm_gaps", self.rhythm_gaps),
            ("clock_requests", self.clock_requests),
            ("purpose_elements", self.purpose_elements),
            ("book_factor", self.book_factor),
            ("spent_epochs", self.spent_epochs),
            ("reused_commitments", self.reused_commitments),
        ];
        let rule = "must be at least 1";
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(ThresholdError { key, rule });
        }
        let shares = [
            ("yield_per_mille", self.yield_per_mille),
            ("rhythm_per_mille", self.rhythm_per_mille),
            ("clock_per_mille", self.clock_per_mille),
            ("purpose_per_mille", self.purpose_per_mille),
            ("spent_per_mille", self.spent_per_mille),
        ];
        let rule = "must be 1 to 1000";
        let sound = |value: u32| (1..=1_000).contains(&value);
        if let Some((key, _)) = shares.iter().find(|(_, value)| !sound(*value)) {
            return Err(ThresholdError { key, rule });
        }
        if !(1..=1_000).contains(&self.near_numbers) {
            let key = "near_numbers";
            return Err(ThresholdError { key, rule });
        }
        Ok(())
    }
}
