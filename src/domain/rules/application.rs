//! The invariants of an application.

use super::{RecordError, Rule, check_past, check_positive, check_term};
use crate::domain::{Application, ApplicationOutcome, Timestamp};

pub(super) fn check(application: &Application, as_of: Timestamp) -> Result<(), RecordError> {
    check_past(application.at, as_of, "at")?;
    let right = application.purpose == application.kind.purpose();
    Rule::Purpose.unless(right, "purpose")?;
    if let Some(amount) = application.amount {
        check_positive(amount, "amount")?;
    }
    if let Some(income) = application.income_month {
        check_positive(income, "income_month")?;
    }
    check_term(application.term_days.unwrap_or(0))?;
    let pending = application.outcome == ApplicationOutcome::Pending;
    match application.outcome_at {
        Some(outcome_at) => {
            Rule::OutcomeTimeGiven.unless(!pending, "outcome_at")?;
            check_past(outcome_at, as_of, "outcome_at")?;
            Rule::BeforeApplication.unless(outcome_at >= application.at, "outcome_at")
        }
        None => Rule::OutcomeTimeMissing.unless(pending, "outcome_at"),
    }
}
