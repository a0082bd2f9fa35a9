//! The answering side's one decision: a permit buys exactly the evaluation that was debited.

use super::quota::QueryPermit;
use crate::crypto::oprf::{Evaluated, OprfError, SecretKey};
use crate::env::Entropy;
use crate::limits::ELEMENT_BYTES;

/// Why a permitted evaluation was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The batch is not the one that was debited.
    #[error(
        "{asked} elements were given where {permitted} were debited: ask again with a fresh id"
    )]
    OtherBatch {
        /// Elements given.
        asked: usize,
        /// Elements debited.
        permitted: u32,
    },
    /// An element is not one, or there is no randomness for the proof.
    #[error(transparent)]
    Oprf(#[from] OprfError),
}

/// Evaluates a batch of blinded elements under `key` and proves it (RFC 9497, mode 0x01).
///
/// # Errors
/// [`AnswerError`]; the permit is spent all the same.
pub fn evaluate(
    permit: QueryPermit,
    key: &SecretKey,
    elements: &[u8],
    entropy: &dyn Entropy,
) -> Result<Evaluated, AnswerError> {
    let asked = elements.len() / ELEMENT_BYTES;
    let permitted = permit.elements();
    drop(permit);
    if u32::try_from(asked).ok() != Some(permitted) {
        return Err(AnswerError::OtherBatch { asked, permitted });
    }
    Ok(key.evaluate(elements, entropy)?)
}
