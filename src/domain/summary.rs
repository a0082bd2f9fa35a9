//! The summary: what a member publishes of one borrower identifier, in 120 bytes.
//!
//! It tells times rounded down to the hour, never counts of a window: the asker computes windows at
//! its own time. What does not fit is counted, so that the asker knows how much may be missing.
//! `docs/protocol-summary.md` gives the bytes; [`Summary::encode`] and [`Summary::decode`] are the
//! only way in and out.

mod codec;
mod marks;

use std::fmt;

use super::ids::word_enum;
use super::{Band, Level};
use crate::limits::{SUMMARY_APPLICATIONS_MAX, SUMMARY_HOLDS_MAX, SUMMARY_LOANS_MAX};

pub use codec::MalformedSummary;
pub use marks::{DayMark, GroupCode, HourMark, Tally};

/// At most `N` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks<T, const N: usize>(Vec<T>);

impl<T, const N: usize> Marks<T, N> {
    /// The first `N` of these entries.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = T>) -> Self {
        Self(entries.into_iter().take(N).collect())
    }

    /// The entries.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> Default for Marks<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

word_enum!(
    /// What an asker may know of an inquiry. Who was declined is not published.
    ApplicationStage {
        /// An offer was asked for.
        Soft = "soft",
        /// A hard application that is pending or approved.
        Undecided = "undecided",
        /// A hard application that ended, or led to a contract.
        Decided = "decided",
    }
);

/// The latest application of its stage at its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApplicationMark {
    /// When it was made.
    pub at: HourMark,
    /// What it was, and whether it still stands.
    pub stage: ApplicationStage,
    /// The economic lender.
    pub group: GroupCode,
}

word_enum!(
    /// Where a loan is, as far as it is published.
    LoanStage {
        /// Running, less than 30 days past due.
        Below30 = "below-30",
        /// Running, 30 to 59 days past due.
        From30 = "30-59",
        /// Running, 60 to 89 days past due.
        From60 = "60-89",
        /// Running, 90 days past due or more.
        From90 = "90-plus",
        /// Charged off and unpaid.
        ChargedOff = "charged-off",
        /// Repaid, or settled for less.
        Closed = "closed",
        /// Sold or assigned.
        Transferred = "transferred",
        /// No account is told, only that one is 30 days past due.
        Signalled30 = "signalled-30",
        /// No account is told, only that one is 60 days past due.
        Signalled60 = "signalled-60",
        /// No account is told, only that one is in default.
        Signalled90 = "signalled-90",
    }
);

impl LoanStage {
    /// Whether the loan is running.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(
            self,
            Self::Below30 | Self::From30 | Self::From60 | Self::From90
        )
    }

    /// Whether it is a default: 90 days past due, or an unpaid charge-off.
    #[must_use]
    pub const fn is_default(self) -> bool {
        matches!(self, Self::From90 | Self::ChargedOff | Self::Signalled90)
    }

    /// Whether it is 30 to 89 days past due.
    #[must_use]
    pub const fn is_delinquent(self) -> bool {
        self.is_delinquent_60() || matches!(self, Self::From30 | Self::Signalled30)
    }

    /// Whether it is 60 to 89 days past due.
    #[must_use]
    pub const fn is_delinquent_60(self) -> bool {
        matches!(self, Self::From60 | Self::Signalled60)
    }

    /// Whether an account is told, and with it when it was signed.
    #[must_use]
    pub const fn is_account(self) -> bool {
        !matches!(
            self,
            Self::Signalled30 | Self::Signalled60 | Self::Signalled90
        )
    }

    /// Whether money is owed on an account that is told.
    #[must_use]
    pub const fn is_owed(self) -> bool {
        self.is_running() || matches!(self, Self::ChargedOff)
    }
}

word_enum!(
    /// Whether a loan was transferred under a link.
    LoanLink {
        /// It was not.
        None = "none",
        /// Its link is the summary's [`Summary::link`].
        Listed = "listed",
        /// Its link did not fit.
        Unlisted = "unlisted",
    }
);

/// A loan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoanMark {
    /// When it was signed; says nothing where no account is told.
    pub signed: HourMark,
    /// Where it is.
    pub stage: LoanStage,
    /// What is owed on it.
    pub outstanding: Band,
    /// Whether it is in dispute: nothing adverse may rest on it.
    pub disputed: bool,
    /// Whether it was transferred under a link.
    pub link: LoanLink,
    /// The economic lender.
    pub group: GroupCode,
}

/// A hold that was live when the summary was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldMark {
    /// When the contract was signed.
    pub signed: HourMark,
    /// Hours from there to the hour in which it expires, at most 168 (254 fit).
    pub ttl_hours: u8,
    /// What is about to be paid out.
    pub amount: Band,
    /// The economic lender.
    pub group: GroupCode,
}

/// How much was left out. Each but `active_loans` is a number of distinct groups for which the
/// entries listed do not tell what the field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unlisted {
    /// Groups of hard applications; none of those is later than the earliest hard one listed.
    pub hard: Tally,
    /// Groups of soft inquiries.
    pub soft: Tally,
    /// Groups of live holds.
    pub holds: Tally,
    /// Loans on which money is owed, and live holds (not groups); the exposure has them.
    pub active_loans: Tally,
    /// Groups with a running loan.
    pub active_groups: Tally,
    /// Groups with a default.
    pub default_groups: Tally,
    /// Groups with an account 30 to 89 days past due.
    pub delinquent_groups: Tally,
    /// Groups with an account 60 to 89 days past due.
    pub delinquent_60_groups: Tally,
    /// Groups whose latest signed loan, or latest signed live hold, is not listed.
    pub signed_groups: Tally,
    /// Nothing of what `signed_groups` counts was signed after this hour.
    pub signed_latest: HourMark,
}

/// The last day on which an account was this late, if there was one in the last 24 months or so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastArrears {
    /// 30 days past due or more.
    pub d30: Option<DayMark>,
    /// 60 days past due or more.
    pub d60: Option<DayMark>,
    /// 90 days past due or more.
    pub d90: Option<DayMark>,
}

word_enum!(
    /// A signal as a summary tells it: that it stands.
    SignalMark {
        /// The first instalment was unpaid for 30 days.
        FirstPaymentDefault = "first-payment-default",
        /// Fraud confirmed.
        FraudConfirmed = "fraud-confirmed",
        /// Victim of fraud.
        FraudVictim = "fraud-victim",
        /// Protective registration.
        Protective = "protective",
        /// Restructured.
        Restructured = "restructured",
        /// Payments paused by agreement.
        Forbearance = "forbearance",
        /// Insolvency.
        Insolvency = "insolvency",
        /// Lost contact.
        LostContact = "lost-contact",
        /// Charge-off.
        ChargeOff = "charge-off",
        /// Default.
        Default = "default",
        /// The borrower died.
        Deceased = "deceased",
    }
);

/// A set of signals that stand; bit `n` is the `n`-th [`SignalMark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(u16);

impl SignalSet {
    /// Adds a signal.
    pub fn insert(&mut self, mark: SignalMark) {
        self.0 |= 1_u16 << (mark as u16);
    }

    /// Whether a signal is in it.
    #[must_use]
    pub fn contains(self, mark: SignalMark) -> bool {
        self.0 & (1_u16 << (mark as u16)) != 0
    }

    /// Whether no signal is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a member publishes of one borrower identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether it tells everything or defaults only.
    pub level: Level,
    /// When it was made.
    pub as_of: HourMark,
    /// Applications: the latest undecided, decided and soft one of each group.
    pub applications: Marks<ApplicationMark, SUMMARY_APPLICATIONS_MAX>,
    /// Loans, those first that tell most.
    pub loans: Marks<LoanMark, SUMMARY_LOANS_MAX>,
    /// Live holds, the latest to expire of each group.
    pub holds: Marks<HoldMark, SUMMARY_HOLDS_MAX>,
    /// How much was left out.
    pub unlisted: Unlisted,
    /// What is owed in total, live holds that are listed left out.
    pub exposure: Band,
    /// What is paid each month in total.
    pub instalment: Band,
    /// When an account was last late.
    pub last_arrears: LastArrears,
    /// Signals that stand.
    pub signals: SignalSet,
    /// Whose groups' the signals, the cure and the last arrears are: [`GroupCode::OWN`] (also where
    /// there are none), one other group, or [`GroupCode::SEVERAL`].
    pub source: GroupCode,
    /// The last day on which a default was cured.
    pub cured_on: Option<DayMark>,
    /// The link of the loan transferred last.
    pub link: Option<[u8; 8]>,
    /// Links of loans that are not listed, or not with their link; saturates.
    pub unlisted_links: u8,
    /// Some amount is not in the network's currency, so that the bands miss it.
    pub currency_mismatch: bool,
    /// Some record is in dispute; what it says is marked or left out.
    pub disputed: bool,
    /// How many identifiers of the other kind were seen with this one in the last 90 days:
    /// telephone numbers with a national number, national numbers with a telephone number. `None`
    /// in a summary of version 1, which does not tell.
    pub others_90d: Option<Tally>,
}

impl Default for Summary {
    /// Nothing, told in full, by nobody in particular, long ago.
    fn default() -> Self {
        Self {
            level: Level::Full,
            as_of: HourMark::default(),
            applications: Marks::default(),
            loans: Marks::default(),
            holds: Marks::default(),
            unlisted: Unlisted::default(),
            exposure: Band::NOTHING,
            instalment: Band::NOTHING,
            last_arrears: LastArrears::default(),
            signals: SignalSet::default(),
            source: GroupCode::OWN,
            cured_on: None,
            link: None,
            unlisted_links: 0,
            currency_mismatch: false,
            disputed: false,
            others_90d: None,
        }
    }
}

impl Summary {
    /// Whether it tells nothing: the same as no summary at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing = Self {
            level: self.level,
            as_of: self.as_of,
            others_90d: self.others_90d.filter(|tally| tally.is_zero()),
            ..Self::default()
        };
        *self == nothing
    }

    /// Whether it tells the same as `other`, whenever each was made.
    #[must_use]
    pub fn tells_the_same(&self, other: &Self) -> bool {
        let moved = Self {
            as_of: self.as_of,
            ..other.clone()
        };
        *self == moved
    }
}
