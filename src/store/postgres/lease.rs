//! Which process leads a node's replicas, or uses the store alone.
//!
//! Its holder counts a row up once a second. Whoever wants to be in its place watches that number
//! by its own clock, and takes the row where it stood still. So nothing rests on clocks that agree,
//! or on a holder that notices in time. A process that uses the store alone counts within each of
//! its transactions: none of them is committed once another process took the row.

use deadpool_postgres::{Pool, Transaction};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::limits::{LEASE_ALONE_AFTER, LEASE_BEAT, LEASE_SILENT};
use crate::store::StoreError;

use super::fault::Fault;
use super::retried;
use super::statements::{BEAT_LEASE, FREE_LEASE, READ_LEASE, SINGLE_SLICE, TAKE_LEASE};

/// How a process uses the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Beside others that do the same, one of which leads.
    Replica,
    /// Alone; refused while replicas run or another process is alone.
    Alone,
}

/// Who holds the lease, and how far it counted.
pub(super) type Held = Option<(Vec<u8>, i64)>;

/// What stands behind the id of a holder that is alone.
const ALONE: u8 = 1;

/// Whether this is the lease of a process that is alone.
fn is_alone(held: &Held) -> bool {
    held.as_ref().is_some_and(|(holder, _)| holder.len() > 16)
}

/// The lease of a process that uses the store alone.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    holder: Vec<u8>,
    lost: CancellationToken,
}

/// Watches a lease by this process's own clock.
#[derive(Debug)]
pub(super) struct Watcher {
    seen: Held,
    since: Instant,
}

impl Watcher {
    pub(super) fn new(seen: Held) -> Self {
        let since = Instant::now();
        Self { seen, since }
    }

    /// Notes what stands there now; gives whether it stood still for so long that it may be taken.
    pub(super) fn is_silent(&mut self, found: Held) -> bool {
        if found != self.seen {
            *self = Self::new(found);
        }
        self.seen.is_none() || self.since.elapsed() >= LEASE_SILENT
    }
}

/// Waits as long as another process uses the store alone.
pub(super) async fn wait_for_the_one_alone(pool: &Pool) -> Result<(), StoreError> {
    let mut watcher = Watcher::new(retried(|| held(pool)).await?);
    let mut told = false;
    loop {
        let found = retried(|| held(pool)).await?;
        if !is_alone(&found) || watcher.is_silent(found) {
            return Ok(());
        }
        if !told {
            tracing::warn!("another process uses this store alone: waiting until it is done");
            told = true;
        }
        sleep(LEASE_BEAT / 4).await;
    }
}

impl Lease {
    /// Takes the lease where nobody shows that it lives.
    pub(super) async fn take(pool: &Pool, id: [u8; 16]) -> Result<Self, StoreError> {
        let holder = [id.as_slice(), &[ALONE]].concat();
        let mut seen = retried(|| held(pool)).await?;
        let since = Instant::now();
        loop {
            let is_silent = seen.is_none() || since.elapsed() >= LEASE_ALONE_AFTER;
            if is_silent {
                if retried(|| taken(pool, &holder, &seen)).await? {
                    let lost = CancellationToken::new();
                    return Ok(Self { holder, lost });
                }
                return Err(StoreError::HeldElsewhere);
            }
            sleep(LEASE_BEAT / 4).await;
            let found = retried(|| held(pool)).await?;
            if found != seen && found.is_some() {
                return Err(StoreError::HeldElsewhere);
            }
            seen = found;
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
        let found = transaction
            .execute(&statement, &[&SINGLE_SLICE, &self.holder])
            .await?;
        if found == 1 {
            return Ok(());
        }
        self.lost.cancel();
        Err(StoreError::TakenOver.into())
    }

    /// Refuses what is read after another process took over.
    pub(super) fn check_held(&self) -> Result<(), StoreError> {
        if self.lost.is_cancelled() {
            return Err(StoreError::TakenOver);
        }
        Ok(())
    }

    /// Lets others take over at once; where it fails they wait until this process is silent.
    pub(super) async fn free(&self, pool: &Pool) {
        drop(freed(pool, &self.holder).await);
    }
}

/// The lease as it stands.
pub(super) async fn held(pool: &Pool) -> Result<Held, Fault> {
    let client = pool.get().await?;
    let row = client.query_opt(READ_LEASE, &[&SINGLE_SLICE]).await?;
    let read = |row: tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    row.map(read).transpose()
}

/// Whether the lease was still as it was seen, and is this process's own now.
pub(super) async fn taken(pool: &Pool, holder: &[u8], seen: &Held) -> Result<bool, Fault> {
    let client = pool.get().await?;
    let (former, count) = seen.clone().unwrap_or_default();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&SINGLE_SLICE, &holder, &former, &count];
    Ok(client.execute(TAKE_LEASE, &parameters).await? == 1)
}

/// Counts up; whether the lease is still this process's own.
pub(super) async fn beat(pool: &Pool, holder: &[u8]) -> Result<bool, Fault> {
    let client = pool.get().await?;
    let found = client
        .execute(BEAT_LEASE, &[&SINGLE_SLICE, &holder])
        .await?;
    Ok(found == 1)
}

/// Lets the lease go.
pub(super) async fn freed(pool: &Pool, holder: &[u8]) -> Result<u64, Fault> {
    let client = pool.get().await?;
    let freed = client.execute(FREE_LEASE, &[&SINGLE_SLICE, &holder]).await;
    Ok(freed?)
}
