//! Ed25519 keys in files: encrypted PKCS#8, for administrators' keys and the registrar's online
//! key.

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::pem::LineEnding;
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::key::{ENCRYPTED_LABEL, KeyError, encrypt, open_encrypted};
use crate::crypto::{IdentityKey, Secret, SecretBytes};
use crate::env::Entropy;

/// Ed25519 (RFC 8410 §3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// An Ed25519 key that is kept in a file of its own.
#[derive(Debug)]
pub struct SigningKey {
    seed: Secret<32>,
    key: IdentityKey,
}

impl SigningKey {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: Secret<32>) -> Self {
        let key = IdentityKey::from_seed(&seed);
        Self { seed, key }
    }

    /// The key pair.
    #[must_use]
    pub const fn key(&self) -> &IdentityKey {
        &self.key
    }

    /// The key as encrypted PKCS#8 (RFC 8410 §7, RFC 8018 PBES2: scrypt, AES-256-CBC) in PEM,
    /// which OpenSSL reads too.
    ///
    /// # Errors
    /// [`KeyError::NoEntropy`] or [`KeyError::NotMade`].
    pub fn to_encrypted_pem(
        &self,
        passphrase: &SecretBytes,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyError> {
        let inner = OctetStringRef::new(self.seed.expose())
            .and_then(|inner| inner.to_der())
            .map(Zeroizing::new)
            .map_err(|_| KeyError::NotMade)?;
        let outer = OctetStringRef::new(&inner).map_err(|_| KeyError::NotMade)?;
        let algorithm = AlgorithmIdentifierRef {
            oid: ED25519,
            parameters: None,
        };
        let info = PrivateKeyInfoRef::new(algorithm, outer);
        let pem = encrypt(&info, passphrase, entropy)?
            .to_pem(ENCRYPTED_LABEL, LineEnding::LF)
            .map_err(|_| KeyError::NotMade)?;
        Ok(pem.as_str().to_owned())
    }

    /// Opens what [`Self::to_encrypted_pem`] wrote.
    ///
    /// # Errors
    /// [`KeyError::NotEncrypted`], [`KeyError::WrongPassphrase`], or [`KeyError::OtherKind`] where
    /// the file holds another kind of key.
    pub fn from_encrypted_pem(pem: &str, passphrase: &SecretBytes) -> Result<Self, KeyError> {
        let opened = open_encrypted(pem, passphrase)?;
        let info =
            PrivateKeyInfoRef::try_from(opened.as_bytes()).map_err(|_| KeyError::OtherKind)?;
        if info.algorithm.oid != ED25519 {
            return Err(KeyError::OtherKind);
        }
        let seed = <&OctetStringRef>::from_der(info.private_key.as_bytes())
            .ok()
            .and_then(|seed| seed.as_bytes().try_into().ok())
            .ok_or(KeyError::OtherKind)?;
        Ok(Self::from_seed(Secret::from_bytes(seed)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::CertificateKey;
    use super::*;
    use crate::env::SeededEntropy;

    #[test]
    fn a_signing_key_opens_with_its_passphrase_only_and_is_no_certificate_key() {
        let entropy = SeededEntropy::from_seed(1);
        let word = |text: &str| SecretBytes::from(text.to_owned());
        let key = SigningKey::from_seed(Secret::random(&entropy).unwrap());
        let pem = key.to_encrypted_pem(&word("one"), &entropy).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let opened = SigningKey::from_encrypted_pem(&pem, &word("one")).unwrap();
        assert_eq!(opened.key().public(), key.key().public());
        let wrong = SigningKey::from_encrypted_pem(&pem, &word("two"));
        assert_eq!(wrong.err(), Some(KeyError::WrongPassphrase));
        let other = CertificateKey::generate().unwrap();
        let other = other.to_encrypted_pem(&word("one"), &entropy).unwrap();
        let wrong = SigningKey::from_encrypted_pem(&other, &word("one"));
        assert_eq!(wrong.err(), Some(KeyError::OtherKind));
    }
}
