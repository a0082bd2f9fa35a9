//! The proof that one key evaluated a whole batch: batched DLEQ (RFC 9497 §2.2).
//!
//! Weighted sums are computed as halves, so that the four elements of a transcript share one
//! field inversion when they are encoded.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use ring::digest::{Context, SHA512, digest};
use zeroize::{Zeroize, Zeroizing};

use super::super::labels;
use super::error::OprfError;
use super::group::{HASH_BYTES, Suite, VOPRF, hash_to_scalar, length_prefix};
use super::keys::{PublicKey, SecretKey};
use super::points::{Points, encode_doubled};
use super::{ELEMENT_BYTES, PROOF_BYTES};
use crate::env::{Entropy, EntropyUnavailable};

/// `I2OSP(32, 2)`: the length prefix of an encoded element.
const ELEMENT_PREFIX: [u8; 2] = [0, 32];

/// Challenge and response.
pub(super) struct Proof {
    challenge: Scalar,
    response: Scalar,
}

impl Proof {
    pub(super) fn to_bytes(&self) -> [u8; PROOF_BYTES] {
        let mut bytes = [0; PROOF_BYTES];
        let (challenge, response) = bytes.split_at_mut(PROOF_BYTES / 2);
        challenge.copy_from_slice(self.challenge.as_bytes());
        response.copy_from_slice(self.response.as_bytes());
        bytes
    }

    /// Two canonical scalars.
    pub(super) fn from_bytes(bytes: &[u8; PROOF_BYTES]) -> Result<Self, OprfError> {
        let (halves, _) = bytes.as_chunks::<{ PROOF_BYTES / 2 }>();
        let mut scalars = halves
            .iter()
            .map(|half| Option::<Scalar>::from(Scalar::from_canonical_bytes(*half)));
        match (scalars.next().flatten(), scalars.next().flatten()) {
            (Some(challenge), Some(response)) => Ok(Self {
                challenge,
                response,
            }),
            _ => Err(OprfError::ProofRefused),
        }
    }
}

/// The weights `d_i` of `ComputeComposites` (RFC 9497 §2.2.1), from the encoded elements as they
/// travel.
///
/// Elements are decoded strictly, so their bytes are the only encoding of their points.
pub(super) fn weights(public: &PublicKey, blinded: &[u8], evaluated: &[u8]) -> Vec<Scalar> {
    weights_in(&VOPRF, public, blinded, evaluated)
}

fn weights_in(suite: &Suite, public: &PublicKey, blinded: &[u8], evaluated: &[u8]) -> Vec<Scalar> {
    let mut context = Context::new(&SHA512);
    context.update(&ELEMENT_PREFIX);
    context.update(public.as_bytes());
    context.update(&length_prefix(suite.seed));
    context.update(suite.seed);
    let seed = context.finish();

    // Everything around the index and the two elements is the same for all terms.
    let mut message = Vec::with_capacity(2 + HASH_BYTES + 2 + 2 * (2 + ELEMENT_BYTES) + 9);
    let (blinded, _) = blinded.as_chunks::<ELEMENT_BYTES>();
    let (evaluated, _) = evaluated.as_chunks::<ELEMENT_BYTES>();
    (0..=u16::MAX)
        .zip(blinded.iter().zip(evaluated))
        .map(|(index, (blinded, evaluated))| {
            message.clear();
            message.extend_from_slice(&[0, 64]);
            message.extend_from_slice(seed.as_ref());
            message.extend_from_slice(&index.to_be_bytes());
            message.extend_from_slice(&ELEMENT_PREFIX);
            message.extend_from_slice(blinded);
            message.extend_from_slice(&ELEMENT_PREFIX);
            message.extend_from_slice(evaluated);
            message.extend_from_slice(b"Composite");
            hash_to_scalar(&[&message], suite.hash_to_scalar)
        })
        .collect()
}

fn halved(scalars: &[Scalar]) -> Vec<Scalar> {
    scalars.iter().map(Scalar::div_by_2).collect()
}

/// The challenge over the encodings of twice `[M, Z, t2, t3]` (RFC 9497 §2.2.1).
fn challenge(suite: &Suite, public: &PublicKey, halves: &[RistrettoPoint; 4]) -> Scalar {
    let encoded = encode_doubled(halves);
    let (elements, _) = encoded.as_chunks::<ELEMENT_BYTES>();
    let mut message = Vec::with_capacity(5 * (2 + ELEMENT_BYTES) + 9);
    for element in std::iter::once(public.as_bytes()).chain(elements) {
        message.extend_from_slice(&ELEMENT_PREFIX);
        message.extend_from_slice(element);
    }
    message.extend_from_slice(b"Challenge");
    hash_to_scalar(&[&message], suite.hash_to_scalar)
}

impl SecretKey {
    /// `GenerateProof` over decoded blinded elements and the weights of the batch. The nonce is
    /// public to nobody and used once; half of it is what the transcript needs.
    pub(super) fn prove(
        &self,
        blinded: &Points,
        weights: &[Scalar],
        nonce: &Zeroizing<Scalar>,
    ) -> Proof {
        let half_m = blinded.sum(&halved(weights));
        let half_z = half_m * self.scalar();
        let half_nonce = Zeroizing::new(nonce.div_by_2());
        let half_t2 = RistrettoPoint::mul_base(&half_nonce);
        let half_t3 = half_m * **nonce;
        let halves = [half_m, half_z, half_t2, half_t3];
        let challenge = challenge(&VOPRF, &self.public(), &halves);
        let response = **nonce - challenge * self.scalar();
        Proof {
            challenge,
            response,
        }
    }

    /// A fresh nonce. Key and batch are mixed in, so that a source of randomness that repeats
    /// itself (a machine restored from a snapshot) still does not give the key away.
    pub(super) fn proof_nonce(
        &self,
        batch: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Zeroizing<Scalar>, EntropyUnavailable> {
        let mut random = Zeroizing::new([0; HASH_BYTES]);
        entropy.fill(random.as_mut_slice())?;
        let mut context = Context::new(&SHA512);
        context.update(labels::OPRF_PROOF_NONCE);
        context.update(self.scalar().as_bytes());
        context.update(random.as_slice());
        context.update(digest(&SHA512, batch).as_ref());
        let mut uniform = [0; HASH_BYTES];
        uniform.copy_from_slice(context.finish().as_ref());
        let nonce = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&uniform));
        uniform.zeroize();
        Ok(nonce)
    }
}

/// `VerifyProof` (RFC 9497 §2.2.2). `blinded_halves` are half of the elements that were sent. All
/// values are public, so all of it runs in variable time.
pub(super) fn verify(
    public: &PublicKey,
    blinded_halves: &Points,
    evaluated: &Points,
    weights: &[Scalar],
    proof: &Proof,
) -> Result<(), OprfError> {
    let half_m = blinded_halves.sum(weights);
    let half_z = evaluated.sum(&halved(weights));
    let half_t2 = RistrettoPoint::vartime_double_scalar_mul_basepoint(
        &proof.challenge.div_by_2(),
        public.point(),
        &proof.response.div_by_2(),
    );
    let half_t3 = RistrettoPoint::vartime_multiscalar_mul(
        [proof.response, proof.challenge],
        [half_m, half_z],
    );
    let expected = challenge(&VOPRF, public, &[half_m, half_z, half_t2, half_t3]);
    if expected == proof.challenge {
        Ok(())
    } else {
        Err(OprfError::ProofRefused)
    }
}
