//! Ed25519 keys of administrators and of the registrar: in files as encrypted PKCS#8, or in a
//! PKCS#11 module.

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::pem::LineEnding;
use pkcs8::der::{Decode, Encode};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::key::{ENCRYPTED_LABEL, KeyError, encrypt, open_encrypted};
use super::key_uri::KeyUri;
use super::pkcs11::{Curve, ModuleKey};
use crate::crypto::{IdentityKey, NotSigned, Secret, SecretBytes, Signs};
use crate::env::Entropy;

/// Ed25519 (RFC 8410 §3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// An Ed25519 key that is kept in a file of its own, or in a PKCS#11 module.
#[derive(Debug)]
pub struct SigningKey(Held);

#[derive(Debug)]
enum Held {
    Here { seed: Secret<32>, key: IdentityKey },
    Module(InModule),
}

#[derive(Debug)]
struct InModule {
    key: ModuleKey,
    public: [u8; 32],
}

impl Signs for InModule {
    fn public(&self) -> [u8; 32] {
        self.public
    }

    fn try_sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned> {
        self.key.sign(message).map_err(|error| NotSigned {
            reason: error.to_string(),
        })
    }
}

impl SigningKey {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: Secret<32>) -> Self {
        let key = IdentityKey::from_seed(&seed);
        Self(Held::Here { seed, key })
    }

    /// A key that is in a module.
    ///
    /// # Errors
    /// [`KeyError::Module`].
    pub fn in_module(uri: &KeyUri, pin: &SecretBytes) -> Result<Self, KeyError> {
        Self::of(ModuleKey::open(uri, pin, Curve::Ed25519)?)
    }

    /// Makes a key in a module, where there is none of that name.
    ///
    /// # Errors
    /// [`KeyError::Module`].
    pub fn make_in_module(uri: &KeyUri, pin: &SecretBytes) -> Result<Self, KeyError> {
        Self::of(ModuleKey::make(uri, pin, Curve::Ed25519)?)
    }

    fn of(key: ModuleKey) -> Result<Self, KeyError> {
        let public = key.public().try_into();
        let public = public.map_err(|_| KeyError::OtherKind)?;
        Ok(Self(Held::Module(InModule { key, public })))
    }

    /// The key, for signing.
    #[must_use]
    pub fn key(&self) -> &dyn Signs {
        match &self.0 {
            Held::Here { key, .. } => key,
            Held::Module(key) => key,
        }
    }

    /// What a key file holds: the key as encrypted PKCS#8 (RFC 8410 §7, RFC 8018 PBES2: scrypt,
    /// AES-256-CBC) in PEM, which OpenSSL reads too; or the name of one in a module.
    ///
    /// # Errors
    /// [`KeyError::NoEntropy`] or [`KeyError::NotMade`].
    pub fn to_file_text(
        &self,
        passphrase: &SecretBytes,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyError> {
        match &self.0 {
            Held::Here { seed, .. } => encrypted_pem(seed, passphrase, entropy),
            Held::Module(held) => Ok(format!("{}\n", held.key.uri())),
        }
    }

    /// Opens the encrypted PKCS#8 that [`Self::to_file_text`] wrote.
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

fn encrypted_pem(
    seed: &Secret<32>,
    passphrase: &SecretBytes,
    entropy: &dyn Entropy,
) -> Result<String, KeyError> {
    let inner = OctetStringRef::new(seed.expose())
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
        let pem = key.to_file_text(&word("one"), &entropy).unwrap();
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
