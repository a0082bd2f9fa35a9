//! The invariants of a loan.

use super::{
    RecordError, Rule, check_amount, check_at_most, check_day, check_past, check_past_day,
    check_positive, check_reference, check_term,
};
use crate::domain::{Borrower, Loan, LoanState, Money, Timestamp};
use crate::limits::{APR_BPS_MAX, BORROWER_AGE_YEARS_MIN, LOAN_FEES_CAP_PERCENT};

pub(super) fn check(loan: &Loan, borrower: &Borrower, as_of: Timestamp) -> Result<(), RecordError> {
    check_reference(&loan.account_ref, "account_ref")?;
    check_times(loan, as_of)?;
    check_majority(loan, borrower)?;
    check_amounts(loan)?;
    check_state(loan)?;
    check_term(loan.term_days)?;
    Rule::AprRange.unless(loan.apr_bps.unwrap_or(0) <= APR_BPS_MAX, "apr_bps")
}

fn check_times(loan: &Loan, as_of: Timestamp) -> Result<(), RecordError> {
    check_past(loan.signed_at, as_of, "signed_at")?;
    if let Some(funded_at) = loan.funded_at {
        check_past(funded_at, as_of, "funded_at")?;
        Rule::BeforeSigning.unless(funded_at >= loan.signed_at, "funded_at")?;
    }
    check_past_day(loan.opened_on, as_of, "opened_on")?;
    let later = |day, field| Rule::BeforeOpening.unless(day >= loan.opened_on, field);
    if let Some(maturity_on) = loan.maturity_on {
        check_day(maturity_on, "maturity_on")?;
        later(maturity_on, "maturity_on")?;
    }
    for (day, field) in [
        (loan.closed_on, "closed_on"),
        (loan.first_delinquency_on, "first_delinquency_on"),
    ] {
        if let Some(day) = day {
            check_past_day(day, as_of, field)?;
            later(day, field)?;
        }
    }
    Ok(())
}

/// Opened when the borrower was of age, by every date of birth that the record carries.
fn check_majority(loan: &Loan, borrower: &Borrower) -> Result<(), RecordError> {
    let told = borrower.name_dob.as_ref().map(|name_dob| name_dob.born());
    let carried = borrower.national.as_ref().and_then(|id| id.born());
    told.into_iter().chain(carried).try_for_each(|born| {
        let of_age = born.plus_months(BORROWER_AGE_YEARS_MIN * 12);
        Rule::BeforeMajority.unless(loan.opened_on >= of_age, "opened_on")
    })
}

fn check_amounts(loan: &Loan) -> Result<(), RecordError> {
    if loan.product.is_closed_end() {
        check_positive(loan.principal, "principal")?;
    }
    for (amount, field) in [
        (Some(loan.principal), "principal"),
        (Some(loan.outstanding), "outstanding"),
        (Some(loan.past_due), "past_due"),
        (loan.instalment, "instalment"),
        (loan.credit_limit, "credit_limit"),
    ] {
        if let Some(amount) = amount {
            check_amount(amount, field)?;
            let same = amount.currency == loan.principal.currency;
            Rule::OtherCurrency.unless(same, field)?;
        }
    }
    if loan.product.is_closed_end() {
        let cap = loan
            .principal
            .percent(100 + LOAN_FEES_CAP_PERCENT)
            .map_err(|_| Rule::TooMuch.on("principal"))?;
        check_at_most(loan.outstanding, cap, Rule::AbovePrincipal, "outstanding")?;
    }
    check_at_most(
        loan.past_due,
        loan.outstanding,
        Rule::AboveOutstanding,
        "past_due",
    )
}

fn check_state(loan: &Loan) -> Result<(), RecordError> {
    let nothing = |amount: Money, field| Rule::ClosedOwes.unless(amount.is_zero(), field);
    match loan.state {
        LoanState::Paid | LoanState::SettledLess | LoanState::Transferred | LoanState::Void => {
            nothing(loan.outstanding, "outstanding")?;
            nothing(loan.past_due, "past_due")?;
            Rule::ClosedOwes.unless(loan.dpd == 0, "dpd")?;
            Rule::ClosingDayMissing.unless(loan.closed_on.is_some(), "closed_on")?;
        }
        LoanState::Active => {
            Rule::ClosingDayGiven.unless(loan.closed_on.is_none(), "closed_on")?;
        }
        LoanState::ChargedOff => {
            Rule::ChargedOffEarly.unless(loan.dpd >= 90, "dpd")?;
            let clock = loan.first_delinquency_on.is_some();
            Rule::DelinquencyMissing.unless(clock, "first_delinquency_on")?;
        }
    }
    if loan.state == LoanState::Void {
        Rule::VoidFunded.unless(loan.funded_at.is_none(), "funded_at")?;
    }
    Rule::NothingPastDue.unless(loan.dpd == 0 || !loan.past_due.is_zero(), "past_due")
}
