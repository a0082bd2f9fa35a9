//! Where a key is: in a file, or in a PKCS#11 module. A key file holds either an encrypted key, or
//! the name of one in a module.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::admin::{AdminError, secret_passphrase};
use super::unlock::read_unlock;
use super::{NodeError, admin};
use crate::config::UnlockSource;
use crate::crypto::SecretBytes;
use crate::membership::{
    AuthorityKey, CertificateKey, KeyUri, KeyUriError, SigningKey, default_pin,
};

/// A key as a command names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// A key file.
    File(PathBuf),
    /// A key in a module.
    Module(KeyUri),
}

impl FromStr for KeyPlace {
    type Err = KeyUriError;

    fn from_str(text: &str) -> Result<Self, KeyUriError> {
        if KeyUri::is_like(text) {
            text.parse().map(Self::Module)
        } else {
            Ok(Self::File(PathBuf::from(text)))
        }
    }
}

/// The first line of a file that only its owner can read.
pub(super) fn first_line(file: &Path) -> Result<SecretBytes, NodeError> {
    let source = UnlockSource::PassphraseFile(file.to_owned());
    Ok(secret_passphrase(&read_unlock(Path::new(""), &source)?))
}

/// The PIN of a key's token: the first line of the file that the name gives, or that of the
/// process.
pub(super) fn pin_of(uri: &KeyUri) -> Result<SecretBytes, NodeError> {
    match uri.pin_source() {
        Some(file) => first_line(file),
        None => default_pin().ok_or_else(|| {
            NodeError::Folder(format!(
                "the key {} needs the PIN of its token: add ?pin-source=file:PATH, or set \
                 CREDITMESH_PIN",
                uri.shown()
            ))
        }),
    }
}

/// The name of a key in a module, where a key file holds one.
fn named_in(text: &str) -> Result<Option<KeyUri>, NodeError> {
    if !KeyUri::is_like(text) {
        return Ok(None);
    }
    let uri = text.parse();
    uri.map(Some)
        .map_err(|error: KeyUriError| NodeError::Folder(error.to_string()))
}

/// Opens an authority's key from its file.
pub(super) fn authority_key(
    file: &Path,
    passphrase: &SecretBytes,
) -> Result<AuthorityKey, AdminError> {
    let text = admin::read(file)?;
    Ok(match named_in(&text)? {
        Some(uri) => AuthorityKey::in_module(&uri, &pin_of(&uri)?)?,
        None => CertificateKey::from_encrypted_pem(&text, passphrase)?.into(),
    })
}

/// Opens a key that signs documents from its file.
pub(super) fn signing_key(file: &Path, passphrase: &SecretBytes) -> Result<SigningKey, AdminError> {
    let text = admin::read(file)?;
    Ok(match named_in(&text)? {
        Some(uri) => SigningKey::in_module(&uri, &pin_of(&uri)?)?,
        None => SigningKey::from_encrypted_pem(&text, passphrase)?,
    })
}

/// Opens an administrator's own key. The first line of `secret` is the passphrase of a key file, or
/// the PIN of a token whose name gives no other.
///
/// # Errors
/// [`AdminError::Key`] where it does not open, or is another kind of key.
pub fn open_signing_key(place: &KeyPlace, secret: Option<&Path>) -> Result<SigningKey, AdminError> {
    match place {
        KeyPlace::Module(uri) => {
            let pin = match (uri.pin_source(), secret) {
                (None, Some(file)) => first_line(file)?,
                (Some(_), _) | (None, None) => pin_of(uri)?,
            };
            Ok(SigningKey::in_module(uri, &pin)?)
        }
        KeyPlace::File(file) => match secret {
            Some(secret) => signing_key(file, &first_line(secret)?),
            // A file with a name in it needs no passphrase; one with a key says that it does.
            None if KeyUri::is_like(&admin::read(file)?) => {
                signing_key(file, &SecretBytes::new(Vec::new()))
            }
            None => Err(NodeError::unlock(
                file,
                "its passphrase is missing: name the file that holds it, with \
                 --key-passphrase-file",
            )
            .into()),
        },
    }
}
