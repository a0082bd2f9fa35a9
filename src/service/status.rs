//! The one mapping from errors to gRPC status.

use tonic::{Code, Status};

use crate::crypto::oprf::OprfError;
use crate::flows::FlowError;
use crate::protocol::answer::AnswerError;
use crate::store::StoreError;

/// The status that a caller gets for whatever becomes a flow's error.
pub(super) fn refused(error: impl Into<FlowError>) -> Status {
    status_of(&error.into())
}

/// The status that a caller gets for an error, with its message; what is sealed stays sealed.
#[must_use]
pub fn status_of(error: &FlowError) -> Status {
    let code = match error {
        FlowError::Store(store) => store_code(store),
        FlowError::Record(_)
        | FlowError::Malformed(_)
        | FlowError::RequestIdReused
        | FlowError::IdempotencyKeyReused => Code::InvalidArgument,
        FlowError::Oprf(oprf) | FlowError::Answer(AnswerError::Oprf(oprf)) => oprf_code(oprf),
        FlowError::Answer(_) => Code::InvalidArgument,
        FlowError::OverBudget(_) | FlowError::RepeatedTooOften => Code::ResourceExhausted,
        FlowError::NotFound { .. } => Code::NotFound,
        FlowError::Unreadable { .. } | FlowError::Quota(_) => Code::DataLoss,
        FlowError::Denied(_) => Code::PermissionDenied,
        FlowError::NotPossible(_)
        | FlowError::NoLightMode
        | FlowError::Restored { .. }
        | FlowError::Forked { .. }
        | FlowError::EpochNotLive { .. }
        | FlowError::ListExpired { .. } => Code::FailedPrecondition,
        FlowError::Entropy(_)
        | FlowError::FeedNotOpen { .. }
        | FlowError::NotPublished(_)
        | FlowError::NotReached(_)
        | FlowError::Busy
        | FlowError::ShuttingDown => Code::Unavailable,
        FlowError::Call(_) | FlowError::NoMirror { .. } | FlowError::Late { .. } => {
            Code::Unavailable
        }
        FlowError::Mirror(_)
        | FlowError::Log(_)
        | FlowError::Statement(_)
        | FlowError::Feed(_)
        | FlowError::Leaf(_) => Code::Internal,
    };
    Status::new(code, error.to_string())
}

fn oprf_code(error: &OprfError) -> Code {
    if matches!(error, OprfError::Entropy(_)) {
        Code::Unavailable
    } else {
        Code::InvalidArgument
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is wrong with a folder is told at its opening, not to a caller"
)]
fn store_code(error: &StoreError) -> Code {
    match error {
        StoreError::DiskFull { .. } => Code::ResourceExhausted,
        StoreError::Conflict { .. } => Code::Aborted,
        StoreError::SealBroken { .. } | StoreError::Damaged { .. } => Code::DataLoss,
        StoreError::BatchTooLarge { .. }
        | StoreError::KeyLength { .. }
        | StoreError::ValueTooLong { .. }
        | StoreError::RowTwice { .. }
        | StoreError::RevisionOutOfRange { .. } => Code::Internal,
        // Everything else means that this store does not serve now.
        _ => Code::Unavailable,
    }
}
