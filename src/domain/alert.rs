//! What a watched borrower's lender is told: kinds of alerts, and what becomes of one.

use std::fmt;

use super::Severity;
use super::ids::word_enum;

word_enum!(
    /// What happened at another member.
    AlertKind {
        /// An account came to be 90 days past due, or a default was declared.
        Default = "default",
        /// An account was charged off.
        ChargeOff = "charge-off",
        /// The first instalment stayed unpaid for 30 days.
        FirstPaymentDefault = "first-payment-default",
        /// An account came to be 60 to 89 days past due.
        Arrears60 = "arrears-60",
        /// An account came to be 30 to 59 days past due.
        Arrears30 = "arrears-30",
        /// A contract was signed and is not paid out yet.
        Hold = "hold",
        /// There is one more loan on which money is owed.
        NewLoan = "new-loan",
        /// The borrower applied for a loan. Off unless it is asked for.
        HardApplication = "hard-application",
        /// Fraud was confirmed.
        Fraud = "fraud",
        /// The borrower was a victim of fraud: verify who asks.
        FraudVictim = "fraud-victim",
        /// The borrower asked for protection: verify who asks.
        Protective = "protective",
        /// Insolvency.
        Insolvency = "insolvency",
        /// The borrower died.
        Deceased = "deceased",
        /// The lender lost contact.
        LostContact = "lost-contact",
        /// A loan was restructured because the borrower could not pay.
        Restructured = "restructured",
        /// The payments of a loan are paused by agreement; never counts against the borrower.
        Forbearance = "forbearance",
        /// What was overdue was paid.
        Cured = "cured",
        /// Something adverse stands no more, without having been paid.
        Withdrawn = "withdrawn",
        /// Something adverse is in dispute: nothing automatic may rest on it.
        Disputed = "disputed",
        /// An answer that this node was given earlier has changed since.
        Revised = "revised",
    }
);

impl AlertKind {
    /// How much it matters.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Fraud => Severity::Critical,
            Self::Default
            | Self::ChargeOff
            | Self::FirstPaymentDefault
            | Self::Insolvency
            | Self::Deceased => Severity::High,
            Self::Arrears60 | Self::Hold | Self::LostContact | Self::Restructured => {
                Severity::Medium
            }
            Self::Arrears30 | Self::NewLoan | Self::HardApplication | Self::Revised => {
                Severity::Low
            }
            Self::FraudVictim
            | Self::Protective
            | Self::Forbearance
            | Self::Cured
            | Self::Withdrawn
            | Self::Disputed => Severity::Info,
        }
    }

    /// What it says, in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Default => "in default at another member",
            Self::ChargeOff => "charged off at another member",
            Self::FirstPaymentDefault => "first instalment unpaid at another member",
            Self::Arrears60 => "60 days past due at another member",
            Self::Arrears30 => "30 days past due at another member",
            Self::Hold => "signed a contract at another member",
            Self::NewLoan => "has a new loan at another member",
            Self::HardApplication => "applied for a loan at another member",
            Self::Fraud => "fraud confirmed at another member",
            Self::FraudVictim => "victim of fraud: verify who asks",
            Self::Protective => "asked for protection: verify who asks",
            Self::Insolvency => "insolvent",
            Self::Deceased => "died",
            Self::LostContact => "another member lost contact",
            Self::Restructured => "restructured at another member",
            Self::Forbearance => "payments paused by agreement at another member",
            Self::Cured => "what was overdue elsewhere is paid",
            Self::Withdrawn => "something adverse elsewhere stands no more",
            Self::Disputed => "something adverse elsewhere is in dispute",
            Self::Revised => "an earlier answer was revised",
        }
    }
}

word_enum!(
    /// What became of an alert.
    AlertState {
        /// Nobody has taken it yet.
        Open = "open",
        /// Somebody has taken it.
        Acknowledged = "acknowledged",
        /// It is settled.
        Resolved = "resolved",
    }
);

word_enum!(
    /// How an alert was settled.
    AlertResponse {
        /// The borrower was contacted.
        ContactedBorrower = "contacted-borrower",
        /// The limit was lowered.
        LoweredLimit = "lowered-limit",
        /// Further credit was stopped.
        StoppedCredit = "stopped-credit",
        /// A payout was stopped.
        StoppedPayout = "stopped-payout",
        /// The identity was verified again.
        VerifiedIdentity = "verified-identity",
        /// The account went to collections.
        SentToCollections = "sent-to-collections",
        /// The decision was looked at again and stays.
        Reviewed = "reviewed",
        /// Nothing was needed.
        NoAction = "no-action",
        /// It was not about this borrower.
        WrongPerson = "wrong-person",
        /// Something else; the note says what.
        Other = "other",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protects_or_relieves_the_borrower_never_counts_against_it() {
        for kind in AlertKind::ALL {
            let kind = *kind;
            let relieves = matches!(
                kind,
                AlertKind::FraudVictim
                    | AlertKind::Protective
                    | AlertKind::Forbearance
                    | AlertKind::Cured
                    | AlertKind::Withdrawn
                    | AlertKind::Disputed
            );
            assert_eq!(kind.severity() == Severity::Info, relieves, "{kind}");
            assert_eq!(AlertKind::from_word(kind.word()), Some(kind));
            assert!(!kind.title().is_empty());
        }
    }
}
