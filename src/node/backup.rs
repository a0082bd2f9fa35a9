//! Backup of a node, running or stopped, and its restore: its sealed rows, its wrapped key ring,
//! and its public files.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::erased::{self, Entry, ErasedList, Name};
use super::unlock::{read_unlock, write_private};
use super::{Folder, NodeError};
use crate::config::{NodeConfig, StoreConfig, UnlockSource};
use crate::crypto::Keyring;
use crate::domain::Timestamp;
use crate::env::{Clock, OsEntropy};
use crate::flows::{FlowError, erase_again, raise_fence};
use crate::membership::Seen;
use crate::net::Memory;
use crate::service::{BackupDesk, BackupUnderWay};
use crate::store::{
    BackedUp, BackupError, Holding, OpenMode, SledOptions, Snapshot, Vault, back_up, check_backup,
    read_backup_header, restore, restore_rows, write_backup,
};

/// What is other than where a backup was taken.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// Where the passphrase or key comes from.
    pub unlock: Option<UnlockSource>,
    /// Which engine keeps the rows; a database must be empty.
    pub store: Option<StoreConfig>,
}

/// What a backup carries beside the sealed rows. None of it is secret.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Papers {
    format: String,
    keyring: String,
    config: String,
    network: String,
    certificate: Option<String>,
    members: Option<String>,
    /// What the node had seen when it was backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
    /// Members that had left, and of whom no list said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    departures: Vec<String>,
    /// Identifiers that were erased, as keyed hashes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    erased: Vec<Entry>,
}

const FORMAT: &str = "creditmesh/node-papers/1";

impl Papers {
    fn read(packed: &[u8]) -> Result<Self, NodeError> {
        let unreadable = |_| NodeError::Folder("the backup's papers cannot be read".to_owned());
        serde_json::from_slice(packed).map_err(unreadable)
    }
}

impl Folder {
    /// Writes everything of a stopped node to one new file; the passphrase or key file is not in
    /// it.
    ///
    /// # Errors
    /// [`NodeError`]; an unfinished file is removed.
    pub async fn backup(&self, file: &Path, now: Timestamp) -> Result<BackedUp, NodeError> {
        let opened = self.open().await?;
        let written = async {
            let packed = self.papers(self.keyring_text()?)?;
            Ok(back_up(&opened.vault, &packed, now, file).await?)
        };
        let written = written.await;
        opened.close().await?;
        written
    }

    /// What a backup carries beside the rows, with this key ring.
    fn papers(&self, keyring: String) -> Result<Vec<u8>, NodeError> {
        let papers = Papers {
            format: FORMAT.to_owned(),
            keyring,
            config: self.text(&self.path().join("node.toml"))?,
            network: self.text(&self.network())?,
            certificate: self.text(&self.certificate()).ok(),
            members: self.text(&self.members()).ok(),
            seen: self.seen()?,
            departures: self.departures_text()?,
            erased: ErasedList::at(self).entries()?,
        };
        let failed = |error| NodeError::Folder(format!("backup: {error}"));
        serde_json::to_vec(&papers).map_err(failed)
    }

    /// Reads a backup to its end and checks every tag and every seal; nothing is restored. The
    /// passphrase or key file is looked for as by a restore into this folder.
    ///
    /// # Errors
    /// [`NodeError`], with the offset of the first block that is not as it was written.
    pub async fn check_backup(
        &self,
        file: &Path,
        unlock: Option<UnlockSource>,
    ) -> Result<(BackedUp, Timestamp), NodeError> {
        let header = read_backup_header(file).await?;
        let papers = Papers::read(&header.wrapped_keyring)?;
        let unlock = match unlock {
            Some(unlock) => unlock,
            None => NodeConfig::parse(&papers.config)?.unlock,
        };
        let key = read_unlock(self.path(), &unlock)?;
        let keys = Keyring::unlock(&papers.keyring, &key, &OsEntropy::default())?;
        let checked = check_backup(file, Arc::new(keys)).await?;
        Ok((checked, header.made_at))
    }

    /// Restores a backup into this folder, which must hold no node. `elsewhere` replaces where the
    /// passphrase or key comes from, and which engine keeps the rows; where it names neither, the
    /// configuration in the backup says.
    ///
    /// With `restored_at` the node counts as one that ran after the backup was taken, and neither
    /// publishes nor answers until the next key epoch; `None` where it is known that it did not.
    /// In the first case the member list is not restored either: members may have been removed
    /// since. The newest one is copied into the folder before the node serves.
    ///
    /// Borrowers that were erased since the backup was taken are erased again: those that the list
    /// in the folder names, and those of `erased`, the list of another folder.
    ///
    /// # Errors
    /// [`NodeError`]; where the backup is altered or cut short, no node is left behind.
    pub async fn restore(
        &self,
        file: &Path,
        elsewhere: Elsewhere,
        restored_at: Option<Timestamp>,
        erased: Option<&Path>,
    ) -> Result<BackedUp, NodeError> {
        if self.path().join("node.toml").exists() {
            return Err(NodeError::Folder(format!(
                "{} holds a node already: restore into another folder",
                self.path().display()
            )));
        }
        let erased = match erased {
            Some(path) => erased::read(path)?.ok_or_else(|| {
                NodeError::Folder(format!("{}: there is no such file", path.display()))
            })?,
            None => Vec::new(),
        };
        let header = read_backup_header(file).await?;
        let papers = Papers::read(&header.wrapped_keyring)?;
        let held = NodeConfig::parse(&papers.config)?;
        let Elsewhere { unlock, store } = elsewhere;
        let config_text = if unlock.is_some() || store.is_some() {
            let unlock = unlock.unwrap_or(held.unlock);
            let store = store.unwrap_or(held.store);
            NodeConfig::sample(&held.member, held.listen, &unlock, &held.registrar, &store)
        } else {
            papers.config.clone()
        };
        let config = NodeConfig::parse(&config_text)?;
        let key = read_unlock(self.path(), &config.unlock)?;
        let keys = Keyring::unlock(&papers.keyring, &key, &OsEntropy::default())?;
        std::fs::create_dir_all(self.path()).map_err(|e| NodeError::file(self.path(), &e))?;
        let keys = Arc::new(keys);
        let restored = self
            .restore_store(file, (&keys, &papers.keyring), &config)
            .await?;
        let list = ErasedList::at(self);
        list.join(papers.erased)?;
        list.join(erased)?;
        let again = list.since(header.made_at)?;
        if restored_at.is_some() || !again.is_empty() {
            let mode = (OpenMode::Existing, Holding::Alone);
            let vault = self.vault_under(keys, mode, &config).await?;
            catch_up(&vault, restored_at, &again).await?;
            vault.store().close().await?;
            let names: Vec<_> = again.iter().map(|(name, _)| *name).collect();
            list.deleted_now(&names)?;
        }
        // Before anything that trust is read from: what was seen is never lowered.
        let seen = match (self.seen()?, papers.seen) {
            (Some(here), Some(then)) => Some(here.joined(&then)),
            (here, then) => here.or(then),
        };
        if let Some(seen) = seen {
            let noted = self.memory().note(&seen);
            noted.map_err(|reason| NodeError::Folder(format!("seen.json: {reason}")))?;
        }
        self.keep_departures_too(&papers.departures)?;
        let list = papers.members.as_ref().filter(|_| restored_at.is_none());
        let public = [
            (self.keyring(), Some(&papers.keyring)),
            (self.network(), Some(&papers.network)),
            (self.certificate(), papers.certificate.as_ref()),
            (self.members(), list),
            // Last, so that a folder with a node.toml is a whole one.
            (self.path().join("node.toml"), Some(&config_text)),
        ];
        for (path, text) in public {
            if let Some(text) = text {
                write_private(&path, text.as_bytes())?;
            }
        }
        Ok(restored)
    }
    /// The rows, in a store that appears only when it is whole; a database keeps what came before a
    /// failure, and is to be emptied then.
    async fn restore_store(
        &self,
        file: &Path,
        (keys, keyring): (&Arc<Keyring>, &str),
        config: &NodeConfig,
    ) -> Result<BackedUp, NodeError> {
        let keys = Arc::clone(keys);
        if config.store == StoreConfig::Sled {
            let options = SledOptions::new(self.store(), OpenMode::New);
            return Ok(restore(file, keys, options).await?);
        }
        let vault = self
            .vault_under(keys, (OpenMode::New, Holding::Alone), config)
            .await?;
        let restored = restore_rows(file, &vault).await;
        vault.store().share_ring(keyring, 0).await?;
        vault.store().close().await?;
        Ok(restored?)
    }
}

/// Backs a node up while it serves.
#[derive(Debug, Clone)]
pub(super) struct RunningBackups {
    pub(super) folder: Folder,
    pub(super) vault: Vault,
    pub(super) clock: Arc<dyn Clock>,
}

/// Bytes of a backup that wait for whoever takes it.
const WAITING_BYTES: usize = 256 << 10;

impl RunningBackups {
    /// The rows of one moment, and papers with a key ring that opens them.
    async fn begun(&self) -> Result<(Box<dyn Snapshot>, Vec<u8>), NodeError> {
        loop {
            let ring = self.ring().await?;
            let snapshot = self.vault.store().snapshot().await?;
            // A ring that did not change meanwhile holds the keys of all these rows.
            if self.ring().await? == ring {
                return Ok((snapshot, self.folder.papers(ring)?));
            }
        }
    }

    /// The wrapped key ring: beside the rows, or in the folder.
    async fn ring(&self) -> Result<String, NodeError> {
        match self.vault.store().shared_ring().await? {
            Some(shared) => Ok(shared.text),
            None => self.folder.keyring_text(),
        }
    }
}

#[tonic::async_trait]
impl BackupDesk for RunningBackups {
    async fn begin(&self) -> Result<BackupUnderWay, FlowError> {
        let told = |error: NodeError| FlowError::NotPossible(error.to_string());
        let (snapshot, packed) = self.begun().await.map_err(told)?;
        let (vault, now) = (self.vault.clone(), self.clock.now());
        let (mut out, bytes) = tokio::io::duplex(WAITING_BYTES);
        let (done, ended) = oneshot::channel();
        tokio::spawn(async move {
            let head = (packed.as_slice(), now);
            let written = write_backup(&vault, &*snapshot, head, &mut out).await;
            drop(snapshot);
            let told = |error: BackupError| FlowError::NotPossible(error.to_string());
            let _heard = done.send(written.map_err(told));
        });
        Ok(BackupUnderWay { bytes, ended })
    }
}

/// Brings restored rows to what has happened since: a fence where the node ran on, and erasures.
async fn catch_up(
    vault: &Vault,
    restored_at: Option<Timestamp>,
    erased: &[(Name, Timestamp)],
) -> Result<(), NodeError> {
    if let Some(now) = restored_at {
        raise_fence(vault, now).await?;
    }
    for (name, at) in erased {
        erase_again(vault, name, *at).await?;
    }
    Ok(())
}
