//! Which flags are true: thresholds of the policy on exact counts and amounts.

use std::collections::BTreeMap;

use super::TrueAnswer;
use super::traits::sum;
use crate::domain::{CountName, FlagCode, Timestamp};
use crate::risk::Policy;

/// From how many identifiers of the other kind on an identity is inconsistent.
const INCONSISTENT_FROM: usize = 3;

impl TrueAnswer {
    /// Whether each flag about the borrower is true at `now`, at any severity.
    ///
    /// Flags about the answer itself (coverage, staleness, corroboration, revision) are not here,
    /// nor those that no answer carries yet. The borrower's income counts as unknown.
    #[must_use]
    pub fn flags(&self, policy: &Policy, now: Timestamp) -> BTreeMap<FlagCode, bool> {
        let reaches = |name, least| self.counts.get(&name).is_some_and(|count| *count >= least);
        let velocity = &policy.velocity.medium;
        let stacking = &policy.stacking;
        let traits = &self.traits;
        let cured_lately = |months| {
            let cured = traits.cured_on;
            cured.is_some_and(|day| day.plus_months(months) >= now.day())
        };
        let (medium_months, low_months) = policy.recent_cure_months;
        BTreeMap::from([
            (
                FlagCode::Mb,
                reaches(CountName::ActiveLenderGroups, policy.multi_borrowing.low),
            ),
            (FlagCode::Ex, self.owes_too_much(policy)),
            (FlagCode::Eg, self.has_grown(policy)),
            (
                FlagCode::Vl,
                velocity.iter().any(|(name, least)| reaches(*name, *least)),
            ),
            (
                FlagCode::St,
                reaches(CountName::SignedGroups72h, stacking.critical_72h)
                    || reaches(CountName::SignedGroups15d, stacking.high_15d),
            ),
            (
                FlagCode::Ca,
                reaches(CountName::ConcurrentGroups72h, policy.concurrent.0),
            ),
            (
                FlagCode::Ad,
                reaches(CountName::ActiveDefaults, policy.active_default.0),
            ),
            (FlagCode::Dq, reaches(CountName::DelinquentGroups, 1)),
            (FlagCode::Fp, traits.first_payment_default),
            (FlagCode::Sd, traits.selective_default),
            (
                FlagCode::Id,
                traits.phones_90d.max(traits.nationals_90d) >= INCONSISTENT_FROM,
            ),
            (
                FlagCode::Rc,
                cured_lately(medium_months) || cured_lately(low_months),
            ),
            (FlagCode::Rs, traits.restructured),
            (FlagCode::Fr, traits.fraud),
            (FlagCode::Vi, traits.protective),
            (FlagCode::Lc, traits.lost_contact),
            (FlagCode::Th, traits.unknown),
            (FlagCode::Dp, traits.disputed),
        ])
    }

    /// Owed and held elsewhere, at least the lowest of the policy's shares of its cap.
    fn owes_too_much(&self, policy: &Policy) -> bool {
        let limits = &policy.exposure;
        let percent = limits
            .medium_percent
            .min(limits.high_percent)
            .min(limits.critical_percent);
        let owed =
            sum(&self.traits.owed, policy.currency) + sum(&self.traits.held, policy.currency);
        owed * 100 >= i128::from(limits.cap_minor) * i128::from(percent)
    }

    /// What was signed in the last 30 days, of what is owed, is a large share of the rest, and
    /// some group lends only since then.
    fn has_grown(&self, policy: &Policy) -> bool {
        let new = sum(&self.traits.new_in_30d, policy.currency);
        let all = sum(&self.traits.owed, policy.currency) + sum(&self.traits.held, policy.currency);
        let old = all - new;
        let grew = new * 100 >= old * i128::from(policy.growth_percent);
        self.traits.new_lender && old > 0 && grew
    }
}
