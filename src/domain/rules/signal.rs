//! The invariants of a signal: what each kind needs, and how long it may stand.

use super::{RecordError, Rule, check_amount, check_day, check_past_day, check_reference};
use crate::domain::{Body, Borrower, Record, Signal, SignalKind, Timestamp, is_same_person};
use crate::limits::{
    ADVERSE_MONTHS, DISPUTE_DAYS_MAX, LOST_CONTACT_ATTEMPTS_MIN, LOST_CONTACT_DAYS_MIN,
    SIGNAL_FRAUD_MONTHS_MAX, SIGNAL_INSOLVENCY_MONTHS_MAX,
};

pub(super) fn check(signal: &Signal, as_of: Timestamp) -> Result<(), RecordError> {
    check_past_day(signal.event_on, as_of, "event_on")?;
    check_reference(&signal.filed_by, "filed_by")?;
    if let Some(reviewed_by) = &signal.reviewed_by {
        check_reference(reviewed_by, "reviewed_by")?;
        let other = !is_same_person(reviewed_by, &signal.filed_by);
        Rule::ReviewerFiled.unless(other, "reviewed_by")?;
    }
    if let Some(amount) = signal.amount {
        check_amount(amount, "amount")?;
    }
    check_needs(signal)?;
    check_fields_of_one_kind(signal)?;
    check_end(signal)
}

fn check_needs(signal: &Signal) -> Result<(), RecordError> {
    let about = || Rule::AboutMissing.unless(signal.about.is_some(), "about");
    let evidence = || Rule::EvidenceMissing.unless(signal.evidence.is_some(), "evidence");
    match signal.kind {
        SignalKind::Dpd30
        | SignalKind::Dpd60
        | SignalKind::Dpd90
        | SignalKind::FirstPaymentDefault
        | SignalKind::Restructured
        | SignalKind::Forbearance
        | SignalKind::Cured
        | SignalKind::Disputed => about(),
        // The account that is 90 days past due, or the notice that called the debt in.
        SignalKind::Default => about().or_else(|missing| evidence().map_err(|_| missing)),
        SignalKind::ChargeOff => {
            about()?;
            Rule::AmountMissing.unless(signal.amount.is_some(), "amount")
        }
        SignalKind::FraudConfirmed | SignalKind::FraudVictim => {
            evidence()?;
            Rule::ProofMissing.unless(signal.proof.is_some(), "proof")?;
            Rule::ReviewerMissing.unless(signal.reviewed_by.is_some(), "reviewed_by")
        }
        // The public reference; the borrower's own request.
        SignalKind::Insolvency | SignalKind::ProtectiveRegistration => evidence(),
        SignalKind::LostContact => Ok(()),
    }
}

fn check_fields_of_one_kind(signal: &Signal) -> Result<(), RecordError> {
    match (signal.kind == SignalKind::FraudConfirmed, signal.fraud_type) {
        (true, None) => return Err(Rule::FraudTypeMissing.on("fraud_type")),
        (false, Some(_)) => return Err(Rule::NotForThisSignal.on("fraud_type")),
        (true, Some(_)) | (false, None) => {}
    }
    let proof_fits = signal.proof.is_none() || signal.kind.needs_reviewer();
    Rule::NotForThisSignal.unless(proof_fits, "proof")?;
    match (signal.kind == SignalKind::LostContact, signal.attempts) {
        (true, Some(attempts)) => {
            let often = attempts.count >= LOST_CONTACT_ATTEMPTS_MIN;
            Rule::AttemptsTooFew.unless(often, "attempts")?;
            let long = attempts.over_days >= LOST_CONTACT_DAYS_MIN;
            Rule::AttemptsTooFew.unless(long, "attempts_days")
        }
        (true, None) => Err(Rule::AttemptsTooFew.on("attempts")),
        (false, Some(_)) => Err(Rule::NotForThisSignal.on("attempts")),
        (false, None) => Ok(()),
    }
}

fn check_end(signal: &Signal) -> Result<(), RecordError> {
    let Some(ends_on) = signal.ends_on else {
        return Ok(());
    };
    check_day(ends_on, "ends_on")?;
    Rule::BeforeEvent.unless(ends_on >= signal.event_on, "ends_on")?;
    if signal.kind == SignalKind::Disputed {
        let latest = signal.event_on.plus_days(DISPUTE_DAYS_MAX);
        return Rule::DecidedTooLate.unless(ends_on <= latest, "ends_on");
    }
    let most = if signal.kind == SignalKind::FraudConfirmed {
        SIGNAL_FRAUD_MONTHS_MAX
    } else if signal.kind == SignalKind::Insolvency {
        SIGNAL_INSOLVENCY_MONTHS_MAX
    } else {
        ADVERSE_MONTHS
    };
    let latest = signal.event_on.plus_months(most);
    let bounded = signal.kind.is_adverse();
    Rule::EndsTooLate.unless(!bounded || ends_on <= latest, "ends_on")
}

impl Signal {
    /// Checks what this signal about `borrower` says against the record that it is about.
    ///
    /// # Errors
    /// [`Rule::AboutRetracted`] where that was taken back, [`Rule::AboutOther`] where it is another
    /// borrower's; and, of a loan, [`Rule::BeforeSigning`] or [`Rule::OtherCurrency`].
    pub fn check_subject(&self, borrower: &Borrower, subject: &Record) -> Result<(), RecordError> {
        Rule::AboutRetracted.unless(!subject.is_retracted(), "about")?;
        Rule::AboutOther.unless(borrower.shares_identifier(&subject.borrower), "about")?;
        let Body::Loan(loan) = &subject.body else {
            return Ok(());
        };
        let begun = loan.opened_on.min(loan.signed_at.day());
        Rule::BeforeSigning.unless(self.event_on >= begun, "event_on")?;
        let fits = self
            .amount
            .is_none_or(|amount| amount.currency == loan.principal.currency);
        Rule::OtherCurrency.unless(fits, "amount")
    }
}
