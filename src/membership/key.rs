//! The P-256 keys of certificates: made, asked a certificate for, and kept encrypted.

use std::fmt;

use data_encoding::HEXLOWER;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;
use pkcs8::pkcs5::scrypt;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData, SubjectPublicKeyInfo};
use rustls::pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use zeroize::{Zeroize, Zeroizing};

use super::certificate::sha256;
use crate::crypto::SecretBytes;
use crate::env::{Entropy, EntropyUnavailable};
use crate::limits::CERTIFICATE_REQUEST_BYTES_MAX;

pub(super) const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const REQUEST_LABEL: &str = "CERTIFICATE REQUEST";

/// Cost of turning a passphrase into a key with scrypt (RFC 7914): 2^14 × 8 × 128 bytes are 16 MiB,
/// gone through five times. OpenSSL opens no key that needs 32 MiB or more.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 5;

/// Why a certificate key cannot be made, read or kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key could not be made or used.
    #[error("the certificate key could not be made; check that the system's random device works")]
    NotMade,
    /// No random bytes.
    #[error("the certificate key could not be encrypted: the system gave no random bytes")]
    NoEntropy,
    /// Not a P-256 key in PKCS#8.
    #[error(
        "the file holds no P-256 key in PKCS#8; give the key that was made with the certificate"
    )]
    Unreadable,
    /// Not an encrypted PKCS#8 file in PEM.
    #[error("the file is not PEM with `{ENCRYPTED_LABEL}`; give the encrypted key file")]
    NotEncrypted,
    /// Another kind of key than the one that is wanted.
    #[error("the file holds another kind of key; give the administrator's (Ed25519) key")]
    OtherKind,
    /// The passphrase does not open the file.
    #[error("the passphrase does not open the key file, or the file is damaged")]
    WrongPassphrase,
    /// A key in a PKCS#11 module.
    #[error("the key {key} {reason}")]
    Module {
        /// Its token and name.
        key: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Not a certificate request for a P-256 key, signed by that key.
    #[error(
        "the certificate request {fault}; is it the right file? `node join` makes a member's, \
         `network ceremony issuing` an issuing authority's"
    )]
    Request {
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// A P-256 key pair of a certificate: of an authority, or of a node's TLS.
///
/// Key generation and signing draw from the operating system inside rcgen and ring; they take no
/// [`Entropy`], because ring does not let other code stand in for its source.
pub struct CertificateKey(KeyPair);

impl CertificateKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::NotMade`].
    pub fn generate() -> Result<Self, KeyError> {
        KeyPair::generate().map(Self).map_err(|_| KeyError::NotMade)
    }

    /// Reads an unencrypted PKCS#8 key in DER, as [`Self::pkcs8`] gives it.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from(der);
        KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256)
            .map(Self)
            .map_err(|_| KeyError::Unreadable)
    }

    /// Reads an unencrypted PKCS#8 key in PEM, as [`Self::to_pem`] gives it.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| KeyError::Unreadable)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// The private key in PKCS#8 as PEM, for a file that only its owner can read.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// The private key in PKCS#8 (DER), for sealing or for TLS.
    #[must_use]
    pub fn pkcs8(&self) -> SecretBytes {
        SecretBytes::new(self.0.serialized_der().to_vec())
    }

    /// SHA-256 of the public key's `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.0.subject_public_key_info())
    }

    /// A certificate request (PKCS#10, PEM) that asks for nothing but a certificate for this key.
    ///
    /// # Errors
    /// [`KeyError::NotMade`].
    pub fn request_pem(&self) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .serialize_request(&self.0)
            .and_then(|request| request.pem())
            .map_err(|_| KeyError::NotMade)
    }

    /// The private key as encrypted PKCS#8 (RFC 8018 PBES2: scrypt, AES-256-CBC) in PEM, which
    /// OpenSSL reads too.
    ///
    /// # Errors
    /// [`KeyError::NoEntropy`] or [`KeyError::NotMade`].
    pub fn to_encrypted_pem(
        &self,
        passphrase: &SecretBytes,
        entropy: &dyn Entropy,
    ) -> Result<String, KeyError> {
        let info = PrivateKeyInfoRef::try_from(self.0.serialized_der());
        let pem = encrypt(&info.map_err(|_| KeyError::NotMade)?, passphrase, entropy)?
            .to_pem(ENCRYPTED_LABEL, LineEnding::LF)
            .map_err(|_| KeyError::NotMade)?;
        Ok(pem.as_str().to_owned())
    }

    /// Opens what [`Self::to_encrypted_pem`] wrote.
    ///
    /// # Errors
    /// [`KeyError::NotEncrypted`], [`KeyError::WrongPassphrase`] or [`KeyError::Unreadable`].
    pub fn from_encrypted_pem(pem: &str, passphrase: &SecretBytes) -> Result<Self, KeyError> {
        Self::from_pkcs8(open_encrypted(pem, passphrase)?.as_bytes())
    }

    /// The key pair, for the authority to sign with.
    pub(crate) const fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl Drop for CertificateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateKey")
            .field("spki_sha256", &HEXLOWER.encode(&self.spki_sha256()))
            .finish_non_exhaustive()
    }
}

/// Encrypts a private key as PKCS#8 says (RFC 8018 PBES2: scrypt, AES-256-CBC).
pub(super) fn encrypt(
    info: &PrivateKeyInfoRef<'_>,
    passphrase: &SecretBytes,
    entropy: &dyn Entropy,
) -> Result<SecretDocument, KeyError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    fill(entropy, &mut salt)?;
    fill(entropy, &mut iv)?;
    let cost =
        scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).map_err(|_| KeyError::NotMade)?;
    let scheme = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
        .map_err(|_| KeyError::NotMade)?;
    info.encrypt_with_params(scheme, passphrase.expose())
        .map_err(|_| KeyError::NotMade)
}

/// Opens an encrypted private key in PEM; gives it as PKCS#8 in DER.
pub(super) fn open_encrypted(
    pem: &str,
    passphrase: &SecretBytes,
) -> Result<SecretDocument, KeyError> {
    let (label, der) = SecretDocument::from_pem(pem).map_err(|_| KeyError::NotEncrypted)?;
    if label != ENCRYPTED_LABEL {
        return Err(KeyError::NotEncrypted);
    }
    EncryptedPrivateKeyInfoRef::try_from(der.as_bytes())
        .map_err(|_| KeyError::NotEncrypted)?
        .decrypt(passphrase.expose())
        .map_err(|_| KeyError::WrongPassphrase)
}

fn fill(entropy: &dyn Entropy, out: &mut [u8]) -> Result<(), KeyError> {
    entropy
        .fill(out)
        .map_err(|EntropyUnavailable| KeyError::NoEntropy)
}

/// The public key of a certificate request, and nothing else of it: whatever names, rights or life
/// the applicant asked for is not even read.
#[derive(Debug, Clone)]
pub struct RequestedKey {
    key: SubjectPublicKeyInfo,
    spki_sha256: [u8; 32],
}

impl RequestedKey {
    /// Reads a request in PEM and checks that its key is P-256 and signed it.
    ///
    /// # Errors
    /// [`KeyError::Request`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let refused = |fault| KeyError::Request { fault };
        if pem.len() > CERTIFICATE_REQUEST_BYTES_MAX {
            return Err(refused("is too long"));
        }
        let not_pem = "is not one PEM block with `CERTIFICATE REQUEST`";
        let (label, der) =
            pkcs8::der::pem::decode_vec(pem.as_bytes()).map_err(|_| refused(not_pem))?;
        if label != REQUEST_LABEL {
            return Err(refused(not_pem));
        }
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|_| refused("is not in PKCS#10"))?;
        if !rest.is_empty() {
            return Err(refused("is followed by something else"));
        }
        let spki = request.certification_request_info.subject_pki.raw;
        let key = SubjectPublicKeyInfo::from_der(spki)
            .ok()
            .filter(|key| key.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256)
            .ok_or_else(|| refused("is for another kind of key than P-256"))?;
        request
            .verify_signature()
            .map_err(|_| refused("is not signed by its own key"))?;
        Ok(Self {
            key,
            spki_sha256: sha256(spki),
        })
    }

    /// SHA-256 of the `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub const fn spki_sha256(&self) -> &[u8; 32] {
        &self.spki_sha256
    }

    /// The key, for the authority to certify.
    pub(crate) const fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SeededEntropy;

    fn passphrase(text: &str) -> SecretBytes {
        SecretBytes::from(text.to_owned())
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_only() {
        let key = CertificateKey::generate().unwrap();
        let pem = key
            .to_encrypted_pem(&passphrase("correct horse"), &SeededEntropy::from_seed(1))
            .unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let opened = CertificateKey::from_encrypted_pem(&pem, &passphrase("correct horse"));
        assert_eq!(opened.unwrap().spki_sha256(), key.spki_sha256());
        assert_eq!(
            CertificateKey::from_encrypted_pem(&pem, &passphrase("wrong")).err(),
            Some(KeyError::WrongPassphrase)
        );
        assert_eq!(
            CertificateKey::from_encrypted_pem("no pem", &passphrase("x")).err(),
            Some(KeyError::NotEncrypted)
        );
    }

    #[test]
    fn a_request_yields_the_key_that_made_it() {
        let key = CertificateKey::generate().unwrap();
        let requested = RequestedKey::from_pem(&key.request_pem().unwrap()).unwrap();
        assert_eq!(*requested.spki_sha256(), key.spki_sha256());
    }

    #[test]
    fn a_request_for_another_kind_of_key_or_with_a_broken_signature_is_refused() {
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let pem = CertificateParams::default()
            .serialize_request(&other)
            .unwrap()
            .pem()
            .unwrap();
        let fault = "is for another kind of key than P-256";
        assert_eq!(
            RequestedKey::from_pem(&pem).err(),
            Some(KeyError::Request { fault })
        );

        let good = CertificateKey::generate().unwrap().request_pem().unwrap();
        let mut der = pkcs8::Document::from_pem(&good).unwrap().1.into_vec();
        *der.last_mut().unwrap() ^= 1;
        let broken = pkcs8::Document::try_from(der)
            .unwrap()
            .to_pem(REQUEST_LABEL, LineEnding::LF)
            .unwrap();
        assert_eq!(
            RequestedKey::from_pem(&broken).err(),
            Some(KeyError::Request {
                fault: "is not signed by its own key"
            })
        );
    }

    #[test]
    fn debug_shows_nothing_of_the_private_key() {
        let key = CertificateKey::generate().unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(&HEXLOWER.encode(&key.spki_sha256())));
        assert!(!shown.contains("PrivateKey"));
    }
}
