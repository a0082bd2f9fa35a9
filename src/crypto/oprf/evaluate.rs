//! The key holder's side: evaluating a peer's blinded batch, and the tokens of its own records.

use zeroize::Zeroizing;

use super::super::token::Token;
use super::error::{OprfError, checked_batch};
use super::finalize::token;
use super::group::{VOPRF, expand_message, hash_to_group};
use super::keys::SecretKey;
use super::points::{Arithmetic, Points, Uniform};
use super::proof::weights;
use super::{ELEMENT_BYTES, PROOF_BYTES};
use crate::env::Entropy;

/// The answer to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// The evaluated elements, flat: 32 bytes each, in the order in which the blinded ones came.
    pub elements: Vec<u8>,
    /// The proof that the listed key evaluated every one of them.
    pub proof: [u8; PROOF_BYTES],
}

impl SecretKey {
    /// Evaluates a flat list of blinded elements and proves it (`BlindEvaluate`, RFC 9497 §3.3.2).
    ///
    /// # Errors
    /// [`OprfError::LengthRefused`], [`OprfError::BatchEmpty`], [`OprfError::BatchTooLarge`],
    /// [`OprfError::ElementRefused`] for the first element that is not strictly encoded,
    /// [`OprfError::Entropy`].
    pub fn evaluate(&self, elements: &[u8], entropy: &dyn Entropy) -> Result<Evaluated, OprfError> {
        let count = elements.len().div_ceil(ELEMENT_BYTES);
        checked_batch(count)?;
        let blinded = Points::decode(Arithmetic::of_batch(count), elements)?;
        let evaluated = self.multiplied(&blinded);
        let weights = weights(&self.public(), elements, &evaluated);
        let nonce = self.proof_nonce(&evaluated, entropy)?;
        let proof = self.prove(&blinded, &weights, &nonce).to_bytes();
        Ok(Evaluated {
            elements: evaluated,
            proof,
        })
    }

    /// `k · P` for each point, encoded flat.
    pub(super) fn multiplied(&self, points: &Points) -> Vec<u8> {
        points.multiplied(self.half()).encode_doubled()
    }

    /// The token of an own record (`Evaluate`, RFC 9497 §3.3.2): what an asker with the same
    /// identifier finalizes to. `canonical` has at most 65,535 bytes; more cannot be asked for by
    /// anybody.
    #[must_use]
    pub fn token_of(&self, canonical: &[u8]) -> Token {
        let point = Zeroizing::new(hash_to_group(canonical, VOPRF.hash_to_group));
        let evaluated = Zeroizing::new(*point * self.scalar());
        let encoded = Zeroizing::new(evaluated.compress());
        token(canonical, encoded.as_bytes())
    }

    /// The tokens of many own records, in their order; cheaper than one by one.
    #[must_use]
    pub fn tokens_of(&self, canonical: &[&[u8]]) -> Vec<Token> {
        let uniform: Vec<Uniform> = canonical
            .iter()
            .map(|input| {
                let bytes = expand_message(&[input], VOPRF.hash_to_group);
                Some(Zeroizing::new(bytes))
            })
            .collect();
        let points = Points::from_uniform(Arithmetic::of_batch(canonical.len()), &uniform);
        let encoded = Zeroizing::new(self.multiplied(&points));
        let (elements, _) = encoded.as_chunks::<ELEMENT_BYTES>();
        canonical
            .iter()
            .zip(elements)
            .map(|(input, element)| token(input, element))
            .collect()
    }
}
