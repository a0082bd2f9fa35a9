//! Erasing borrowers on a running node: noted beside the store, deleted, published, and made
//! unreadable by a re-keying.

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::NodeError;
use super::erased::{Entry, Name, Stage};
use super::rekey::{Begin, Pace, Rekeying};
use crate::flows::{Erased, Eraser, Erasure, FlowError, erased_name};
use crate::limits::{ERASING_RETRY, SWEEP_EVERY};
use crate::service::{ErasureDesk, Rekeyed};
use crate::store::Vault;

/// What erases borrowers on a running node.
#[derive(Debug, Clone)]
pub(super) struct Erasing {
    pub(super) eraser: Eraser,
    pub(super) rekeying: Rekeying,
    pub(super) vault: Vault,
}

/// What an operator hears of a fault of the folder.
fn told(error: NodeError) -> FlowError {
    if let NodeError::Flow(error) = error {
        return error;
    }
    if let NodeError::Store(error) = error {
        return error.into();
    }
    FlowError::NotPossible(error.to_string())
}

#[tonic::async_trait]
impl ErasureDesk for Erasing {
    async fn erase(&self, erasure: Erasure) -> Result<Erased, FlowError> {
        let names = self.eraser.check(&erasure.borrower).await?;
        let names: Vec<Name> = names
            .iter()
            .map(|name| erased_name(&self.vault, name))
            .collect();
        let list = &self.rekeying.erased;
        list.note(&names, self.rekeying.now()).map_err(told)?;
        let erased = self.eraser.erase(&erasure).await?;
        list.deleted_now(&names).map_err(told)?;
        Ok(erased)
    }

    fn rekey(&self, progress: watch::Sender<Rekeyed>) -> oneshot::Receiver<Result<(), FlowError>> {
        let (done, ended) = oneshot::channel();
        let rekeying = self.rekeying.clone();
        tokio::spawn(async move {
            let turn = rekeying.run(Begin::Anew, Pace::Full, &progress).await;
            let _heard = done.send(turn.map_err(told));
        });
        ended
    }
}

impl Erasing {
    /// Comes to the end of what was cut short, then keeps the store re-keyed, until `stop`: what is
    /// under way then goes on at the next start.
    pub(super) async fn keep(self, stop: CancellationToken) {
        loop {
            let Some(looked) = stop.run_until_cancelled(self.look()).await else {
                return;
            };
            let next = match looked {
                Ok(()) => SWEEP_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "an erasure or re-keying failed; it is tried again");
                    ERASING_RETRY
                }
            };
            let waiting = tokio::time::sleep(next);
            if stop.run_until_cancelled(waiting).await.is_none() {
                return;
            }
        }
    }

    /// As [`Self::keep`], once.
    ///
    /// # Errors
    /// [`NodeError`].
    pub(super) async fn look(&self) -> Result<(), NodeError> {
        let mut outcome = Ok(());
        for entry in self.rekeying.erased.entries()? {
            if let Err(error) = self.resume(&entry).await {
                outcome = Err(error);
            }
        }
        // What cannot be deleted keeps nothing else from being made unreadable.
        self.rekeying.look().await?;
        outcome
    }

    async fn resume(&self, entry: &Entry) -> Result<(), NodeError> {
        let until = match entry.stage {
            Stage::Begun => Some(entry.at()),
            Stage::Deleted => None,
            Stage::Unreadable => return Ok(()),
        };
        let Some(name) = entry.name() else {
            return Ok(());
        };
        self.eraser.resume(&name, until).await?;
        self.rekeying.erased.deleted_now(&[name])
    }
}
