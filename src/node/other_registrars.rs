//! The folders of a network's second and later registrars: each has an issuing key and a freshness
//! key of its own, under a passphrase of its own, and nothing else that is secret.

use std::fs;
use std::path::{Path, PathBuf};

use super::admin::{read, secret_passphrase};
use super::admin_keys::{ensure_passphrase, found_registrar};
use super::join::replace;
use super::key_place::authority_key;
use super::unlock::{read_unlock, write_private};
use super::{AdminError, NodeError};
use crate::config::{RegistrarConfig, UnlockSource};
use crate::crypto::Unlock;
use crate::domain::{NetworkId, Timestamp};
use crate::env::Entropy;
use crate::membership::{CertificateKey, Issuance, Profiles, RequestedKey, RootAuthority};

/// The folder of registrar number `number`, counted from 2, inside the administrators'.
fn folder_of(admin: &Path, number: usize) -> PathBuf {
    admin.join(format!("registrar-{number}"))
}

/// Makes the folder of another registrar; gives the public half of its freshness key. The request
/// for its issuing certificate stays with the root authority, which signs it anew in every exchange
/// of the X.509 root.
pub(super) fn found_other(
    admin: &Path,
    (number, registrar): (usize, &RegistrarConfig),
    network: &NetworkId,
    unlock: &Unlock,
    (now, entropy): (Timestamp, &dyn Entropy),
) -> Result<[u8; 32], AdminError> {
    let folder = folder_of(admin, number);
    let authority = folder.join("authority");
    fs::create_dir_all(&authority).map_err(|error| NodeError::file(&authority, &error))?;
    let source = UnlockSource::PassphraseFile("passphrase".into());
    ensure_passphrase(&folder, &source, entropy)?;
    let own = read_unlock(&folder, &source)?;
    let key = CertificateKey::generate()?;
    let request = key.request_pem()?;
    let issuing_key = key.to_encrypted_pem(&secret_passphrase(&own), entropy)?;
    write_private(&authority.join("issuing.key"), issuing_key.as_bytes())?;
    let issuing = sign_issuing(admin, network, &request, unlock, (now, entropy))?;
    replace(&authority.join("issuing.crt"), issuing.as_bytes())?;
    let kept = admin.join("authority");
    let name = |ending: &str| kept.join(format!("registrar-{number}.{ending}"));
    replace(&name("csr"), request.as_bytes())?;
    replace(&name("crt"), issuing.as_bytes())?;
    found_registrar(&folder, registrar, None, &own, entropy)
}

fn sign_issuing(
    admin: &Path,
    network: &NetworkId,
    request: &str,
    unlock: &Unlock,
    (now, entropy): (Timestamp, &dyn Entropy),
) -> Result<String, AdminError> {
    let authority = admin.join("authority");
    let key = authority_key(&authority.join("root.key"), &secret_passphrase(unlock))?;
    let root = RootAuthority::open(&read(&authority.join("root.crt"))?, key)?;
    let profiles = Profiles::embedded()?;
    let issuance = Issuance {
        profile: &profiles.issuing,
        now,
        entropy,
    };
    Ok(root.sign_issuing(network, &RequestedKey::from_pem(request)?, &issuance)?)
}

/// Gives another registrar's folder the trust documents with which it begins.
pub(super) fn hand_documents(
    admin: &Path,
    number: usize,
    (root, list): (&str, &str),
) -> Result<(), AdminError> {
    let folder = folder_of(admin, number);
    replace(&folder.join("members.json"), list.as_bytes())?;
    Ok(replace(&folder.join("network.json"), root.as_bytes())?)
}
