//! Why a flow did not come to its end.

use std::time::Duration;

use crate::crypto::oprf::OprfError;
use crate::domain::{Epoch, MemberId, RecordError, SilentReason, Timestamp};
use crate::env::EntropyUnavailable;
use crate::limits::EVALUATE_REPEATS_MAX;
use crate::membership::{Denial, StatementError};
use crate::merkle::LogFault;
use crate::net::AskError;
use crate::protocol::answer::AnswerError;
use crate::protocol::feed::FeedFault;
use crate::protocol::leaf::LeafFault;
use crate::protocol::mirror::MirrorFault;
use crate::protocol::quota::{OverBudget, QuotaRowDamaged};
use crate::store::StoreError;
use crate::wire::Malformed;

/// How often a commit that lost a race is tried again before the caller hears of it.
const CONFLICT_RETRIES: u32 = 32;

/// Why a flow did not come to its end, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// The store failed, or a row changed since it was read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record was refused.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message or field was not as its contract asks.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Elements, keys or proofs were not sound.
    #[error(transparent)]
    Oprf(#[from] OprfError),
    /// The member's quota is spent.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// A permitted evaluation could not be done.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// An own feed cannot take what it should.
    #[error(transparent)]
    Feed(#[from] FeedFault),
    /// A leaf is not what its tag says.
    #[error(transparent)]
    Leaf(#[from] LeafFault),
    /// The quota ledger is damaged.
    #[error(transparent)]
    Quota(#[from] QuotaRowDamaged),
    /// A peer's feed does not hold together.
    #[error(transparent)]
    Mirror(#[from] MirrorFault),
    /// A key statement is forged or contradicts an earlier one.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A Merkle log or a checkpoint does not hold together.
    #[error(transparent)]
    Log(#[from] LogFault),
    /// A peer could not be asked, or refused.
    #[error(transparent)]
    Call(#[from] AskError),
    /// The peer's answer and what it takes to look it up did not come in time.
    #[error("no full answer within {} ms", deadline.as_millis())]
    Late {
        /// The time that it had.
        deadline: Duration,
    },
    /// There is no mirror of the peer that an answer could be looked up in.
    #[error("{reason}")]
    NoMirror {
        /// What is missing.
        reason: &'static str,
    },
    /// The peer is proven to have signed two histories.
    #[error(
        "{member} signed two histories of one feed (see `creditmesh audit forks`): what it answers \
         counts as not given until the member list pins another identity key for it"
    )]
    Forked {
        /// The peer.
        member: MemberId,
    },
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// There is no such thing.
    #[error("no such {what}: check the id")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// What is stored cannot be read.
    #[error(
        "a stored {what} cannot be read: run `creditmesh node verify` and restore from a backup"
    )]
    Unreadable {
        /// What was read.
        what: &'static str,
    },
    /// The key epoch is not live.
    #[error("key epoch {epoch} is not live here: fetch the current epochs with Describe")]
    EpochNotLive {
        /// The epoch asked for.
        epoch: Epoch,
    },
    /// The feed asked for is not open yet.
    #[error("the feed of epoch {epoch} is not open yet: try again in a few seconds")]
    FeedNotOpen {
        /// The epoch asked for.
        epoch: Epoch,
    },
    /// Light mode is not served, or the feed is cut otherwise.
    #[error("light mode is not served here as it was asked for: ask for the offers again")]
    NoLightMode,
    /// The member list does not give the member what it asked for.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// A request id was used before for something else.
    #[error("request id was used before for another request: choose a fresh one")]
    RequestIdReused,
    /// A request was answered as often as it may be for one debit.
    #[error("this request was repeated {EVALUATE_REPEATS_MAX} times: choose a fresh request id")]
    RepeatedTooOften,
    /// An idempotency key was used before for another request.
    #[error("idempotency key was used before for another request: choose a fresh one")]
    IdempotencyKeyReused,
    /// The request cannot be done in the state that things are in.
    #[error("{0}")]
    NotPossible(String),
    /// Something could not be published, so nothing may be asked.
    #[error("not published, so no peer was asked: {0}")]
    NotPublished(String),
    /// The store was restored from a backup that may not be the newest state.
    #[error(
        "this node's store was restored from a backup that may be older than what the node signed: \
         it publishes and answers again from {until}, when the next key epoch begins"
    )]
    Restored {
        /// When it goes on.
        until: Timestamp,
    },
    /// No registrar was reached.
    #[error("{0}")]
    NotReached(String),
    /// Others changed the same records again and again meanwhile.
    #[error("others change the same records at this moment: try again in a second")]
    Busy,
    /// The node is shutting down.
    #[error("the node is shutting down: try again when it is back")]
    ShuttingDown,
    /// The member list has run out.
    #[error("the member list ran out at {since}: fetch a newer one from the administrators")]
    ListExpired {
        /// When it ran out.
        since: Timestamp,
    },
}

impl FlowError {
    /// Whether the store is at fault, rather than what was asked.
    #[must_use]
    pub fn is_store(&self) -> bool {
        matches!(
            self,
            Self::Store(_) | Self::Unreadable { .. } | Self::Quota(_)
        )
    }

    /// Why a peer counts as silent after this error.
    #[must_use]
    pub fn silence(&self) -> SilentReason {
        match self {
            Self::Call(error) => error.silence(),
            Self::Late { .. } => SilentReason::Deadline,
            Self::NoMirror { .. } | Self::FeedNotOpen { .. } | Self::NoLightMode => {
                SilentReason::MirrorBehind
            }
            Self::EpochNotLive { .. } => SilentReason::EpochMismatch,
            Self::Malformed(_)
            | Self::Oprf(_)
            | Self::Mirror(_)
            | Self::Leaf(_)
            | Self::Log(_)
            | Self::Statement(_)
            | Self::Forked { .. } => SilentReason::Unverified,
            Self::Store(_)
            | Self::Record(_)
            | Self::OverBudget(_)
            | Self::Answer(_)
            | Self::Feed(_)
            | Self::Quota(_)
            | Self::Entropy(_)
            | Self::NotFound { .. }
            | Self::Unreadable { .. }
            | Self::Denied(_)
            | Self::RequestIdReused
            | Self::RepeatedTooOften
            | Self::IdempotencyKeyReused
            | Self::NotPossible(_)
            | Self::NotPublished(_)
            | Self::NotReached(_)
            | Self::Busy
            | Self::Restored { .. }
            | Self::ShuttingDown
            | Self::ListExpired { .. } => SilentReason::MirrorBehind,
        }
    }

    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict { .. }))
    }
}

/// Runs `attempt` again while it loses races for rows that others write.
///
/// # Errors
/// The error of the last attempt.
pub async fn retry_conflicts<T, F: Future<Output = Result<T, FlowError>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, FlowError> {
    for round in 0..CONFLICT_RETRIES {
        match attempt().await {
            Err(error) if error.is_conflict() => {
                tokio::time::sleep(Duration::from_millis(u64::from(round.min(8)))).await;
            }
            settled => return settled,
        }
    }
    attempt().await
}
