//! A signal: an adverse or protective event that a member discloses about a borrower.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::ids::word_enum;
use super::{Day, Money, RecordId};
use crate::limits::{
    DISPUTE_DAYS, SIGNAL_CURED_MONTHS, SIGNAL_DEFAULT_MONTHS, SIGNAL_FRAUD_MONTHS,
    SIGNAL_LOST_CONTACT_DAYS, SIGNAL_PROTECTIVE_MONTHS, SIGNAL_VICTIM_MONTHS,
};

word_enum!(
    /// What happened. A retraction is not a signal but a version of the record that it removes.
    SignalKind {
        /// An account is 30 days past due.
        Dpd30 = "dpd30",
        /// An account is 60 days past due.
        Dpd60 = "dpd60",
        /// An account is 90 days past due.
        Dpd90 = "dpd90",
        /// 90 days past due, or the whole debt was called in.
        Default = "default",
        /// Written off; `event_on` is the accounting date.
        ChargeOff = "charge-off",
        /// The first instalment was unpaid for 30 days.
        FirstPaymentDefault = "first-payment-default",
        /// Fraud, proven to the standard of the evidence named.
        FraudConfirmed = "fraud-confirmed",
        /// The borrower is a victim of fraud: protective, never adverse.
        FraudVictim = "fraud-victim",
        /// The borrower asked that its identity be verified: protective.
        ProtectiveRegistration = "protective-registration",
        /// The terms of a loan were changed because the borrower could not pay.
        Restructured = "restructured",
        /// Payments are paused by agreement.
        Forbearance = "forbearance",
        /// Public insolvency proceedings.
        Insolvency = "insolvency",
        /// The borrower could not be reached in at least 3 attempts over 30 days.
        LostContact = "lost-contact",
        /// What an earlier signal told has been made good; `event_on` is the day of payment.
        Cured = "cured",
        /// The borrower disputes a record: no automated use until the decision.
        Disputed = "disputed",
    }
);

impl SignalKind {
    /// Whether it counts against the borrower while it lives.
    #[must_use]
    pub const fn is_adverse(self) -> bool {
        match self {
            Self::Dpd30
            | Self::Dpd60
            | Self::Dpd90
            | Self::Default
            | Self::ChargeOff
            | Self::FirstPaymentDefault
            | Self::FraudConfirmed
            | Self::Restructured
            | Self::Insolvency
            | Self::LostContact => true,
            Self::FraudVictim
            | Self::ProtectiveRegistration
            | Self::Forbearance
            | Self::Cured
            | Self::Disputed => false,
        }
    }

    /// Whether it asks for the borrower's identity to be verified, in its own protection.
    #[must_use]
    pub const fn is_protective(self) -> bool {
        matches!(self, Self::FraudVictim | Self::ProtectiveRegistration)
    }

    /// The last day of a signal of this kind that names no end, or `None` where only another
    /// event (a cure, a decision, the account getting current) ends it.
    #[must_use]
    pub fn default_end(self, event_on: Day) -> Option<Day> {
        match self {
            Self::Default | Self::ChargeOff => Some(event_on.plus_months(SIGNAL_DEFAULT_MONTHS)),
            Self::FraudConfirmed => Some(event_on.plus_months(SIGNAL_FRAUD_MONTHS)),
            Self::FraudVictim => Some(event_on.plus_months(SIGNAL_VICTIM_MONTHS)),
            Self::ProtectiveRegistration => Some(event_on.plus_months(SIGNAL_PROTECTIVE_MONTHS)),
            Self::LostContact => Some(event_on.plus_days(SIGNAL_LOST_CONTACT_DAYS)),
            Self::Cured => Some(event_on.plus_months(SIGNAL_CURED_MONTHS)),
            // The day by which it must be decided: without a decision what is disputed is
            // suppressed from then on, as if it had been retracted.
            Self::Disputed => Some(event_on.plus_days(DISPUTE_DAYS)),
            Self::Dpd30
            | Self::Dpd60
            | Self::Dpd90
            | Self::FirstPaymentDefault
            | Self::Restructured
            | Self::Forbearance
            | Self::Insolvency => None,
        }
    }

    /// Whether a second person has to review it before it stands.
    #[must_use]
    pub const fn needs_reviewer(self) -> bool {
        matches!(self, Self::FraudConfirmed | Self::FraudVictim)
    }

    /// Whether a payment can make it good.
    #[must_use]
    pub const fn is_curable(self) -> bool {
        match self {
            Self::Dpd30
            | Self::Dpd60
            | Self::Dpd90
            | Self::Default
            | Self::ChargeOff
            | Self::FirstPaymentDefault
            | Self::Restructured
            | Self::Forbearance
            | Self::Insolvency
            | Self::LostContact => true,
            Self::FraudConfirmed
            | Self::FraudVictim
            | Self::ProtectiveRegistration
            | Self::Cured
            | Self::Disputed => false,
        }
    }
}

word_enum!(
    /// What a confirmed fraud was.
    FraudType {
        /// False statements or documents in an application.
        FalseApplication = "false-application",
        /// Borrowed without any intent to repay.
        NoIntentToPay = "no-intent-to-pay",
        /// Took over another's account.
        Takeover = "takeover",
    }
);

word_enum!(
    /// That a fraud was proven to the four-part standard: there are reasonable grounds to believe
    /// it; the evidence is clear, relevant and rigorous; it is a recognised type of case; and the
    /// product was rejected or withdrawn because of it, which this tells apart.
    Proof {
        /// All four parts are met, and the product was rejected.
        Rejected = "four-part-rejected",
        /// All four parts are met, and the product was withdrawn.
        Withdrawn = "four-part-withdrawn",
    }
);

/// Attempts to reach a borrower, for [`SignalKind::LostContact`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// How many; at least 3.
    pub count: u16,
    /// Days from the first to the last; at least 30.
    pub over_days: u16,
}

/// An adverse or protective event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// What happened.
    pub kind: SignalKind,
    /// What kind of fraud; with [`SignalKind::FraudConfirmed`] only, and required there.
    pub fraud_type: Option<FraudType>,
    /// The loan or earlier signal that it is about.
    pub about: Option<RecordId>,
    /// The day of the event.
    pub event_on: Day,
    /// SHA-256 hash of the evidence file that the member keeps.
    pub evidence: Option<[u8; 32]>,
    /// The standard of proof that was met; with [`SignalKind::needs_reviewer`] only. Records filed
    /// before it was asked for have none.
    pub proof: Option<Proof>,
    /// Who filed it: the member's own name for the person or desk, 1 to 64 characters.
    pub filed_by: String,
    /// Who reviewed it, another than who filed it.
    pub reviewed_by: Option<String>,
    /// Last day on which it stands; where empty, [`SignalKind::default_end`] holds.
    pub ends_on: Option<Day>,
    /// The amount in question.
    pub amount: Option<Money>,
    /// Attempts to reach the borrower; with [`SignalKind::LostContact`] only, and required there.
    pub attempts: Option<Attempts>,
}

impl Signal {
    /// A signal of this kind; every optional field is empty.
    #[must_use]
    pub const fn new(kind: SignalKind, event_on: Day, filed_by: String) -> Self {
        Self {
            kind,
            fraud_type: None,
            about: None,
            event_on,
            evidence: None,
            proof: None,
            filed_by,
            reviewed_by: None,
            ends_on: None,
            amount: None,
            attempts: None,
        }
    }

    /// The last day on which it stands, if it ends by itself.
    #[must_use]
    pub fn last_day(&self) -> Option<Day> {
        self.ends_on
            .or_else(|| self.kind.default_end(self.event_on))
    }

    /// Whether it stands on `day`, as far as the calendar decides.
    #[must_use]
    pub fn is_live(&self, day: Day) -> bool {
        self.last_day().is_none_or(|last| day <= last)
    }
}

/// Whether two names are one person's: letter case, width, accents written apart, spaces, marks
/// that show nothing and punctuation do not tell persons apart, nor does the order of the words.
/// Letters of two scripts that look alike do: who files is who the credentials name.
#[must_use]
pub fn is_same_person(one: &str, other: &str) -> bool {
    let folded = |name: &str| -> Vec<String> {
        let plain = name
            .nfkc()
            .collect::<String>()
            .to_uppercase()
            .to_lowercase();
        let words = plain.split(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
        let kept = words.map(|word| word.nfkc().filter(|c| c.is_alphanumeric()).collect());
        let mut words: Vec<String> = kept.filter(|word: &String| !word.is_empty()).collect();
        words.sort_unstable();
        words
    };
    let (one, other) = (folded(one), folded(other));
    one == other || one.concat() == other.concat()
}

#[cfg(test)]
mod tests {
    use super::is_same_person;

    #[test]
    fn spelling_makes_no_second_person() {
        for (one, other) in [
            ("ann", "Ann"),
            ("ann", "\u{ff21}\u{ff4e}\u{ff4e}"),
            ("ann", "an\u{200b}n"),
            ("ann", "\u{2800}ann"),
            ("ann", "ann\u{202e}"),
            ("ann", "ann."),
            ("ann", "a n n"),
            ("Jos\u{e9}", "Jose\u{301}"),
            ("ann  smith", "ann smith"),
            ("ann smith", "Smith, Ann"),
            ("\u{fb01}na", "fina"),
            ("stra\u{df}e", "STRASSE"),
        ] {
            assert!(is_same_person(one, other), "{one:?} {other:?}");
        }
        for (one, other) in [("ann", "anna"), ("ann", "bob"), ("ann smith", "ann jones")] {
            assert!(!is_same_person(one, other), "{one:?} {other:?}");
        }
    }
}
