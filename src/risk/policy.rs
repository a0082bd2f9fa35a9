//! The policy: thresholds, caps and times by which flags are concluded, read from a TOML file.

mod file;

use std::time::Duration;

use super::fishing::FishingThresholds;
use crate::domain::{CountName, Currency};
use crate::limits::POLICY_BYTES_MAX;
use file::Raw;

const CNY: &str = include_str!("../../policies/cny.toml");
const INR: &str = include_str!("../../policies/inr.toml");
const USD: &str = include_str!("../../policies/usd.toml");

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than any policy needs to be.
    #[error("policy longer than {POLICY_BYTES_MAX} bytes; is it the right file?")]
    TooLong,
    /// Not TOML, or a key is missing, unknown or of the wrong type.
    #[error("policy cannot be read; correct the key that is named: {0}")]
    Unreadable(String),
    /// A value breaks a rule.
    #[error("policy key `{key}` {rule}")]
    Invalid {
        /// The key, with its tables.
        key: String,
        /// What must hold.
        rule: &'static str,
    },
}

/// Thresholds of a flag that counts groups, each one at least 1 and rising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiBorrowing {
    /// Low from this many groups.
    pub low: u32,
    /// Medium from this many groups.
    pub medium: u32,
    /// High from this many groups.
    pub high: u32,
}

/// Thresholds of exposure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The most that a borrower should owe elsewhere, in minor units.
    pub cap_minor: u64,
    /// Medium from this share of the cap, in percent.
    pub medium_percent: u32,
    /// High from this share of the cap, in percent.
    pub high_percent: u32,
    /// Critical from this share of the cap, in percent.
    pub critical_percent: u32,
    /// High where instalments elsewhere exceed this share of the stated income, in percent.
    pub income_percent: u32,
}

/// Thresholds of application velocity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Velocity {
    /// Medium from this many groups in the window of the count, shortest window first.
    pub medium: [(CountName, u32); 6],
    /// High from this many times as many.
    pub high_factor: u32,
}

/// Thresholds of stacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stacking {
    /// High from this many groups in 15 days.
    pub high_15d: u32,
    /// Critical from this many groups in 72 hours.
    pub critical_72h: u32,
    /// Critical from this many groups in 15 days.
    pub critical_15d: u32,
}

/// A checked policy. It can only be made by [`Policy::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Its name, for reports.
    pub name: String,
    /// The currency of its amounts.
    pub currency: Currency,
    /// Whether explanations and silent members carry names.
    pub show_members: bool,
    /// For how long an answer may be used.
    pub answer_valid: Duration,
    /// Thousandths of weight below which coverage is degraded.
    pub coverage_good_per_mille: u16,
    /// Thousandths of weight below which nothing is concluded.
    pub coverage_least_per_mille: u16,
    /// Age of a member's last checkpoint from which it may have more to tell.
    pub current_within: Duration,
    /// Age from which it is stale.
    pub stale_after: Duration,
    /// Age from which it counts as silent.
    pub missing_after: Duration,
    /// Lender groups that one silent bureau could add to a count.
    pub silent_bureau_groups: u32,
    /// What may be owed at one silent lender group, in minor units.
    pub silent_exposure_minor: u64,
    /// Flag MB.
    pub multi_borrowing: MultiBorrowing,
    /// Flag EX.
    pub exposure: Exposure,
    /// Flag EG: growth in percent.
    pub growth_percent: u32,
    /// Flag VL.
    pub velocity: Velocity,
    /// Flag ST.
    pub stacking: Stacking,
    /// Flag CA: medium and high from this many groups.
    pub concurrent: (u32, u32),
    /// Flag AD: high and critical from this many groups.
    pub active_default: (u32, u32),
    /// Flag RC: medium and low up to this many months after the cure.
    pub recent_cure_months: (u32, u32),
    /// From when on queries look like fishing.
    pub fishing: FishingThresholds,
}

impl Policy {
    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], which names the key that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong);
        }
        let raw: Raw =
            toml::from_str(text).map_err(|error| PolicyError::Unreadable(error.to_string()))?;
        raw.check()
    }

    /// The policy that comes with the product for a currency: CNY, INR or USD.
    #[must_use]
    pub fn built_in(currency: Currency) -> Option<Self> {
        [CNY, INR, USD]
            .iter()
            .filter_map(|text| Self::parse(text).ok())
            .find(|policy| policy.currency == currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policies_are_sound() {
        for (text, currency) in [
            (CNY, Currency::CNY),
            (INR, Currency::INR),
            (USD, Currency::USD),
        ] {
            let policy = Policy::parse(text).unwrap();
            assert_eq!(policy.currency, currency);
            assert_eq!(Policy::built_in(currency), Some(policy));
        }
        assert_eq!(Policy::built_in(Currency::EUR), None);
    }

    #[test]
    fn a_wrong_value_is_named_by_its_key() {
        for (from, to, key) in [
            ("medium = 3", "medium = 2", "flags.MB.medium"),
            ("low = 2", "low = 0", "flags.MB.low"),
            (
                "cap_minor = 20_000_000",
                "cap_minor = 0",
                "flags.EX.cap_minor",
            ),
            ("high_factor = 2", "high_factor = 1", "flags.VL.high_factor"),
            ("24h = 3", "24h = 0", "flags.VL (hard_applications_24h)"),
            (
                "critical_15d = 3",
                "critical_15d = 2",
                "flags.ST.critical_15d",
            ),
            (
                "least_per_mille = 700",
                "least_per_mille = 901",
                "coverage.least_per_mille",
            ),
            (
                "warn_hours = 24",
                "warn_hours = 169",
                "freshness.missing_hours",
            ),
            (
                "bureau_groups = 16",
                "bureau_groups = 0",
                "silent.bureau_groups",
            ),
            ("currency = \"CNY\"", "currency = \"YUAN\"", "currency"),
            ("name = \"cny-default\"", "name = \"\"", "name"),
        ] {
            assert!(CNY.contains(from), "{from}");
            let Err(PolicyError::Invalid { key: named, .. }) =
                Policy::parse(&CNY.replace(from, to))
            else {
                panic!("{to} was accepted");
            };
            assert_eq!(named, key);
        }
    }

    #[test]
    fn unknown_missing_and_mistyped_keys_are_named() {
        for (from, to, named) in [
            ("high_factor = 2", "high_factor = 2\nhigher = 3", "higher"),
            ("high_factor = 2", "", "high_factor"),
            ("low = 2", "low = \"two\"", "low"),
            ("low = 2", "low = -2", "low"),
        ] {
            let Err(PolicyError::Unreadable(message)) = Policy::parse(&CNY.replace(from, to))
            else {
                panic!("{to} was accepted");
            };
            assert!(message.contains(named), "{message}");
        }
        let long = " ".repeat(POLICY_BYTES_MAX + 1);
        assert_eq!(Policy::parse(&long), Err(PolicyError::TooLong));
    }
}
