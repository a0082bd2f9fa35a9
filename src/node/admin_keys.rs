//! The secrets of the administrators' folder: made when the network is founded, and handed over.

use std::path::Path;

use super::admin::secret_passphrase;
use super::join::replace;
use super::key_place::{first_line, pin_of};
use super::unlock::write_private;
use super::{AdminError, AdminFolder, Found, NodeError};
use crate::config::{RegistrarConfig, UnlockSource};
use crate::crypto::{IdentityKey, Secret, Unlock};
use crate::domain::{NetworkId, Timestamp};
use crate::env::Entropy;
use crate::membership::{
    Administrator, AuthorityKey, CertificateKey, Issuance, KeyUri, Profiles, RequestedKey,
    RootAuthority, RootDocument, RootError, SigningKey,
};

/// Where the keys of a network's authorities and of its registrar are made; encrypted files in the
/// folder where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct NetworkKeys {
    /// The root authority's.
    pub root: Option<KeyUri>,
    /// The issuing authority's.
    pub issuing: Option<KeyUri>,
    /// The registrar's, for freshness.
    pub freshness: Option<KeyUri>,
}

/// A fresh authority's key: in memory, or in a module.
pub(super) fn make_authority_key(place: Option<&KeyUri>) -> Result<AuthorityKey, AdminError> {
    Ok(match place {
        Some(uri) => AuthorityKey::make_in_module(uri, &pin_of(uri)?)?,
        None => CertificateKey::generate()?.into(),
    })
}

/// A fresh key that signs documents: in memory, or in a module.
pub(super) fn make_signing_key(
    place: Option<&KeyUri>,
    entropy: &dyn Entropy,
) -> Result<SigningKey, AdminError> {
    Ok(match place {
        Some(uri) => SigningKey::make_in_module(uri, &pin_of(uri)?)?,
        None => SigningKey::from_seed(Secret::random(entropy)?),
    })
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
        let pem = key.to_file_text(&first_line(passphrase)?, entropy)?;
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
    let file = match source {
        UnlockSource::PassphraseFile(file) | UnlockSource::KeyFile(file) => file,
        UnlockSource::KeyCommand(_) => return Ok(()),
    };
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
    place: Option<&KeyUri>,
    unlock: &Unlock,
    entropy: &dyn Entropy,
) -> Result<[u8; 32], AdminError> {
    let key = make_signing_key(place, entropy)?;
    let pem = key.to_file_text(&secret_passphrase(unlock), entropy)?;
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
    keys: &NetworkKeys,
    unlock: &Unlock,
    (now, entropy): (Timestamp, &dyn Entropy),
) -> Result<String, AdminError> {
    let profiles = Profiles::embedded()?;
    let issuance = |profile| Issuance {
        profile,
        now,
        entropy,
    };
    let root = make_authority_key(keys.root.as_ref())?;
    let root = RootAuthority::found_with(network, &root, &issuance(&profiles.root))?;
    let key = make_authority_key(keys.issuing.as_ref())?;
    let requested = RequestedKey::from_pem(&key.request_pem()?)?;
    let issuing = root.sign_issuing(network, &requested, &issuance(&profiles.issuing))?;
    let passphrase = secret_passphrase(unlock);
    let folder = path.join("authority");
    let root_key = root.key().to_file_text(&passphrase, entropy)?;
    let issuing_key = key.to_file_text(&passphrase, entropy)?;
    write_private(&folder.join("root.key"), root_key.as_bytes())?;
    write_private(&folder.join("issuing.key"), issuing_key.as_bytes())?;
    replace(&folder.join("root.crt"), root.certificate_pem().as_bytes())?;
    replace(&folder.join("issuing.crt"), issuing.as_bytes())?;
    Ok(root.certificate_pem().to_owned())
}

/// Whether an administrator may have this name, which is also a file's.
pub(super) fn is_administrator_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.chars().all(fits) && name.chars().any(|c| c.is_ascii_alphabetic())
}

/// Names the administrators' fresh keys, and checks what the founders decided by the rules of a
/// root document, before anything is made.
pub(super) fn name_administrators(
    found: &Found,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(Vec<Administrator>, Vec<Secret<32>>), AdminError> {
    let refused = |rule: &str| {
        AdminError::Nothing(format!(
            "nothing was made; for the network root: {rule}; named are {} ({}), threshold {}",
            found.administrators.len(),
            found.administrators.join(", "),
            found.threshold
        ))
    };
    if !found
        .administrators
        .iter()
        .all(|name| is_administrator_name(name))
    {
        return Err(refused(
            "each administrator needs a name of letters, digits and '-', at least one of them a \
             letter, as in --administrators chair,secretary,auditor",
        ));
    }
    let mut named = (Vec::new(), Vec::new());
    for name in &found.administrators {
        let seed = Secret::<32>::random(entropy)?;
        let key = IdentityKey::from_seed(&seed).public();
        named.0.push(Administrator {
            name: name.clone(),
            key,
        });
        named.1.push(seed);
    }
    let founding = found.founding(named.0.clone(), String::new(), Vec::new());
    match RootDocument::found(founding, now).check_rules() {
        Err(RootError::Invalid { rule }) => Err(refused(rule)),
        other => Ok(other.map(|()| named)?),
    }
}
