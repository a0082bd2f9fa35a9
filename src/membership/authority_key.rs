//! The key of an authority: here in memory, or in a PKCS#11 module.

use std::cell::RefCell;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, PublicKeyData, SignatureAlgorithm, SigningKey};

use super::authority::{AuthorityError, not_built};
use super::certificate::sha256;
use super::key::{CertificateKey, KeyError};
use super::key_uri::KeyUri;
use super::pkcs11::{Curve, ModuleKey};
use crate::crypto::SecretBytes;
use crate::env::Entropy;

/// A P-256 key that certifies. Clones share it.
#[derive(Debug, Clone)]
pub struct AuthorityKey(Held);

#[derive(Debug, Clone)]
enum Held {
    Here(Arc<CertificateKey>),
    Module(Arc<ModuleKey>),
}

impl From<CertificateKey> for AuthorityKey {
    fn from(key: CertificateKey) -> Self {
        Self(Held::Here(Arc::new(key)))
    }
}

impl From<Arc<CertificateKey>> for AuthorityKey {
    fn from(key: Arc<CertificateKey>) -> Self {
        Self(Held::Here(key))
    }
}

impl AuthorityKey {
    /// A key that is in a module.
    ///
    /// # Errors
    /// [`KeyError::Module`].
    pub fn in_module(uri: &KeyUri, pin: &SecretBytes) -> Result<Self, KeyError> {
        let key = ModuleKey::open(uri, pin, Curve::P256)?;
        Ok(Self(Held::Module(Arc::new(key))))
    }

    /// Makes a key in a module, where there is none of that name.
    ///
    /// # Errors
    /// [`KeyError::Module`].
    pub fn make_in_module(uri: &KeyUri, pin: &SecretBytes) -> Result<Self, KeyError> {
        let key = ModuleKey::make(uri, pin, Curve::P256)?;
        Ok(Self(Held::Module(Arc::new(key))))
    }

    /// SHA-256 of the public key's `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&Attempt::by(self).subject_public_key_info())
    }

    /// A certificate request (PKCS#10, PEM) that asks for nothing but a certificate for this key.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn request_pem(&self) -> Result<String, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let attempt = Attempt::by(self);
        let request = params.serialize_request(&attempt);
        request
            .and_then(|request| request.pem())
            .map_err(|error| attempt.refused(&error))
    }

    /// What a key file holds: the key, encrypted; or the name of one in a module.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn to_file_text(
        &self,
        passphrase: &SecretBytes,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyError> {
        match &self.0 {
            Held::Here(key) => key.to_encrypted_pem(passphrase, entropy),
            Held::Module(key) => Ok(format!("{}\n", key.uri())),
        }
    }
}

/// One use of a key by rcgen, whose errors do not tell why a key in a module did not sign.
pub(super) struct Attempt<'a> {
    key: &'a AuthorityKey,
    fault: RefCell<Option<KeyError>>,
}

impl<'a> Attempt<'a> {
    pub(super) const fn by(key: &'a AuthorityKey) -> Self {
        Self {
            key,
            fault: RefCell::new(None),
        }
    }

    /// Why nothing was built.
    pub(super) fn refused(&self, error: &rcgen::Error) -> AuthorityError {
        self.fault
            .take()
            .map_or_else(|| not_built(error), AuthorityError::Key)
    }
}

impl PublicKeyData for Attempt<'_> {
    fn der_bytes(&self) -> &[u8] {
        match &self.key.0 {
            Held::Here(key) => key.pair().der_bytes(),
            Held::Module(key) => key.public(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Attempt<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &self.key.0 {
            Held::Here(key) => key.pair().sign(message),
            Held::Module(key) => match key.sign(message) {
                Ok(signature) => Ok(ecdsa_in_der(&signature)),
                Err(fault) => {
                    self.fault.replace(Some(fault));
                    Err(rcgen::Error::RemoteKeyError)
                }
            },
        }
    }
}

/// r and s as `ECDSA-Sig-Value` (RFC 3279 §2.2.3) in DER.
fn ecdsa_in_der(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    let numbers = [integer_in_der(r), integer_in_der(s)].concat();
    [&[0x30][..], &length_of(&numbers), &numbers].concat()
}

fn integer_in_der(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    let sign = digits.first().is_none_or(|first| *first >= 0x80);
    let digits = [if sign { &[0][..] } else { &[] }, digits].concat();
    [&[0x02][..], &length_of(&digits), &digits].concat()
}

/// DER's length of at most 72 bytes.
fn length_of(content: &[u8]) -> [u8; 1] {
    [u8::try_from(content.len()).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_written_in_der_with_the_fewest_digits() {
        let mut raw = [0; 64];
        raw[31] = 0x80;
        raw[63] = 0x7f;
        let der = [0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f];
        assert_eq!(ecdsa_in_der(&raw), der);
        assert_eq!(ecdsa_in_der(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(ecdsa_in_der(&[0xff; 64]).len(), 72);
    }
}
