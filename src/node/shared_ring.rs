//! The key ring that lies beside the rows of a database, for every process of the node.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::rekey::{Rekeying, blocking, replace_ring};
use super::unlock::read_unlock;
use super::{Folder, NodeError};
use crate::config::UnlockSource;
use crate::limits::REPLICA_LOOK;
use crate::store::{StoreError, Vault};

/// Pause before a ring that could not be taken is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Folder {
    /// Takes the key ring that lies beside the rows, where another process of this node changed it
    /// meanwhile; gives its generation, 0 where the ring lies in this folder only.
    ///
    /// # Errors
    /// [`NodeError`] where it does not open as the folder's own does, or the store fails.
    pub(super) async fn take_shared_ring(
        &self,
        vault: &Vault,
        source: &UnlockSource,
    ) -> Result<u64, NodeError> {
        loop {
            let Some(shared) = vault.store().shared_ring().await? else {
                return Ok(0);
            };
            if shared.text != self.keyring_text()? {
                self.turn_to(vault, source, &shared.text).await?;
            }
            match vault.store().took_ring(shared.generation).await {
                Ok(()) => return Ok(shared.generation),
                // A newer one came meanwhile.
                Err(StoreError::RingBehind) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Seals and opens with the keys of another text of the ring from now on.
    async fn turn_to(
        &self,
        vault: &Vault,
        source: &UnlockSource,
        text: &str,
    ) -> Result<(), NodeError> {
        let (this, source) = (self.clone(), source.clone());
        let (ring, given) = (vault.clone(), text.to_owned());
        let keys = blocking(move || {
            let unlock = read_unlock(this.path(), &source)?;
            Ok(ring.keys().data_keys_of(&given, &unlock)?)
        });
        match vault.turn_keys(keys.await?).await {
            // What was sealed with older keys was refused, then.
            Ok(()) | Err(StoreError::RingBehind) => {}
            Err(error) => return Err(error.into()),
        }
        replace_ring(&self.keyring(), text)?;
        tracing::info!("the key ring of another process of this node is taken");
        Ok(())
    }
}

impl Rekeying {
    /// Takes every key ring that another replica shares, until `stop`.
    pub(super) async fn follow_ring(self, stop: CancellationToken) {
        let replicas = self.vault.replicas().clone();
        let mut taken = 0;
        loop {
            let newer = replicas.ring_after(taken);
            if stop.run_until_cancelled(newer).await.is_none() {
                return;
            }
            let _turn = self.turn.lock().await;
            match self.caught_up().await {
                Ok(generation) => {
                    taken = generation;
                    tokio::time::sleep(REPLICA_LOOK).await;
                }
                Err(error) => {
                    tracing::error!(%error, "a newer key ring is not taken; it is tried again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// The generation of the ring beside the rows, taken if it was not yet.
    pub(super) async fn caught_up(&self) -> Result<u64, NodeError> {
        self.folder
            .take_shared_ring(&self.vault, &self.unlock)
            .await
    }
}
