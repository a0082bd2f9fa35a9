//! A policy file as it is written, and the rules that its values must hold.

use std::time::Duration;

use serde::Deserialize;

use super::{Exposure, MultiBorrowing, Policy, PolicyError, Stacking, Velocity};
use crate::domain::{CountName, Currency};
use crate::risk::fishing::FishingThresholds;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    name: String,
    currency: String,
    show_members: bool,
    answer_valid_minutes: u32,
    coverage: RawCoverage,
    freshness: RawFreshness,
    silent: RawSilent,
    flags: RawFlags,
    #[serde(default)]
    fishing: FishingThresholds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCoverage {
    good_per_mille: u16,
    least_per_mille: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFreshness {
    current_minutes: u32,
    warn_hours: u32,
    missing_hours: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSilent {
    bureau_groups: u32,
    exposure_minor: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlags {
    #[serde(rename = "MB")]
    mb: RawMb,
    #[serde(rename = "EX")]
    ex: RawEx,
    #[serde(rename = "EG")]
    eg: RawEg,
    #[serde(rename = "VL")]
    vl: RawVl,
    #[serde(rename = "ST")]
    st: RawSt,
    #[serde(rename = "CA")]
    ca: RawCa,
    #[serde(rename = "AD")]
    ad: RawAd,
    #[serde(rename = "RC")]
    rc: RawRc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMb {
    low: u32,
    medium: u32,
    high: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEx {
    cap_minor: u64,
    medium_percent: u32,
    high_percent: u32,
    critical_percent: u32,
    income_percent: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEg {
    growth_percent: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVl {
    #[serde(rename = "24h")]
    h24: u32,
    #[serde(rename = "7d")]
    d7: u32,
    #[serde(rename = "15d")]
    d15: u32,
    #[serde(rename = "30d")]
    d30: u32,
    #[serde(rename = "90d")]
    d90: u32,
    #[serde(rename = "180d")]
    d180: u32,
    high_factor: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSt {
    high_15d: u32,
    critical_72h: u32,
    critical_15d: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCa {
    medium: u32,
    high: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAd {
    high: u32,
    critical: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRc {
    medium_months: u32,
    low_months: u32,
}

fn hold(key: &str, holds: bool, rule: &'static str) -> Result<(), PolicyError> {
    if holds {
        Ok(())
    } else {
        let key = key.to_owned();
        Err(PolicyError::Invalid { key, rule })
    }
}

/// Thresholds that must be at least 1 and rise strictly, with their keys.
fn rising(table: &str, steps: &[(&str, u32)]) -> Result<(), PolicyError> {
    let mut before = 0;
    for (key, value) in steps {
        let rule = "must be at least 1 and above the threshold before it";
        hold(&format!("{table}.{key}"), *value > before, rule)?;
        before = *value;
    }
    Ok(())
}

impl Raw {
    pub(super) fn check(self) -> Result<Policy, PolicyError> {
        self.check_times()?;
        self.check_flags()?;
        let fishing = self.fishing.check();
        fishing.map_err(|error| PolicyError::Invalid {
            key: format!("fishing.{}", error.key),
            rule: error.rule,
        })?;
        let currency = Currency::from_code(&self.currency).ok_or_else(|| PolicyError::Invalid {
            key: "currency".to_owned(),
            rule: "must be an ISO 4217 code such as CNY",
        })?;
        let minutes = |number: u32| Duration::from_secs(u64::from(number) * 60);
        let flags = self.flags;
        Ok(Policy {
            name: self.name,
            currency,
            show_members: self.show_members,
            answer_valid: minutes(self.answer_valid_minutes),
            coverage_good_per_mille: self.coverage.good_per_mille,
            coverage_least_per_mille: self.coverage.least_per_mille,
            current_within: minutes(self.freshness.current_minutes),
            stale_after: minutes(self.freshness.warn_hours).saturating_mul(60),
            missing_after: minutes(self.freshness.missing_hours).saturating_mul(60),
            silent_bureau_groups: self.silent.bureau_groups,
            silent_exposure_minor: self.silent.exposure_minor,
            multi_borrowing: MultiBorrowing {
                low: flags.mb.low,
                medium: flags.mb.medium,
                high: flags.mb.high,
            },
            exposure: Exposure {
                cap_minor: flags.ex.cap_minor,
                medium_percent: flags.ex.medium_percent,
                high_percent: flags.ex.high_percent,
                critical_percent: flags.ex.critical_percent,
                income_percent: flags.ex.income_percent,
            },
            growth_percent: flags.eg.growth_percent,
            velocity: Velocity {
                medium: flags.vl.medium(),
                high_factor: flags.vl.high_factor,
            },
            stacking: Stacking {
                high_15d: flags.st.high_15d,
                critical_72h: flags.st.critical_72h,
                critical_15d: flags.st.critical_15d,
            },
            concurrent: (flags.ca.medium, flags.ca.high),
            active_default: (flags.ad.high, flags.ad.critical),
            recent_cure_months: (flags.rc.medium_months, flags.rc.low_months),
            fishing: self.fishing,
        })
    }

    fn check_times(&self) -> Result<(), PolicyError> {
        hold(
            "name",
            (1..=64).contains(&self.name.len()),
            "must have 1 to 64 bytes",
        )?;
        hold(
            "answer_valid_minutes",
            (1..=1_440).contains(&self.answer_valid_minutes),
            "must be 1 to 1440",
        )?;
        let good = self.coverage.good_per_mille;
        hold(
            "coverage.good_per_mille",
            (1..=1_000).contains(&good),
            "must be 1 to 1000",
        )?;
        hold(
            "coverage.least_per_mille",
            (1..=good).contains(&self.coverage.least_per_mille),
            "must be 1 to coverage.good_per_mille",
        )?;
        hold(
            "freshness.current_minutes",
            self.freshness.current_minutes >= 1,
            "must be at least 1",
        )?;
        let freshness = &self.freshness;
        rising(
            "freshness",
            &[
                ("warn_hours", freshness.warn_hours),
                ("missing_hours", freshness.missing_hours),
            ],
        )?;
        hold(
            "freshness.current_minutes",
            freshness.current_minutes <= freshness.warn_hours.saturating_mul(60),
            "must not be longer than freshness.warn_hours",
        )?;
        hold(
            "silent.bureau_groups",
            (1..=255).contains(&self.silent.bureau_groups),
            "must be 1 to 255",
        )
    }

    fn check_flags(&self) -> Result<(), PolicyError> {
        let flags = &self.flags;
        let (mb, ex) = (&flags.mb, &flags.ex);
        rising(
            "flags.MB",
            &[("low", mb.low), ("medium", mb.medium), ("high", mb.high)],
        )?;
        hold("flags.EX.cap_minor", ex.cap_minor > 0, "must be above zero")?;
        rising(
            "flags.EX",
            &[
                ("medium_percent", ex.medium_percent),
                ("high_percent", ex.high_percent),
                ("critical_percent", ex.critical_percent),
            ],
        )?;
        rising("flags.EX", &[("income_percent", ex.income_percent)])?;
        rising("flags.EG", &[("growth_percent", flags.eg.growth_percent)])?;
        for (count, least) in flags.vl.medium() {
            hold(
                &format!("flags.VL ({count})"),
                least >= 1,
                "must be at least 1",
            )?;
        }
        hold(
            "flags.VL.high_factor",
            (2..=100).contains(&flags.vl.high_factor),
            "must be 2 to 100",
        )?;
        let st = &flags.st;
        rising("flags.ST", &[("critical_72h", st.critical_72h)])?;
        rising(
            "flags.ST",
            &[("high_15d", st.high_15d), ("critical_15d", st.critical_15d)],
        )?;
        rising(
            "flags.CA",
            &[("medium", flags.ca.medium), ("high", flags.ca.high)],
        )?;
        rising(
            "flags.AD",
            &[("high", flags.ad.high), ("critical", flags.ad.critical)],
        )?;
        rising(
            "flags.RC",
            &[
                ("medium_months", flags.rc.medium_months),
                ("low_months", flags.rc.low_months),
            ],
        )
    }
}

impl RawVl {
    const fn medium(&self) -> [(CountName, u32); 6] {
        [
            (CountName::HardApplications24h, self.h24),
            (CountName::HardApplications7d, self.d7),
            (CountName::HardApplications15d, self.d15),
            (CountName::HardApplications30d, self.d30),
            (CountName::HardApplications90d, self.d90),
            (CountName::HardApplications180d, self.d180),
        ]
    }
}
