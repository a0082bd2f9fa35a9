//! Which of a node's processes uses the store: one at a time, the others wait.
//!
//! The holder counts a row up, once a second and with every group that it writes. Whoever wants the
//! store watches that number by its own clock; where it stands still the row is taken, and from
//! then on no group of the former holder is written: its transaction no longer finds itself in the
//! row. So nothing rests on clocks that agree, or on a holder that notices in time.

use deadpool_postgres::{Pool, Transaction};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::limits::{LEASE_BEAT, LEASE_SILENT};
use crate::store::StoreError;

use super::fault::Fault;
use super::retried;
use super::statements::{BEAT_LEASE, FREE_LEASE, READ_LEASE, SINGLE_SLICE, TAKE_LEASE};

/// How a process uses the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Beside others that do the same; nobody is kept away.
    Shared,
    /// Alone; refused while another process holds it.
    Alone,
    /// Alone; waits until no other process holds it.
    AloneWhenFree,
}

/// Who holds the store, and how far it counted.
type Held = Option<(Vec<u8>, i64)>;

/// The right to be the one that uses the store.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    holder: [u8; 16],
    lost: CancellationToken,
}

impl Lease {
    /// Takes the lease once nobody else shows that it lives.
    pub(super) async fn take(
        pool: &Pool,
        holder: [u8; 16],
        holding: Holding,
    ) -> Result<Option<Self>, StoreError> {
        if holding == Holding::Shared {
            return Ok(None);
        }
        let mut seen = retried(|| held(pool)).await?;
        let mut since = Instant::now();
        let mut told = false;
        loop {
            let is_silent = seen.is_none() || since.elapsed() >= LEASE_SILENT;
            if is_silent && retried(|| taken(pool, holder, &seen)).await? {
                let lost = CancellationToken::new();
                return Ok(Some(Self { holder, lost }));
            }
            sleep(LEASE_BEAT / 4).await;
            let found = retried(|| held(pool)).await?;
            if found == seen {
                continue;
            }
            if found.is_some() && holding == Holding::Alone {
                return Err(StoreError::HeldElsewhere);
            }
            if found.is_some() && !told {
                tracing::warn!("another process serves this store: waiting until it is silent");
                told = true;
            }
            (seen, since) = (found, Instant::now());
        }
    }

    /// Shows that this process lives, until it is told otherwise or another took over.
    pub(super) async fn keep(self, pool: Pool) {
        loop {
            sleep(LEASE_BEAT).await;
            match beat(&pool, &self.holder).await {
                Ok(true) => {}
                Ok(false) => {
                    self.lost.cancel();
                    return;
                }
                // The database is away; it may be back before anybody takes over.
                Err(_) => tracing::warn!("the database of the store does not answer"),
            }
        }
    }

    /// Holds the lease for the rest of a transaction.
    pub(super) async fn check(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let statement = transaction.prepare_cached(BEAT_LEASE).await?;
        let holder: &[u8] = &self.holder;
        let found = transaction
            .execute(&statement, &[&SINGLE_SLICE, &holder])
            .await?;
        if found == 1 {
            return Ok(());
        }
        self.lost.cancel();
        Err(StoreError::TakenOver.into())
    }

    /// Comes to its end when another process took over.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Refuses what is read after that.
    pub(super) fn check_held(&self) -> Result<(), StoreError> {
        if self.lost.is_cancelled() {
            return Err(StoreError::TakenOver);
        }
        Ok(())
    }

    /// Lets others take over at once; where it fails they wait until this process is silent.
    pub(super) async fn free(&self, pool: &Pool) {
        let freed = async {
            let client = pool.get().await.map_err(Fault::from)?;
            let holder: &[u8] = &self.holder;
            let freed = client.execute(FREE_LEASE, &[&SINGLE_SLICE, &holder]).await;
            freed.map_err(Fault::from)
        };
        drop(freed.await);
    }
}

async fn held(pool: &Pool) -> Result<Held, Fault> {
    let client = pool.get().await?;
    let row = client.query_opt(READ_LEASE, &[&SINGLE_SLICE]).await?;
    let read = |row: tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    row.map(read).transpose()
}

/// Whether the lease was still as it was seen, and is this process's own now.
async fn taken(pool: &Pool, holder: [u8; 16], seen: &Held) -> Result<bool, Fault> {
    let client = pool.get().await?;
    let (former, count) = seen.clone().unwrap_or_default();
    let holder: &[u8] = &holder;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&SINGLE_SLICE, &holder, &former, &count];
    Ok(client.execute(TAKE_LEASE, &parameters).await? == 1)
}

async fn beat(pool: &Pool, holder: &[u8]) -> Result<bool, Fault> {
    let client = pool.get().await?;
    let found = client
        .execute(BEAT_LEASE, &[&SINGLE_SLICE, &holder])
        .await?;
    Ok(found == 1)
}
