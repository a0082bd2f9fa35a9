//! The records that the steps of lending leave behind.

use super::desk::NewHold;
use super::{FlowError, NewApplication};
use crate::crypto::sha256;
use crate::domain::{
    Application, Body, Borrower, Currency, Day, Hold, Loan, Money, Record, RecordHead, RecordId,
    Timestamp, Version,
};

/// The term taken for a loan whose application named none, in days.
const TERM_DAYS_DEFAULT: u16 = 30;

/// The first version of a record of this member.
pub(super) fn first(id: RecordId, borrower: Borrower, body: Body, now: Timestamp) -> Record {
    let head = RecordHead {
        record_id: id,
        version: Version::FIRST,
        reported_at: now,
        as_of: now,
        expires_on: None,
    };
    Record {
        head,
        borrower,
        body,
    }
}

/// The next version of a record.
pub(super) fn successor(held: &Record, body: Body, now: Timestamp) -> Record {
    let head = RecordHead {
        version: held.head.version.next(),
        reported_at: now,
        as_of: now,
        ..held.head
    };
    Record {
        head,
        borrower: held.borrower.clone(),
        body,
    }
}

/// The amount of a contract: as stated, or as applied for. Its currency is that of the application,
/// or the network's where that names no amount.
pub(super) fn signed_amount(
    wanted: &NewHold,
    applied: &Application,
    network_currency: Currency,
) -> Result<Money, FlowError> {
    let applied_for = applied.amount.map(|amount| amount.minor);
    let minor = wanted.amount_minor.or(applied_for).ok_or_else(|| {
        FlowError::NotPossible("the application names no amount: state the one signed".to_owned())
    })?;
    if minor <= 0 {
        return Err(FlowError::NotPossible(
            "the amount signed must be above 0".to_owned(),
        ));
    }
    let currency = applied
        .amount
        .map_or(network_currency, |amount| amount.currency);
    Ok(Money { minor, currency })
}

/// The loan that a hold became when it was paid out.
pub(super) fn paid_out(
    hold: &Hold,
    application: Option<&Record>,
    account_reference: &str,
    now: Timestamp,
) -> Loan {
    let applied = application.and_then(|record| match &record.body {
        Body::Application(application) => Some(application),
        Body::Loan(_) | Body::Hold(_) | Body::Signal(_) | Body::Retracted(_) => None,
    });
    let term_days = applied
        .and_then(|applied| applied.term_days)
        .unwrap_or(TERM_DAYS_DEFAULT);
    let product = applied.map_or(crate::domain::Product::InstalmentUnsecured, |a| a.product);
    let opened_on: Day = now.day();
    let mut loan = Loan::new(
        account_reference.to_owned(),
        product,
        hold.amount,
        hold.signed_at,
    );
    loan.funded_at = Some(now);
    loan.opened_on = opened_on;
    loan.term_days = term_days;
    loan.maturity_on = Some(opened_on.plus_days(i64::from(term_days)));
    loan.consent_ref = applied.and_then(|applied| applied.consent_ref);
    loan.lender_group.clone_from(&hold.lender_group);
    loan
}

impl NewApplication {
    /// What makes two requests the same.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut text = format!(
            "{} {} {} {:?} {:?} {:?} {}",
            self.kind,
            self.purpose,
            self.product,
            self.amount,
            self.term_days,
            self.income_month,
            self.consent_reference
        );
        for identifier in self.borrower.national.iter().chain(&self.borrower.phone) {
            text.push(' ');
            text.push_str(identifier.canonical());
        }
        sha256(text.as_bytes())
    }
}
