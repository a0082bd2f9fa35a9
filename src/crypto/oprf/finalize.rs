//! The asker's last step: check the proof, take the blinding off, hash to tokens.

use curve25519_dalek::scalar::Scalar;
use ring::digest::{Context, SHA512};
use zeroize::Zeroizing;

use super::super::secret::Secret;
use super::super::token::Token;
use super::blind::PendingBatch;
use super::error::OprfError;
use super::group::length_prefix;
use super::keys::PublicKey;
use super::points::Points;
use super::proof::{Proof, verify, weights};
use super::{ELEMENT_BYTES, PROOF_BYTES};

impl PendingBatch {
    /// Checks that `public` evaluated exactly this batch, and finalizes it (`Finalize`, RFC 9497
    /// §3.3.2): one token for each present input, `None` for each missing one.
    ///
    /// # Errors
    /// [`OprfError::LengthRefused`], [`OprfError::CountMismatch`], [`OprfError::ElementRefused`],
    /// [`OprfError::ProofRefused`]: in each case nothing of the answer is to be trusted.
    pub fn finish(
        self,
        public: &PublicKey,
        evaluated: &[u8],
        proof: &[u8; PROOF_BYTES],
    ) -> Result<Vec<Option<Token>>, OprfError> {
        if evaluated.len() != self.elements.len() {
            return Err(if evaluated.len().is_multiple_of(ELEMENT_BYTES) {
                OprfError::CountMismatch {
                    expected: self.halves.len(),
                    found: evaluated.len() / ELEMENT_BYTES,
                }
            } else {
                OprfError::LengthRefused(evaluated.len())
            });
        }
        let proof = Proof::from_bytes(proof)?;
        let points = Points::decode(self.halves.arithmetic(), evaluated)?;
        let weights = weights(public, &self.elements, evaluated);
        verify(public, &self.halves, &points, &weights, &proof)?;
        Ok(self.unblinded(&points))
    }

    /// Takes the blinding off elements that are already trusted.
    pub(super) fn unblinded(mut self, evaluated: &Points) -> Vec<Option<Token>> {
        // The factors are not zero, so the batch can be inverted; 1/(2r) gives the halves to be
        // encoded.
        for factor in self.factors.iter_mut() {
            *factor = *factor + *factor;
        }
        let _product = Zeroizing::new(Scalar::invert_batch_alloc(&mut self.factors));
        let halves = evaluated.multiplied_each(&self.factors);
        let encoded = Zeroizing::new(halves.encode_doubled());
        let (elements, _) = encoded.as_chunks::<ELEMENT_BYTES>();
        self.inputs
            .iter()
            .zip(elements)
            .map(|(input, element)| input.map(|input| token(input, element)))
            .collect()
    }
}

/// The last hash (RFC 9497 §3.3.1).
pub(super) fn token(input: &[u8], element: &[u8; ELEMENT_BYTES]) -> Token {
    let mut context = Context::new(&SHA512);
    context.update(&length_prefix(input));
    context.update(input);
    context.update(&[0, 32]);
    context.update(element);
    context.update(b"Finalize");
    Token::from_secret(Secret::written(|out| {
        out.copy_from_slice(context.finish().as_ref());
    }))
}
