//! Why a step of the OPRF was refused.

use crate::env::EntropyUnavailable;
use crate::limits::EVALUATE_ELEMENTS_MAX;

/// Why a step of the OPRF was refused. No variant carries an input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OprfError {
    /// A batch of no elements.
    #[error("the batch is empty; put at least one element into it")]
    BatchEmpty,
    /// A batch above [`EVALUATE_ELEMENTS_MAX`].
    #[error(
        "the batch has {0} elements; split it into batches of at most {max}",
        max = EVALUATE_ELEMENTS_MAX
    )]
    BatchTooLarge(usize),
    /// A list of elements that does not divide into whole ones.
    #[error("{0} bytes are no whole number of 32-byte elements; send whole elements")]
    LengthRefused(usize),
    /// The answer has another number of elements than the question.
    #[error("{expected} evaluated elements were expected and {found} came; ask this peer again")]
    CountMismatch {
        /// Elements that were sent.
        expected: usize,
        /// Elements that came back.
        found: usize,
    },
    /// An element that is not canonical, no point of the group, or the identity (RFC 9497 §2.1).
    #[error("element {0} is not a canonical encoding of a group element other than the identity")]
    ElementRefused(usize),
    /// A public key that is not canonical, no point of the group, or the identity.
    #[error(
        "the public key is not a canonical encoding of a group element; check the key statement"
    )]
    PublicKeyRefused,
    /// The proof does not verify: other key, other elements, or altered on the way.
    #[error("the proof does not show that the listed key was used; do not trust this answer")]
    ProofRefused,
    /// An input above 65,535 bytes, or one that hashes to the identity (RFC 9497 §3.3.1).
    #[error("input {0} cannot be hashed to the group; give at most 65,535 bytes")]
    InputRefused(usize),
    /// A blinding factor that is zero or not canonical.
    #[error("the blinding factor is not a canonical scalar other than zero")]
    BlindingRefused,
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
}

/// Refuses an empty batch and one above the limit.
pub(super) fn checked_batch(elements: usize) -> Result<(), OprfError> {
    match elements {
        0 => Err(OprfError::BatchEmpty),
        1..=EVALUATE_ELEMENTS_MAX => Ok(()),
        _ => Err(OprfError::BatchTooLarge(elements)),
    }
}
