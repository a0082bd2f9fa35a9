//! The OPRF key pair of a member for one key epoch and contribution level.

use std::fmt;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use super::super::secret::Secret;
use super::ELEMENT_BYTES;
use super::error::OprfError;
use super::group::{Suite, VOPRF, decode, hash_to_scalar, length_prefix};

/// The secret key `k`. Kept on the heap so that moves leave no copy, wiped on drop, never printed.
pub struct SecretKey {
    scalars: Box<Zeroizing<[Scalar; 2]>>,
    public: PublicKey,
}

impl SecretKey {
    /// `DeriveKeyPair` (RFC 9497 §3.2.1) in verifiable mode. `info` is public, at most 65,535
    /// bytes, and says what the key is for: network, member, level and epoch.
    #[must_use]
    pub fn derive(seed: &Secret<32>, info: &[u8]) -> Self {
        Self::derive_in(&VOPRF, seed, info)
    }

    pub(super) fn derive_in(suite: &Suite, seed: &Secret<32>, info: &[u8]) -> Self {
        let info_bytes = length_prefix(info);
        let scalar = (0..=u8::MAX)
            .map(|counter| {
                let message: [&[u8]; 4] = [seed.expose(), &info_bytes, info, &[counter]];
                hash_to_scalar(&message, suite.derive_key_pair)
            })
            .find(|scalar| *scalar != Scalar::ZERO)
            // 256 digests of zero in a row happen with a probability of 2^-64,512.
            .unwrap_or(Scalar::ONE);
        let point = RistrettoPoint::mul_base(&scalar);
        let public = PublicKey {
            bytes: point.compress().to_bytes(),
            point,
        };
        Self {
            scalars: Box::new(Zeroizing::new([scalar, scalar.div_by_2()])),
            public,
        }
    }

    pub(super) fn scalar(&self) -> &Scalar {
        let [scalar, _] = &**self.scalars;
        scalar
    }

    /// `k / 2`, so that evaluations can be encoded in a batch.
    pub(super) fn half(&self) -> &Scalar {
        let [_, half] = &**self.scalars;
        half
    }

    /// The public half, as the member's key statement announces it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// The public key `k·G` that proofs are checked against.
#[derive(Clone, Copy)]
pub struct PublicKey {
    bytes: [u8; ELEMENT_BYTES],
    point: RistrettoPoint,
}

impl PublicKey {
    /// Decodes a public key: canonical and not the identity.
    ///
    /// # Errors
    /// [`OprfError::PublicKeyRefused`] for everything else.
    pub fn from_bytes(bytes: &[u8; ELEMENT_BYTES]) -> Result<Self, OprfError> {
        let point = decode(bytes).ok_or(OprfError::PublicKeyRefused)?;
        Ok(Self {
            bytes: *bytes,
            point,
        })
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ELEMENT_BYTES] {
        self.bytes
    }

    pub(super) fn as_bytes(&self) -> &[u8; ELEMENT_BYTES] {
        &self.bytes
    }

    pub(super) fn point(&self) -> &RistrettoPoint {
        &self.point
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({})",
            data_encoding::HEXLOWER.encode(&self.bytes)
        )
    }
}
