//! An application or other inquiry: that a borrower asked a lender for credit, and what came of it.

use std::fmt;

use super::ids::word_enum;
use super::{LenderGroup, Money, Product, Purpose, Timestamp};

word_enum!(
    /// What an inquiry was for. Only [`ApplicationKind::Application`] counts in adverse flags.
    ApplicationKind {
        /// Terms or an offer were asked for (soft): never adverse.
        Offer = "offer",
        /// The borrower applied (hard).
        Application = "application",
        /// The check right before paying out; never counted.
        Recheck = "recheck",
        /// Review of an existing account (soft).
        Review = "review",
        /// Collection of a debt.
        Collection = "collection",
        /// The borrower asked about itself.
        SelfAccess = "self-access",
        /// Fraud prevention.
        Fraud = "fraud",
    }
);

impl ApplicationKind {
    /// The purpose that an inquiry of this kind must carry.
    #[must_use]
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::Offer | Self::Application => Purpose::CreditApplication,
            Self::Recheck => Purpose::PreFundingRecheck,
            Self::Review => Purpose::AccountReview,
            Self::Collection => Purpose::Collection,
            Self::SelfAccess => Purpose::SelfAccess,
            Self::Fraud => Purpose::FraudPrevention,
        }
    }
}

word_enum!(
    /// What came of an application.
    ApplicationOutcome {
        /// Not decided yet.
        Pending = "pending",
        /// The lender refused.
        Declined = "declined",
        /// The borrower withdrew.
        Withdrawn = "withdrawn",
        /// The lender agreed; nothing is signed.
        Approved = "approved",
        /// The contract is signed.
        Signed = "signed",
        /// The money was paid out.
        Funded = "funded",
        /// Lapsed without a decision or a signature.
        Expired = "expired",
    }
);

word_enum!(
    /// How the application reached the lender.
    Channel {
        /// Web site.
        Web = "web",
        /// Mobile application.
        App = "app",
        /// In person at a branch.
        Branch = "branch",
        /// Through an agent or broker.
        Agent = "agent",
        /// Through a partner such as a shop.
        Partner = "partner",
        /// By telephone.
        Phone = "phone",
        /// Another or an unknown way.
        Other = "other",
    }
);

/// An application for credit, or another inquiry about a borrower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// What it was for.
    pub kind: ApplicationKind,
    /// The economic lender; `None` means the furnishing member's own group.
    pub lender_group: Option<LenderGroup>,
    /// Why the lender looked; the one that belongs to `kind`.
    pub purpose: Purpose,
    /// What kind of credit.
    pub product: Product,
    /// The amount asked for.
    pub amount: Option<Money>,
    /// The length asked for, in days.
    pub term_days: Option<u16>,
    /// The borrower's stated income in a month. It stays with the lender.
    pub income_month: Option<Money>,
    /// How it reached the lender.
    pub channel: Channel,
    /// When it was made.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: ApplicationOutcome,
    /// When the outcome came about; empty exactly while it is pending.
    pub outcome_at: Option<Timestamp>,
    /// SHA-256 hash of the consent (purpose, time, expiry, text version).
    pub consent_ref: Option<[u8; 32]>,
}

impl Application {
    /// A pending application of this kind, made at `at`; every optional field is empty.
    #[must_use]
    pub const fn new(kind: ApplicationKind, product: Product, at: Timestamp) -> Self {
        Self {
            kind,
            lender_group: None,
            purpose: kind.purpose(),
            product,
            amount: None,
            term_days: None,
            income_month: None,
            channel: Channel::Other,
            at,
            outcome: ApplicationOutcome::Pending,
            outcome_at: None,
            consent_ref: None,
        }
    }

    /// Whether it is a hard application, the only kind that may feed an adverse flag.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        self.kind == ApplicationKind::Application
    }

    /// Whether it may still become a contract: pending, or approved and not signed.
    ///
    /// From the signature on, a hold or a loan stands for it, so that it is not counted twice.
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        match self.outcome {
            ApplicationOutcome::Pending | ApplicationOutcome::Approved => true,
            ApplicationOutcome::Declined
            | ApplicationOutcome::Withdrawn
            | ApplicationOutcome::Signed
            | ApplicationOutcome::Funded
            | ApplicationOutcome::Expired => false,
        }
    }
}
