//! What credit sharing is: identifiers, money, time, records, summaries, answers. Pure.

mod alert;
mod answer;
mod application;
#[cfg(test)]
pub(crate) mod arbitrary;
mod bands;
mod borrower;
mod erasure;
mod hold;
mod identifier;
mod ids;
mod loan;
mod money;
mod monthly;
mod purpose;
mod record;
mod retention;
mod revision;
mod rules;
mod signal;
mod summarize;
mod summary;
mod time;

pub use alert::{AlertKind, AlertResponse, AlertState};
pub use answer::{
    Answer, AnswerBands, Arrears, ArrearsSpan, CountName, Coverage, Flag, FlagCode, FlagState,
    Interval, Outcome, Reason, Severity, Silent, SilentReason,
};
pub use application::{Application, ApplicationKind, ApplicationOutcome, Channel};
pub use bands::{AmountSpan, Band, BandEdges, Bands, InvalidBands};
pub use borrower::Borrower;
pub use erasure::ErasureReason;
pub use hold::{Hold, HoldState};
pub use identifier::{
    Doubt, Identifier, IdentifierClass, IdentifierError, IdentifierKind, NameDob, NameError,
    check_character,
};
pub use ids::{
    Epoch, InvalidName, LenderGroup, Level, MemberId, NetworkId, OperatorName, Purpose, QueryId,
    RecordId, Role, Version,
};
pub use loan::{
    Dispute, DpdBucket, HISTORY_MONTHS, History, Loan, LoanRole, LoanState, MonthStatus, Product,
    Treatment,
};
pub use money::{Currency, Money, MoneyError};
pub use monthly::{Month, MonthlyCounts, RetractedAs, default_reported_on};
pub use purpose::{NeverPurpose, PurposeError};
pub use record::{Body, Record, RecordHead, RecordKind, Retraction, RetractionReason};
pub use retention::{Expiry, Jurisdiction, RetentionError, RetentionPolicy, Term, Terms, expiry};
pub use revision::{RevisionKind, resting, withdrawal};
pub use rules::{RecordError, Rule, Verdict, merge};
pub use signal::{Attempts, FraudType, Proof, Signal, SignalKind, is_same_person};
pub use summarize::{
    SignalSource, SignalsNow, StandingSignal, Summarized, SummaryTerms, signals_of, summarize,
};
pub use summary::{
    ApplicationMark, ApplicationStage, DayMark, GroupCode, HoldMark, HourMark, LastArrears,
    LoanLink, LoanMark, LoanStage, MalformedSummary, Marks, SignalMark, SignalSet, Summary, Tally,
    Unlisted,
};
pub use time::{Day, Hour, InvalidDay, Timestamp};
