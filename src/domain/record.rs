//! A record: one version of what a member reports about one borrower.

use std::fmt;

use super::ids::word_enum;
use super::{Application, Borrower, Day, Hold, Loan, RecordId, Signal, Timestamp, Version};

word_enum!(
    /// What a record is.
    RecordKind {
        /// A loan account.
        Loan = "loan",
        /// An application or other inquiry.
        Application = "application",
        /// A signed contract that is not yet a loan.
        Hold = "hold",
        /// An adverse or protective event.
        Signal = "signal",
    }
);

word_enum!(
    /// Why a record was retracted.
    RetractionReason {
        /// The furnisher made a mistake.
        FurnisherError = "furnisher-error",
        /// It is about somebody else.
        WrongPerson = "wrong-person",
        /// The borrower disputed it and was right.
        DisputeUpheld = "dispute-upheld",
        /// A court or authority ordered it.
        Court = "court",
        /// Reported twice.
        Duplicate = "duplicate",
        /// A dispute was decided: the signal that told of it is over.
        DisputeDecided = "dispute-decided",
    }
);

/// The tombstone of a record: its last version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retraction {
    /// What the record was.
    pub kind: RecordKind,
    /// Why it was retracted.
    pub reason: RetractionReason,
}

/// What every record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// The record, the same in all its versions.
    pub record_id: RecordId,
    /// The version, from 1; the newest wins.
    pub version: Version,
    /// When the member reported this version.
    pub reported_at: Timestamp,
    /// The moment whose state this version tells; not after `reported_at`.
    pub as_of: Timestamp,
    /// The last day on which the record may be used, where the member or the law limits it.
    pub expires_on: Option<Day>,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A loan account.
    Loan(Loan),
    /// An application or other inquiry.
    Application(Application),
    /// A signed contract that is not yet a loan.
    Hold(Hold),
    /// An adverse or protective event.
    Signal(Signal),
    /// Nothing any more: the record was retracted.
    Retracted(Retraction),
}

impl Body {
    /// What the record is, or was before its retraction.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Loan(_) => RecordKind::Loan,
            Self::Application(_) => RecordKind::Application,
            Self::Hold(_) => RecordKind::Hold,
            Self::Signal(_) => RecordKind::Signal,
            Self::Retracted(retraction) => retraction.kind,
        }
    }
}

/// One version of one record.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Id, version and times.
    pub head: RecordHead,
    /// Who it is about.
    pub borrower: Borrower,
    /// What it tells.
    pub body: Body,
}

impl Record {
    /// What the record is, or was before its retraction.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        self.body.kind()
    }

    /// What the record is about, where it is a signal about another record.
    #[must_use]
    pub const fn subject(&self) -> Option<RecordId> {
        match &self.body {
            Body::Signal(signal) => signal.about,
            Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Retracted(_) => None,
        }
    }

    /// Whether this version is a tombstone.
    #[must_use]
    pub const fn is_retracted(&self) -> bool {
        matches!(self.body, Body::Retracted(_))
    }

    /// The next version, which retracts this one.
    #[must_use]
    pub fn retracted(&self, reason: RetractionReason, now: Timestamp) -> Self {
        Self {
            head: RecordHead {
                version: self.head.version.next(),
                reported_at: now,
                as_of: now,
                expires_on: None,
                ..self.head
            },
            borrower: self.borrower.clone(),
            body: Body::Retracted(Retraction {
                kind: self.kind(),
                reason,
            }),
        }
    }
}

/// Shows id, version and kind only: a record is private.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("record_id", &self.head.record_id)
            .field("version", &self.head.version.number())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}
