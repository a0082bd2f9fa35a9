//! Re-keying: a new data key, every row sealed anew under it, and the older keys destroyed, while
//! the node serves.
//!
//! sled keeps deleted and overwritten rows in its segments until it needs their space. With the key
//! that sealed them gone from the key ring nobody opens them any more, whoever has disk, ring and
//! passphrase. How far a re-keying came stands nowhere but in the ring and the rows: as long as the
//! ring holds an older key one is under way, and a node that is killed goes on with it.

use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::erased::ErasedList;
use super::unlock::read_unlock;
use super::{Folder, NodeError};
use crate::config::{NodeConfig, UnlockSource};
use crate::crypto::{Keyring, KeyringError, Unlock};
use crate::domain::Timestamp;
use crate::env::{Clock, Entropy};
use crate::flows::{FlowError, Home};
use crate::limits::{DATA_KEYS_MAX, RESEAL_RETRIES, RING_PATIENCE};
use crate::service::Rekeyed;
use crate::store::{StoreError, Table, Vault};

/// Name of the row that says when the last re-keying that came to its end began.
const REKEYED: &[u8] = b"rekeyed";

/// Under which key a re-keying brings the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// Under a new one, so that whatever was deleted until now is opened by nobody.
    Anew,
    /// Under the one that a re-keying was under way to, if there is such.
    GoOn,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as the store takes it.
    Full,
    /// Half of the time is left to others.
    Gentle,
}

/// Re-keys the store of a folder.
#[derive(Debug, Clone)]
pub(super) struct Rekeying {
    pub(super) folder: Folder,
    pub(super) unlock: UnlockSource,
    every: Duration,
    pub(super) vault: Vault,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pub(super) erased: Arc<ErasedList>,
    /// One at a time.
    pub(super) turn: Arc<Mutex<()>>,
    begun: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
}

impl Rekeying {
    pub(super) fn of(folder: &Folder, config: &NodeConfig, home: &Home) -> Self {
        Self {
            folder: folder.clone(),
            unlock: config.unlock.clone(),
            every: config.rekey_every,
            vault: home.vault.clone(),
            clock: Arc::clone(&home.clock),
            entropy: Arc::clone(&home.entropy),
            erased: Arc::new(ErasedList::at(folder)),
            turn: Arc::default(),
            begun: Arc::default(),
            ended: Arc::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Brings every row under one key and destroys the others. Where another began after this was
    /// called, its end is waited for.
    ///
    /// # Errors
    /// [`NodeError`]; what was sealed anew stays so, and the next attempt goes on.
    pub(super) async fn run(
        &self,
        begin: Begin,
        pace: Pace,
        progress: &watch::Sender<Rekeyed>,
    ) -> Result<(), NodeError> {
        let before = self.begun.load(Ordering::Acquire);
        let _turn = self.turn.lock().await;
        if self.ended.load(Ordering::Acquire) > before {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let at = self.clock.now();
        if self.vault.keys().data_key_count() >= DATA_KEYS_MAX {
            self.bring_under_newest(pace, progress).await?;
        }
        let mut deleted = Vec::new();
        if begin == Begin::Anew || !self.vault.keys().has_older_data_keys() {
            // What is deleted later may have been sealed under the new key.
            deleted = self.erased.deleted()?;
            let generation = self.caught_up().await?;
            self.rewrite(generation, Keyring::add_data_key).await?;
        }
        self.bring_under_newest(pace, progress).await?;
        self.note(at).await?;
        self.erased.unreadable(&deleted)?;
        self.ended.store(number, Ordering::Release);
        tracing::info!("every row is under one data key, and older keys are destroyed");
        Ok(())
    }

    /// Seals every row under the newest key and destroys the others.
    async fn bring_under_newest(
        &self,
        pace: Pace,
        progress: &watch::Sender<Rekeyed>,
    ) -> Result<(), NodeError> {
        let generation = self.caught_up().await?;
        self.settle(generation).await?;
        // A second pass finds nothing: no row is written under an older key any more, by nobody.
        while self.reseal(pace, progress).await? > 0 {}
        self.rewrite(generation, Keyring::drop_old_data_keys).await
    }

    /// One pass over all tables. Gives how many rows were sealed anew.
    async fn reseal(
        &self,
        pace: Pace,
        progress: &watch::Sender<Rekeyed>,
    ) -> Result<u64, NodeError> {
        let mut resealed = 0;
        for table in Table::ALL {
            let mut after = None;
            loop {
                let begun = Instant::now();
                let page = self.page(*table, after).await?;
                resealed += page.resealed as u64;
                progress.send_modify(|told| {
                    told.rows += page.rows as u64;
                    told.resealed += page.resealed as u64;
                });
                if pace == Pace::Gentle && page.resealed > 0 {
                    tokio::time::sleep(begun.elapsed()).await;
                }
                if page.next.is_none() {
                    break;
                }
                after = page.next;
            }
        }
        Ok(resealed)
    }

    async fn page(
        &self,
        table: Table,
        after: Option<Vec<u8>>,
    ) -> Result<crate::store::Resealed, StoreError> {
        let mut conflicts = 0;
        loop {
            match self.vault.reseal_page(table, after.clone()).await {
                Err(StoreError::Conflict { .. }) if conflicts < RESEAL_RETRIES => conflicts += 1,
                outcome => return outcome,
            }
        }
    }

    /// Waits until all processes of this node seal with the newest key of that ring. One that does
    /// not come forward writes nothing more until it does.
    async fn settle(&self, generation: u64) -> Result<(), NodeError> {
        let store = self.vault.store();
        let behind = store.settle_ring(generation, RING_PATIENCE).await?;
        if behind > 0 {
            tracing::warn!(
                behind,
                "processes that did not take the newer key ring were struck out"
            );
        }
        Ok(())
    }

    /// Puts another text of the key ring in the place of that generation, destroys the file before
    /// it as far as a file system lets it, and seals with its keys from then on, as do the other
    /// processes of this node.
    async fn rewrite(
        &self,
        generation: u64,
        change: fn(&str, &Unlock, &dyn Entropy) -> Result<String, KeyringError>,
    ) -> Result<(), NodeError> {
        let this = self.clone();
        let changed = blocking(move || {
            let unlock = read_unlock(this.folder.path(), &this.unlock)?;
            let text = change(&this.folder.keyring_text()?, &unlock, &*this.entropy)?;
            let keys = this.vault.keys().data_keys_of(&text, &unlock)?;
            Ok((text, keys))
        });
        let (text, keys) = changed.await?;
        let store = self.vault.store();
        // First where the other processes find it.
        let shared = store.share_ring(&text, generation).await;
        if matches!(shared, Err(StoreError::Conflict { .. })) {
            let why = "another process of this node re-keys the store: wait until it is done";
            return Err(FlowError::NotPossible(why.to_owned()).into());
        }
        let generation = shared?;
        let path = self.folder.keyring();
        blocking(move || replace_ring(&path, &text)).await?;
        self.vault.turn_keys(keys).await?;
        store.took_ring(generation).await?;
        self.settle(generation).await
    }

    async fn note(&self, at: Timestamp) -> Result<(), NodeError> {
        let key = self.vault.row_key(Table::Meta, REKEYED);
        let held = self.vault.read(Table::Meta, &key).await?;
        let mut batch = self.vault.batch();
        let revision = held.map_or(0, |row| row.revision);
        batch.put(Table::Meta, &key, revision, &at.unix_ms().to_be_bytes());
        Ok(self.vault.commit(batch).await?)
    }

    /// When the last re-keying began that came to its end; `None` before the first.
    pub(super) async fn last(&self) -> Result<Option<Timestamp>, NodeError> {
        let key = self.vault.row_key(Table::Meta, REKEYED);
        let row = self.vault.read(Table::Meta, &key).await?;
        let at = row.and_then(|row| row.bytes.first_chunk::<8>().copied());
        Ok(at.map(|at| Timestamp::from_unix_ms(i64::from_be_bytes(at))))
    }

    /// Re-keys where it is time, or where a re-keying was cut short.
    pub(super) async fn look(&self) -> Result<(), NodeError> {
        let now = self.clock.now();
        let leads = self.vault.replicas().leads();
        let last = self.last().await?;
        if last.is_none() {
            // It counts from the first start.
            self.note(now).await?;
        }
        let is_due = last.is_some_and(|last| now.since(last) >= self.every);
        let waits = !self.erased.deleted()?.is_empty();
        let is_due = is_due || self.vault.keys().has_older_data_keys();
        if waits || (leads && is_due) {
            let begin = if waits { Begin::Anew } else { Begin::GoOn };
            let (progress, _) = watch::channel(Rekeyed::default());
            self.run(begin, Pace::Gentle, &progress).await?;
        }
        Ok(())
    }
}

/// Off the threads that serve: a passphrase costs a second of one core.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| NodeError::Folder(format!("re-keying: {error}")))?
}

/// Puts another text of the key ring into the folder, in place of the one before.
pub(super) fn replace_ring(path: &Path, text: &str) -> Result<(), NodeError> {
    replace_and_destroy(path, text.as_bytes()).map_err(|error| NodeError::file(path, &error))
}

/// Replaces a file that only its owner may read, and writes zeros over what the file before held.
/// A file system that copies on write, and the spare blocks of a flash disk, may keep it all the
/// same.
fn replace_and_destroy(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let next = path.with_extension("next");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let mut before = std::fs::OpenOptions::new().write(true).open(path)?;
    let length = before.metadata()?.len();
    std::fs::rename(&next, path)?;
    let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    before.rewind()?;
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(0), length),
        &mut before,
    )?;
    before.sync_all()
}
