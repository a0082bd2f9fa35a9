//! The asker's first step: identifiers hashed to the group once, blinded afresh for every peer.

use std::fmt;
use std::sync::Arc;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::hkdf::Prk;
use super::super::labels;
use super::super::secret::Secret;
use super::ELEMENT_BYTES;
use super::error::{OprfError, checked_batch};
use super::group::{Suite, VOPRF, expand_message, hash_to_group};
use super::points::{Arithmetic, Points, Uniform};
use crate::env::{Entropy, EntropyUnavailable};

/// One element of a batch before blinding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The canonical bytes of an identifier, at most 65,535 of them.
    Present(&'a [u8]),
    /// The borrower has no identifier of this kind. The element sent is a random one, distributed
    /// exactly as that of a present identifier: the factor times the group's generator.
    Missing,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present(_) => "Present(..)",
            Self::Missing => "Missing",
        })
    }
}

/// The seed that all blinding factors of one batch for one peer derive from. The asker keeps it
/// sealed, so that it can open single evaluations to an auditor later.
#[derive(Debug, PartialEq, Eq)]
pub struct BatchSeed(Secret<32>);

impl BatchSeed {
    /// A seed that was kept (sealed) earlier.
    #[must_use]
    pub fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The seed for one peer, from the one seed of a query: independent of every other peer's.
    #[must_use]
    pub fn of_peer(query: &Secret<32>, peer: &str) -> Self {
        Self(Prk::from_uniform(query).expand(&[labels::BATCH_SEED, peer.as_bytes()]))
    }

    /// A fresh seed: every batch and every peer gets its own.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] where the source fails.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        Secret::random(entropy).map(Self)
    }

    /// The seed itself, to be sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The factor that blinded element `index`, to be opened to an auditor.
    #[must_use]
    pub fn blinding(&self, index: u32) -> Blinding {
        Blinding(Zeroizing::new(factor(&Prk::from_uniform(&self.0), index)))
    }
}

/// A uniform scalar other than zero: 64 bytes of HKDF, reduced (RFC 9497 §4.7.2).
fn factor(seed: &Prk, index: u32) -> Scalar {
    for attempt in 0..=u8::MAX {
        let info = [labels::BLINDING_FACTOR, &index.to_be_bytes(), &[attempt]];
        let factor = Scalar::from_bytes_mod_order_wide(seed.expand(&info).expose());
        if factor != Scalar::ZERO {
            return factor;
        }
    }
    // 256 digests of zero in a row happen with a probability of 2^-64,512.
    Scalar::ONE
}

/// One opened blinding factor: with it and the identifier anybody can recompute the blinded
/// element.
pub struct Blinding(Zeroizing<Scalar>);

impl Blinding {
    /// A factor that an asker opened.
    ///
    /// # Errors
    /// [`OprfError::BlindingRefused`] where it is zero or not canonical.
    pub fn from_secret(secret: &Secret<32>) -> Result<Self, OprfError> {
        Option::<Scalar>::from(Scalar::from_canonical_bytes(*secret.expose()))
            .filter(|scalar| *scalar != Scalar::ZERO)
            .map(|scalar| Self(Zeroizing::new(scalar)))
            .ok_or(OprfError::BlindingRefused)
    }

    /// The factor as 32 bytes, little endian.
    #[must_use]
    pub fn to_secret(&self) -> Secret<32> {
        Secret::from_bytes(self.0.to_bytes())
    }

    /// Whether `element` is `input` blinded with this factor.
    #[must_use]
    pub fn blinds(&self, input: Input<'_>, element: &[u8; ELEMENT_BYTES]) -> bool {
        let blinded = (point_of(input) * *self.0).compress();
        blinded.as_bytes().ct_eq(element).into()
    }
}

impl fmt::Debug for Blinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blinding(..)")
    }
}

/// What is blinded for an input.
fn point_of(input: Input<'_>) -> RistrettoPoint {
    match input {
        Input::Present(bytes) => hash_to_group(bytes, VOPRF.hash_to_group),
        Input::Missing => RISTRETTO_BASEPOINT_POINT,
    }
}

/// Inputs hashed to the group: computed once, blinded for each peer. Clones share the content.
#[derive(Clone)]
pub struct HashedInputs(Arc<Hashed>);

struct Hashed {
    points: Points,
    /// `None` for [`Input::Missing`].
    inputs: Vec<Option<Zeroizing<Box<[u8]>>>>,
}

impl HashedInputs {
    /// Hashes a batch of at most [`EVALUATE_ELEMENTS_MAX`](crate::limits::EVALUATE_ELEMENTS_MAX)
    /// inputs.
    ///
    /// # Errors
    /// [`OprfError::BatchEmpty`], [`OprfError::BatchTooLarge`], [`OprfError::InputRefused`].
    pub fn hash(inputs: &[Input<'_>]) -> Result<Self, OprfError> {
        Self::hash_in(&VOPRF, Arithmetic::of_batch(inputs.len()), inputs)
    }

    pub(super) fn hash_in(
        suite: &Suite,
        arithmetic: Arithmetic,
        inputs: &[Input<'_>],
    ) -> Result<Self, OprfError> {
        checked_batch(inputs.len())?;
        let mut kept = Vec::with_capacity(inputs.len());
        let mut uniform: Vec<Uniform> = Vec::with_capacity(inputs.len());
        for (index, input) in inputs.iter().enumerate() {
            match input {
                Input::Present(bytes) if bytes.len() > usize::from(u16::MAX) => {
                    return Err(OprfError::InputRefused(index));
                }
                Input::Present(bytes) => {
                    let expanded = expand_message(&[bytes], suite.hash_to_group);
                    uniform.push(Some(Zeroizing::new(expanded)));
                    kept.push(Some(Zeroizing::new(Box::from(*bytes))));
                }
                Input::Missing => {
                    uniform.push(None);
                    kept.push(None);
                }
            }
        }
        let points = Points::from_uniform(arithmetic, &uniform);
        if let Some(index) = points.first_identity() {
            return Err(OprfError::InputRefused(index));
        }
        Ok(Self(Arc::new(Hashed {
            points,
            inputs: kept,
        })))
    }

    /// Blinds the inputs for one peer, with the factors of `seed`.
    #[must_use]
    pub fn blind(&self, seed: &BatchSeed) -> PendingBatch {
        let prk = Prk::from_uniform(&seed.0);
        let factors = (0..=u32::MAX)
            .zip(&self.0.inputs)
            .map(|(index, _)| factor(&prk, index));
        let mut drawn = Zeroizing::new(Vec::with_capacity(self.0.inputs.len()));
        drawn.extend(factors);
        self.blind_with(drawn)
    }

    /// Blinds with explicit factors, one for each input and none of them zero.
    pub(super) fn blind_with(&self, factors: Zeroizing<Vec<Scalar>>) -> PendingBatch {
        let mut halved = Zeroizing::new(Vec::with_capacity(factors.len()));
        halved.extend(factors.iter().map(Scalar::div_by_2));
        let halves = self.0.points.multiplied_each(&halved);
        PendingBatch {
            inputs: self.clone(),
            elements: halves.encode_doubled(),
            factors,
            halves,
        }
    }

    /// The bytes of each input, `None` for a missing one.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let inputs = self.0.inputs.iter();
        inputs.map(|input| input.as_ref().map(|bytes| bytes.as_ref()))
    }
}

impl fmt::Debug for HashedInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashedInputs({} inputs)", self.0.inputs.len())
    }
}

/// A batch that was blinded and waits for its evaluation. It can be finished once.
pub struct PendingBatch {
    pub(super) inputs: HashedInputs,
    pub(super) factors: Zeroizing<Vec<Scalar>>,
    /// Half of each blinded element; as public as the elements.
    pub(super) halves: Points,
    pub(super) elements: Vec<u8>,
}

impl PendingBatch {
    /// Hashes and blinds a batch for one peer.
    ///
    /// # Errors
    /// As [`HashedInputs::hash`].
    pub fn blind(inputs: &[Input<'_>], seed: &BatchSeed) -> Result<Self, OprfError> {
        Ok(HashedInputs::hash(inputs)?.blind(seed))
    }

    /// The blinded elements to send, flat: 32 bytes each, in the order of the inputs.
    #[must_use]
    pub fn elements(&self) -> &[u8] {
        &self.elements
    }
}

impl fmt::Debug for PendingBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingBatch({} elements)", self.halves.len())
    }
}
