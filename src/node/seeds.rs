//! The administrators' keys that lie in their folder, and the invitations that were used there.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::NodeError;
use super::admin::{AdminError, AdminFolder, read};
use super::unlock::open_seed;
use crate::crypto::{Keyring, Secret, Unlock};
use crate::env::Entropy;
use crate::membership::{Applicant, NetworkRoot};

/// The seeds that lie in the folder. After a ceremony with keys of their own there are none, and no
/// key ring.
pub(super) fn open_seeds(
    path: &Path,
    root: &NetworkRoot,
    unlock: &Unlock,
    entropy: &dyn Entropy,
) -> Result<Vec<Secret<32>>, AdminError> {
    let ring = path.join("keyring.json");
    if !ring.exists() {
        return Ok(Vec::new());
    }
    let keys = Keyring::unlock(&read(&ring)?, unlock, entropy)?;
    let mut seeds = Vec::new();
    for administrator in &root.document().administrators {
        let file = path
            .join("administrators")
            .join(format!("{}.key", administrator.name));
        // One that was handed over lies with its administrator.
        if !file.exists() {
            continue;
        }
        seeds.push(open_seed(&keys, &administrator.name, &file)?);
    }
    Ok(seeds)
}

impl AdminFolder {
    fn used(&self) -> PathBuf {
        self.path.join("used-invitations")
    }

    pub(super) fn refuse_used(&self, applicant: &Applicant) -> Result<(), AdminError> {
        let text = fs::read_to_string(self.used()).unwrap_or_default();
        let used: BTreeSet<&str> = text.lines().collect();
        let id = data_encoding::HEXLOWER.encode(&applicant.invitation_id);
        if used.contains(id.as_str()) {
            Err(AdminError::UsedBefore)
        } else {
            Ok(())
        }
    }

    pub(super) fn note_used(&self, applicant: &Applicant) -> Result<(), AdminError> {
        let id = data_encoding::HEXLOWER.encode(&applicant.invitation_id);
        let path = self.used();
        let written = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| {
                writeln!(file, "{id}")?;
                file.sync_all()
            });
        Ok(written.map_err(|error| NodeError::file(&path, &error))?)
    }
}
