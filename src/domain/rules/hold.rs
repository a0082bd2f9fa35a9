//! The invariants of a hold.

use std::time::Duration;

use super::{RecordError, Rule, check_moment, check_past, check_positive};
use crate::domain::{Hold, HoldState, Timestamp};
use crate::limits::HOLD_LIFE_MAX_H;

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn check(hold: &Hold, as_of: Timestamp) -> Result<(), RecordError> {
    check_past(hold.signed_at, as_of, "signed_at")?;
    check_moment(hold.expires_at, "expires_at")?;
    Rule::NoLife.unless(hold.expires_at > hold.signed_at, "expires_at")?;
    let latest = hold.signed_at.plus(HOUR.saturating_mul(HOLD_LIFE_MAX_H));
    Rule::LifeTooLong.unless(hold.expires_at <= latest, "expires_at")?;
    let expired_early = hold.state == HoldState::Expired && as_of < hold.expires_at;
    Rule::ExpiredEarly.unless(!expired_early, "state")?;
    check_positive(hold.amount, "amount")
}
