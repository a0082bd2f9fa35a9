//! The invariants of records: what one version must satisfy, and what it may follow.
//!
//! `loan`, `application`, `hold` and `signal` hold the rules of one body, `step` those between two
//! versions. Every refusal names the field and the rule.

mod application;
mod hold;
mod loan;
mod signal;
mod step;

use std::cmp::Ordering;
use std::time::Duration;

pub use step::{Verdict, merge};

use super::{Body, Borrower, Day, IdentifierClass, Money, Record, RecordHead, Timestamp, Version};
use crate::limits::{
    ADVERSE_MONTHS, APR_BPS_MAX, DISPUTE_DAYS_MAX, HOLD_LIFE_MAX_H, LOAN_FEES_CAP_PERCENT,
    MONEY_MINOR_MAX, RECORD_AHEAD_HOURS_MAX, REFERENCE_CHARS_MAX, SIGNAL_FRAUD_MONTHS_MAX,
    SIGNAL_INSOLVENCY_MONTHS_MAX, TERM_DAYS_MAX,
};

/// The first field of a record that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct RecordError {
    /// The field, named as in files.
    pub field: &'static str,
    /// The rule it breaks.
    pub rule: Rule,
}

/// A rule that a record can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Neither a national identity number nor a phone number.
    #[error("name the borrower by a national identity number or a phone number")]
    NoIdentifier,
    /// An identifier of the other class.
    #[error("this kind of identifier belongs into the other column")]
    IdentifierClass,
    /// A moment before 1970 or after 9999.
    #[error("give a moment between the years 1970 and 9999")]
    MomentRange,
    /// A day before 1850 or after 9999.
    #[error("give a day between the years 1850 and 9999")]
    DayRange,
    /// Later than the moment that the record tells about.
    #[error("must not be later than as_of (days are UTC days)")]
    AfterAsOf,
    /// A record of a time that has not come.
    #[error("must not be later than the node's clock by more than {RECORD_AHEAD_HOURS_MAX} hours")]
    Future,
    /// A state reported before it came about.
    #[error("must not be later than reported_at")]
    AfterReport,
    /// Expired on arrival.
    #[error("must not be earlier than as_of")]
    BeforeAsOf,
    /// Earlier than the account's first day.
    #[error("must not be earlier than opened_on")]
    BeforeOpening,
    /// Opened before the borrower was of age.
    #[error("must not be earlier than the borrower's 18th birthday")]
    BeforeMajority,
    /// Earlier than the signature.
    #[error("must not be earlier than signed_at")]
    BeforeSigning,
    /// Earlier than the application.
    #[error("must not be earlier than at")]
    BeforeApplication,
    /// A signal about a record that the book does not have.
    #[error("names no record of this book; furnish the record that the signal is about first")]
    AboutUnknown,
    /// A signal about another borrower's record.
    #[error("names another borrower's record; name one that shares an identifier with the signal")]
    AboutOther,
    /// A signal about a record that was taken back.
    #[error("names a record that was retracted; a signal about it would tell nothing")]
    AboutRetracted,
    /// Earlier than the event.
    #[error("must not be earlier than event_on")]
    BeforeEvent,
    /// Empty, too long, or with control characters.
    #[error(
        "must be 1 to {REFERENCE_CHARS_MAX} printable characters, none of them in front or \
             at the end a space"
    )]
    Reference,
    /// Less than nothing.
    #[error("must not be negative")]
    Negative,
    /// Nothing where something is needed.
    #[error("must be more than 0")]
    Zero,
    /// Beyond the bound of an amount.
    #[error("must be at most {MONEY_MINOR_MAX} minor units")]
    TooMuch,
    /// Another currency than the rest of the record.
    #[error("must be in the currency of the record's other amounts")]
    OtherCurrency,
    /// More is owed than was lent with fees.
    #[error("must be at most the principal and {LOAN_FEES_CAP_PERCENT} % of it in fees")]
    AbovePrincipal,
    /// More is overdue than owed.
    #[error("must be at most the outstanding amount")]
    AboveOutstanding,
    /// A closed loan that still owes.
    #[error("must be 0 for a loan in this state")]
    ClosedOwes,
    /// A closed loan without its last day.
    #[error("is needed for a loan in this state")]
    ClosingDayMissing,
    /// An open loan with a last day.
    #[error("must be empty while the loan is open")]
    ClosingDayGiven,
    /// Late, with nothing overdue.
    #[error("must be more than 0 while days are past due")]
    NothingPastDue,
    /// Charged off before 90 days past due.
    #[error("must be at least 90 for a charged-off loan")]
    ChargedOffEarly,
    /// Charged off without a retention clock.
    #[error("is needed for a charged-off loan")]
    DelinquencyMissing,
    /// Void, and yet paid out.
    #[error("must be empty for a void loan")]
    VoidFunded,
    /// Too long a term.
    #[error("must be at most {TERM_DAYS_MAX} days")]
    TermRange,
    /// Too high a rate.
    #[error("must be at most {APR_BPS_MAX} basis points")]
    AprRange,
    /// A purpose that does not belong to the kind.
    #[error(
        "must be the purpose that belongs to this kind of application: credit-application for an \
         application or offer; `recheck` asks before a payout, and `watch add` reviews accounts"
    )]
    Purpose,
    /// An outcome without its moment.
    #[error("is needed once there is an outcome")]
    OutcomeTimeMissing,
    /// A moment without an outcome.
    #[error("must be empty while the outcome is pending")]
    OutcomeTimeGiven,
    /// A hold without any life.
    #[error("must be later than signed_at")]
    NoLife,
    /// A hold with too long a life.
    #[error("must be within {HOLD_LIFE_MAX_H} hours of signed_at")]
    LifeTooLong,
    /// A hold called expired before its time.
    #[error("must not be expired before expires_at")]
    ExpiredEarly,
    /// A signal about nothing.
    #[error("is needed for this signal: the record that it is about")]
    AboutMissing,
    /// A signal without its evidence.
    #[error("is needed for this signal: the SHA-256 hash of the evidence")]
    EvidenceMissing,
    /// A fraud without its standard of proof.
    #[error("is needed for this signal: that the four-part standard of proof is met")]
    ProofMissing,
    /// Nobody reviewed it.
    #[error("is needed for this signal: who reviewed it")]
    ReviewerMissing,
    /// Reviewed by the one who filed it.
    #[error("must be somebody else than filed_by")]
    ReviewerFiled,
    /// A signal without its amount.
    #[error("is needed for this signal: the amount")]
    AmountMissing,
    /// A confirmed fraud of no type.
    #[error("is needed for a confirmed fraud")]
    FraudTypeMissing,
    /// A field that belongs to other signals.
    #[error("must be empty for this signal")]
    NotForThisSignal,
    /// Too few attempts to reach the borrower.
    #[error("is needed for a lost contact: at least 3 attempts over 30 days")]
    AttemptsTooFew,
    /// A dispute that nobody would have to decide.
    #[error("must be within {DISPUTE_DAYS_MAX} days of event_on: by then it is decided")]
    DecidedTooLate,
    /// An adverse signal that would stand for too long.
    #[error(
        "must be within {ADVERSE_MONTHS} months of event_on, {SIGNAL_FRAUD_MONTHS_MAX} for a \
         confirmed fraud, {SIGNAL_INSOLVENCY_MONTHS_MAX} for an insolvency"
    )]
    EndsTooLate,
    /// A tombstone as the first version.
    #[error("must be 2 or more for a retraction: it follows what it retracts")]
    RetractionFirst,
    /// Two versions of different records.
    #[error("must be the same in all versions of a record")]
    Changed,
    /// A version that is not above the one before.
    #[error("must be higher than that of the version before")]
    NotNewer,
    /// The same version with other content.
    #[error("is taken by other content: report a change under a higher version")]
    Conflict,
    /// Something after a tombstone.
    #[error("must not follow a retraction: furnish the record under a new id")]
    AfterRetraction,
    /// A step that the state graph does not have.
    #[error("must not follow the state before: retract the record if that was a mistake")]
    Step,
    /// The retention clock was moved without a cure.
    #[error("may only change after the loan was current with nothing past due")]
    DelinquencyMoved,
}

impl Rule {
    /// The rule as it is broken by a field.
    #[must_use]
    pub const fn on(self, field: &'static str) -> RecordError {
        RecordError { field, rule: self }
    }

    /// Refuses where `broken`.
    const fn unless(self, sound: bool, field: &'static str) -> Result<(), RecordError> {
        if sound { Ok(()) } else { Err(self.on(field)) }
    }
}

impl Record {
    /// Checks every invariant of this version, and, where the version before is known, that it may
    /// follow that one.
    ///
    /// # Errors
    /// The first field that breaks a rule.
    pub fn check(&self, previous: Option<&Self>) -> Result<(), RecordError> {
        check_head(&self.head)?;
        check_borrower(&self.borrower)?;
        let as_of = self.head.as_of;
        match &self.body {
            Body::Loan(loan) => loan::check(loan, &self.borrower, as_of)?,
            Body::Application(application) => application::check(application, as_of)?,
            Body::Hold(hold) => hold::check(hold, as_of)?,
            Body::Signal(signal) => signal::check(signal, as_of)?,
            Body::Retracted(_) => {
                Rule::RetractionFirst.unless(self.head.version > Version::FIRST, "version")?;
            }
        }
        previous.map_or(Ok(()), |previous| step::check(previous, self))
    }
}

impl Record {
    /// Checks that it tells of nothing later than `now`; a day is left to the clocks and calendars
    /// of those who keep the books.
    ///
    /// # Errors
    /// [`Rule::Future`] on `as_of`, or on `reported_at`.
    pub fn check_by(&self, now: Timestamp) -> Result<(), RecordError> {
        let latest = now.plus(Duration::from_secs(RECORD_AHEAD_HOURS_MAX * 3_600));
        Rule::Future.unless(self.head.as_of <= latest, "as_of")?;
        Rule::Future.unless(self.head.reported_at <= latest, "reported_at")
    }
}

fn check_head(head: &RecordHead) -> Result<(), RecordError> {
    check_moment(head.as_of, "as_of")?;
    check_moment(head.reported_at, "reported_at")?;
    Rule::AfterReport.unless(head.as_of <= head.reported_at, "as_of")?;
    if let Some(last) = head.expires_on {
        check_day(last, "expires_on")?;
        Rule::BeforeAsOf.unless(last >= head.as_of.day(), "expires_on")?;
    }
    Ok(())
}

fn check_borrower(borrower: &Borrower) -> Result<(), RecordError> {
    Rule::NoIdentifier.unless(borrower.identifiers().next().is_some(), "national_id")?;
    for (identifier, class, field) in [
        (&borrower.national, IdentifierClass::National, "national_id"),
        (&borrower.phone, IdentifierClass::Phone, "phone"),
    ] {
        let right = identifier.as_ref().is_none_or(|i| i.class() == class);
        Rule::IdentifierClass.unless(right, field)?;
    }
    borrower
        .name_dob
        .as_ref()
        .map_or(Ok(()), |name_dob| check_day(name_dob.born(), "born"))
}

/// A moment that files can hold.
fn check_moment(moment: Timestamp, field: &'static str) -> Result<(), RecordError> {
    let sound = moment.unix_ms() >= 0 && moment.day().year() <= 9_999;
    Rule::MomentRange.unless(sound, field)
}

/// A moment that files can hold and that has come by `as_of`.
fn check_past(moment: Timestamp, as_of: Timestamp, field: &'static str) -> Result<(), RecordError> {
    check_moment(moment, field)?;
    Rule::AfterAsOf.unless(moment <= as_of, field)
}

/// A day that files can hold.
fn check_day(day: Day, field: &'static str) -> Result<(), RecordError> {
    Rule::DayRange.unless((1_850..=9_999).contains(&day.year()), field)
}

/// A day that files can hold and that has begun by `as_of`.
fn check_past_day(day: Day, as_of: Timestamp, field: &'static str) -> Result<(), RecordError> {
    check_day(day, field)?;
    Rule::AfterAsOf.unless(day <= as_of.day(), field)
}

/// A reference of the member's own.
fn check_reference(text: &str, field: &'static str) -> Result<(), RecordError> {
    let length = text.chars().count();
    let sound = (1..=REFERENCE_CHARS_MAX).contains(&length)
        && !text.chars().any(char::is_control)
        && text.trim() == text;
    Rule::Reference.unless(sound, field)
}

/// An amount within the bounds.
fn check_amount(amount: Money, field: &'static str) -> Result<(), RecordError> {
    Rule::Negative.unless(amount.minor >= 0, field)?;
    Rule::TooMuch.unless(amount.minor <= MONEY_MINOR_MAX, field)
}

/// An amount above zero within the bounds.
fn check_positive(amount: Money, field: &'static str) -> Result<(), RecordError> {
    check_amount(amount, field)?;
    Rule::Zero.unless(!amount.is_zero(), field)
}

/// `amount` is at most `most`, otherwise `rule` is broken.
fn check_at_most(
    amount: Money,
    most: Money,
    rule: Rule,
    field: &'static str,
) -> Result<(), RecordError> {
    let order = amount
        .compare(most)
        .map_err(|_| Rule::OtherCurrency.on(field))?;
    rule.unless(order != Ordering::Greater, field)
}

/// An agreed or requested length in days.
const fn check_term(term_days: u16) -> Result<(), RecordError> {
    Rule::TermRange.unless(term_days <= TERM_DAYS_MAX, "term_days")
}

#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod tests;
