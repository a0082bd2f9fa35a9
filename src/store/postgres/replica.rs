//! One of several processes over one store: it looks at intervals what the others wrote, and takes
//! its turn at leading.
//!
//! Every writer changes its own row within each transaction that it commits, so one small query
//! tells whether anybody else wrote, without any engine's way of notifying.

use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::limits::{LEASE_BEAT, REPLICA_LOOK};
use crate::store::Replicas;

use super::fault::Fault;
use super::lease::{Watcher, beat, freed, held, taken};
use super::statements::{READ_GENERATION, READ_WRITERS, SINGLE_SLICE};

/// This process among the others.
#[derive(Debug)]
pub(super) struct Replica {
    pool: Pool,
    id: [u8; 16],
    leads: watch::Sender<bool>,
    wrote: watch::Sender<u64>,
    ring: watch::Sender<u64>,
}

/// The other writers, and how far each is.
type Others = Vec<(Vec<u8>, i64)>;

impl Replica {
    /// One that does not lead, under this generation of the key ring, and what others see of it.
    pub(super) fn new(pool: Pool, id: [u8; 16], generation: u64) -> (Self, Replicas) {
        let (leads, wrote) = (watch::Sender::new(false), watch::Sender::new(0));
        let ring = watch::Sender::new(generation);
        let seen = Replicas::beside(leads.subscribe(), wrote.subscribe(), ring.subscribe());
        let replica = Self {
            pool,
            id,
            leads,
            wrote,
            ring,
        };
        (replica, seen)
    }

    /// Looks again and again; ends only when dropped.
    pub(super) async fn run(self) {
        let mut lease = Watcher::new(None);
        let mut beaten = Instant::now();
        let mut others = None;
        loop {
            let looked = async {
                self.look(&mut others).await?;
                self.lead(&mut lease, &mut beaten).await
            };
            // The database is away for a moment; who leads then goes on to.
            if let Err(Fault::Lasting(error)) = looked.await {
                tracing::warn!(%error, "what other replicas write cannot be looked at");
            }
            sleep(REPLICA_LOOK).await;
        }
    }

    /// Tells what the others wrote since the last look, and whether the key ring changed.
    async fn look(&self, others: &mut Option<Others>) -> Result<(), Fault> {
        let client = self.pool.get().await?;
        let (writers, generation) = (
            client.prepare_cached(READ_WRITERS).await?,
            client.prepare_cached(READ_GENERATION).await?,
        );
        let rows = client.query(&writers, &[&SINGLE_SLICE]).await?;
        let mut found = Others::new();
        for row in rows {
            found.push((row.try_get(0)?, row.try_get(1)?));
        }
        let all = found.len();
        found.retain(|(writer, _)| writer.as_slice() != self.id);
        let is_struck_out = found.len() == all;
        found.sort_unstable();
        if others.as_ref().is_some_and(|before| *before != found) {
            self.wrote.send_modify(|count| *count += 1);
        }
        *others = Some(found);
        let row = client.query_opt(&generation, &[&SINGLE_SLICE]).await?;
        let generation: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
        // Whoever is struck out takes the ring again, and with it its place.
        let generation = if is_struck_out { -1 } else { generation };
        self.ring.send_if_modified(|held| {
            let changed = *held != generation.cast_unsigned();
            *held = generation.cast_unsigned();
            changed
        });
        Ok(())
    }

    /// Shows that this process leads, or takes the place of one that is silent.
    async fn lead(&self, lease: &mut Watcher, beaten: &mut Instant) -> Result<(), Fault> {
        if *self.leads.borrow() {
            if beaten.elapsed() >= LEASE_BEAT {
                *beaten = Instant::now();
                if !beat(&self.pool, &self.id).await? {
                    tracing::warn!("another replica leads from now on");
                    self.leads.send_replace(false);
                }
            }
            return Ok(());
        }
        let found = held(&self.pool).await?;
        if lease.is_silent(found.clone()) && taken(&self.pool, &self.id, &found).await? {
            tracing::info!("this replica leads from now on");
            *beaten = Instant::now();
            self.leads.send_replace(true);
        }
        Ok(())
    }
}

/// Lets another replica lead at once, where this one did.
pub(super) async fn step_back(pool: &Pool, id: [u8; 16]) {
    drop(freed(pool, &id).await);
}
