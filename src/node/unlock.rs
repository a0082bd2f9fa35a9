//! The key that opens the key ring, from its file.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use super::{AdminError, NodeError, key_command};
use crate::config::UnlockSource;
use crate::crypto::{Keyring, Sealed, Secret, SecretBytes, Unlock};
use crate::env::Entropy;

/// Reads the passphrase or key; a path that is relative is relative to `folder`.
///
/// # Errors
/// [`NodeError::Unlock`], which names the file and what is wrong with it.
pub fn read_unlock(folder: &Path, source: &UnlockSource) -> Result<Unlock, NodeError> {
    match source {
        UnlockSource::PassphraseFile(path) => {
            let text = read_private(&folder.join(path))?;
            let line = text.lines().next().unwrap_or_default();
            if line.is_empty() {
                return Err(NodeError::unlock(
                    path,
                    "its first line must be the passphrase",
                ));
            }
            Ok(Unlock::Passphrase(SecretBytes::new(
                line.as_bytes().to_vec(),
            )))
        }
        UnlockSource::KeyFile(path) => {
            let text = read_private(&folder.join(path))?;
            let rule = "it must hold 64 hexadecimal characters";
            key(&text).ok_or_else(|| NodeError::unlock(path, rule))
        }
        UnlockSource::KeyCommand(path) => {
            let text = key_command::printed_by(&folder.join(path))?;
            let rule = "it must print 64 hexadecimal characters and nothing else";
            key(&text).ok_or_else(|| NodeError::unlock(path, rule))
        }
    }
}

fn key(text: &str) -> Option<Unlock> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
    let bytes = Zeroizing::new(bytes.ok()?);
    let key = bytes.as_slice().try_into().ok()?;
    Some(Unlock::KeyFile(Secret::from_bytes(key)))
}

/// Writes a fresh random key file that only its owner can read.
///
/// # Errors
/// [`NodeError`] where the file exists already or cannot be written.
pub(super) fn write_key_file(path: &Path, entropy: &dyn Entropy) -> Result<(), NodeError> {
    let key = Secret::<32>::random(entropy)?;
    let text = Zeroizing::new(data_encoding::HEXLOWER.encode(key.expose()));
    write_private(path, text.as_bytes())
}

/// Writes a new file that only its owner can read, through to the disk: all of it or nothing.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let part = path.with_added_extension("part");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    // Unlike a rename, a link never replaces what is there.
    let placed = written.and_then(|()| std::fs::hard_link(&part, path));
    let placed = placed.and_then(|()| std::fs::remove_file(&part));
    placed.map_err(|error| NodeError::file(path, &error))
}

/// Reads a file that nobody but its owner may read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, NodeError> {
    let text = super::reading::read_bounded(path).map_err(|error| NodeError::file(path, &error))?;
    let mode = std::fs::metadata(path).map_err(|error| NodeError::file(path, &error))?;
    if mode.permissions().mode() & 0o077 != 0 {
        return Err(NodeError::unlock(
            path,
            "others can read it: run chmod 600 on it",
        ));
    }
    Ok(Zeroizing::new(text))
}

/// Opens an administrator's sealed seed.
pub(super) fn open_seed(keys: &Keyring, name: &str, file: &Path) -> Result<Secret<32>, AdminError> {
    let bytes = std::fs::read(file).map_err(|error| NodeError::file(file, &error))?;
    let plain = keys.open(
        &super::admin::seed_context(name),
        &Sealed::from_stored(bytes),
    )?;
    let seed: [u8; 32] = plain
        .as_slice()
        .try_into()
        .map_err(|_| NodeError::unlock(file, "it is damaged: restore it"))?;
    Ok(Secret::from_bytes(seed))
}
