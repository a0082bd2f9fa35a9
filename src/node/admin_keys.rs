//! The secrets of the administrators' folder: made when the network is founded, and handed over.

use std::path::Path;

use super::admin::secret_passphrase;
use super::join::replace;
use super::unlock::{read_unlock, write_private};
use super::{AdminError, AdminFolder, NodeError};
use crate::config::{RegistrarConfig, UnlockSource};
use crate::crypto::{Secret, Unlock};
use crate::domain::{NetworkId, Timestamp};
use crate::env::Entropy;
use crate::membership::{
    CertificateKey, Issuance, Profiles, RequestedKey, RootAuthority, SigningKey,
};

/// Reads an administrator's key from its own file: encrypted PKCS#8, opened by the first line of
/// the passphrase file.
///
/// # Errors
/// [`AdminError::Key`] where the passphrase does not open it, or it holds another kind of key.
pub fn read_signing_key(file: &Path, passphrase: &Path) -> Result<SigningKey, AdminError> {
    let pem = super::read_text(file).map_err(|error| NodeError::file(file, &error))?;
    let source = UnlockSource::PassphraseFile(passphrase.to_owned());
    let passphrase = secret_passphrase(&read_unlock(Path::new(""), &source)?);
    Ok(SigningKey::from_encrypted_pem(&pem, &passphrase)?)
}

impl AdminFolder {
    /// Hands an administrator's key over: writes it into a file of its own, under a passphrase of
    /// that administrator, and takes it out of this folder.
    ///
    /// # Errors
    /// [`AdminError`]; the key is then still in the folder.
    pub fn hand_over(
        &self,
        name: &str,
        file: &Path,
        passphrase: &Path,
        entropy: &dyn Entropy,
    ) -> Result<(), AdminError> {
        let administrators = &self.root().document().administrators;
        let wanted = administrators.iter().find(|one| one.name == name);
        let public = wanted.map(|one| one.key).ok_or_else(|| {
            AdminError::Nothing(format!("{name} is no administrator of this network"))
        })?;
        let mut keys = self.signing_keys().into_iter();
        let key = keys
            .find(|key| key.key().public() == public)
            .ok_or_else(|| {
                AdminError::Nothing(format!("the key of {name} was handed over before"))
            })?;
        let source = UnlockSource::PassphraseFile(passphrase.to_owned());
        let passphrase = secret_passphrase(&read_unlock(Path::new(""), &source)?);
        let pem = key.to_encrypted_pem(&passphrase, entropy)?;
        write_private(file, pem.as_bytes())?;
        let sealed = self
            .path()
            .join("administrators")
            .join(format!("{name}.key"));
        std::fs::remove_file(&sealed).map_err(|error| NodeError::file(&sealed, &error))?;
        Ok(())
    }
}

/// Makes a passphrase where the founders brought none.
pub(super) fn ensure_passphrase(
    path: &Path,
    source: &UnlockSource,
    entropy: &dyn Entropy,
) -> Result<(), AdminError> {
    let (UnlockSource::PassphraseFile(file) | UnlockSource::KeyFile(file)) = source;
    let file = path.join(file);
    if !file.exists() {
        super::unlock::write_key_file(&file, entropy)?;
    }
    Ok(())
}

/// Makes the registrar's configuration and its online key; gives the public half.
pub(super) fn found_registrar(
    path: &Path,
    registrar: &RegistrarConfig,
    unlock: &Unlock,
    entropy: &dyn Entropy,
) -> Result<[u8; 32], AdminError> {
    let key = SigningKey::from_seed(Secret::random(entropy)?);
    let pem = key.to_encrypted_pem(&secret_passphrase(unlock), entropy)?;
    write_private(
        &path.join("authority").join("freshness.key"),
        pem.as_bytes(),
    )?;
    replace(&path.join("registrar.toml"), registrar.to_text().as_bytes())?;
    Ok(key.key().public())
}

/// Makes the root and the issuing authority; gives the root's certificate.
pub(super) fn found_authority(
    path: &Path,
    network: &NetworkId,
    unlock: &Unlock,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<String, AdminError> {
    let profiles = Profiles::embedded()?;
    let issuance = |profile| Issuance {
        profile,
        now,
        entropy,
    };
    let root = RootAuthority::found(network, &issuance(&profiles.root))?;
    let key = CertificateKey::generate()?;
    let requested = RequestedKey::from_pem(&key.request_pem()?)?;
    let issuing = root.sign_issuing(network, &requested, &issuance(&profiles.issuing))?;
    let passphrase = secret_passphrase(unlock);
    let folder = path.join("authority");
    let root_key = root.key().to_encrypted_pem(&passphrase, entropy)?;
    let issuing_key = key.to_encrypted_pem(&passphrase, entropy)?;
    write_private(&folder.join("root.key"), root_key.as_bytes())?;
    write_private(&folder.join("issuing.key"), issuing_key.as_bytes())?;
    replace(&folder.join("root.crt"), root.certificate_pem().as_bytes())?;
    replace(&folder.join("issuing.crt"), issuing.as_bytes())?;
    Ok(root.certificate_pem().to_owned())
}
