//! The long-lived Ed25519 identity key of a member, which signs its key statements and checkpoints.

use std::fmt;
use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::Secret;

/// A signature does not belong to the public key and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not belong to this key and message")]
pub struct SignatureRefused;

/// An Ed25519 key pair (RFC 8032). ring keeps the private half and does not wipe it on drop.
pub struct IdentityKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl IdentityKey {
    /// The key pair of a 32-byte seed, which is the private key of RFC 8032 §5.1.5.
    #[must_use]
    pub fn from_seed(seed: &Secret<32>) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "fails only for a seed that has not 32 bytes"
        )]
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("a seed of 32 bytes");
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        Self { pair, public }
    }

    /// The public key, as the member list pins it.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Signs `message`, which must begin with a label or another text that says what it is.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

/// A key did not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotSigned {
    /// Why, and what to do.
    pub reason: String,
}

/// An Ed25519 key that signs, wherever it is kept.
pub trait Signs: fmt::Debug + Send + Sync {
    /// The public key.
    fn public(&self) -> [u8; 32];

    /// Signs `message`, which must begin with a label or another text that says what it is.
    ///
    /// # Errors
    /// [`NotSigned`] where the key is kept outside of this process, and is out of reach.
    fn try_sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned>;
}

impl Signs for IdentityKey {
    fn public(&self) -> [u8; 32] {
        self.public
    }

    fn try_sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned> {
        Ok(self.sign(message))
    }
}

impl<K: Signs> Signs for Arc<K> {
    fn public(&self) -> [u8; 32] {
        K::public(self)
    }

    fn try_sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned> {
        K::try_sign(self, message)
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityKey")
            .field("public", &data_encoding::HEXLOWER.encode(&self.public))
            .finish_non_exhaustive()
    }
}

/// Checks a signature made by [`IdentityKey::sign`].
///
/// # Errors
/// [`SignatureRefused`] where it does not belong to `public` and `message`.
pub fn verify(
    public: &[u8; 32],
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), SignatureRefused> {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .map_err(|_| SignatureRefused)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn rfc_8032_test_2() -> IdentityKey {
        let seed = HEXLOWER
            .decode(b"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
            .unwrap();
        IdentityKey::from_seed(&Secret::from_bytes(seed.try_into().unwrap()))
    }

    #[test]
    fn rfc_8032_section_7_1_test_2() {
        let key = rfc_8032_test_2();
        assert_eq!(
            HEXLOWER.encode(&key.public()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(
            HEXLOWER.encode(&key.sign(&[0x72])),
            concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            )
        );
    }

    #[test]
    fn signature_over_another_message_or_by_another_key_is_refused() {
        let key = rfc_8032_test_2();
        let signature = key.sign(b"statement");
        assert_eq!(verify(&key.public(), b"statement", &signature), Ok(()));
        assert_eq!(
            verify(&key.public(), b"Statement", &signature),
            Err(SignatureRefused)
        );
        let other = IdentityKey::from_seed(&Secret::from_bytes([9; 32]));
        assert_eq!(
            verify(&other.public(), b"statement", &signature),
            Err(SignatureRefused)
        );
        assert!(!format!("{key:?}").contains("4ccd"));
    }
}
