//! The one task of a node that writes: it gathers waiting batches and writes them as one group.
//!
//! A group is tried again while the database is away for a moment. Where the connection is lost
//! during a commit, the writer's own row tells whether the group was kept: its number changes in
//! the group's transaction, and reading it under lock waits until that transaction has ended.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use deadpool_postgres::Pool;
use tokio::sync::{mpsc, oneshot};

use crate::limits::STORE_BATCH_ROWS_MAX;
use crate::store::digest::Digester;
use crate::store::stage::Stage;
use crate::store::{Batch, StoreError};

use super::fault::Fault;
use super::group::{self, Locked};
use super::lease::Lease;
use super::statements::{CLAIM_GROUP, FORGET_WRITER, READ_GROUP, SINGLE_SLICE};

/// A batch that waits, and where its outcome goes.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Outcome>,
}

pub(super) type Outcome = Result<(), StoreError>;

/// How long a step is tried again before its caller hears of it.
pub(super) const TRIED_FOR: Duration = Duration::from_secs(10);

/// The pauses between tries: 20 ms to 1 s, each with jitter.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
        .without_max_times()
        .with_total_delay(Some(TRIED_FOR))
        .build()
}

/// The state of the writing task.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) pool: Pool,
    pub(super) digester: Digester,
    /// What says that no other process uses the store; none where replicas do.
    pub(super) lease: Option<Lease>,
    /// Random for each start of a node, so that no two writers share a row.
    pub(super) id: [u8; 16],
    /// Number of the newest group that was begun.
    pub(super) number: i64,
}

impl Writer {
    /// Writes until the last sender is gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut first = queue.recv().await;
        while let Some(request) = first.take() {
            let mut rows = request.batch.len();
            let mut waiting = vec![request];
            while let Ok(next) = queue.try_recv() {
                rows += next.batch.len();
                if rows > STORE_BATCH_ROWS_MAX {
                    first = Some(next);
                    break;
                }
                waiting.push(next);
            }
            self.answer(waiting).await;
            if first.is_none() {
                first = queue.recv().await;
            }
        }
        // What stays behind where this fails is one row of 40 bytes.
        let forgotten = async {
            let client = self.pool.get().await.map_err(Fault::from)?;
            let id: &[u8] = &self.id;
            let gone = client.execute(FORGET_WRITER, &[&SINGLE_SLICE, &id]).await;
            gone.map_err(Fault::from)
        };
        drop(forgotten.await);
        if let Some(lease) = &self.lease {
            lease.free(&self.pool).await;
        }
    }

    async fn answer(&mut self, waiting: Vec<Request>) {
        let (batches, replies): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .map(|request| (request.batch, request.reply))
            .unzip();
        let outcomes = match self.write(&batches).await {
            Ok(outcomes) => outcomes,
            Err(fault) => vec![Err(fault.into_error()); batches.len()],
        };
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // A caller that stopped waiting is no error.
            drop(reply.send(outcome));
        }
    }

    /// One outcome per batch; tries again what may pass.
    async fn write(&mut self, batches: &[Batch]) -> Result<Vec<Outcome>, Fault> {
        self.number = self.number.wrapping_add(1);
        let mut pauses = pauses();
        loop {
            let mut outcomes = Vec::new();
            let fault = match self.attempt(batches, &mut outcomes).await {
                Ok(()) => return Ok(outcomes),
                Err(Fault::Uncertain(reason)) => match self.was_kept().await {
                    Ok(true) => return Ok(outcomes),
                    Ok(false) => Fault::Passing(reason),
                    Err(_) => return Err(Fault::Uncertain(reason)),
                },
                Err(fault) => fault,
            };
            match (fault, pauses.next()) {
                (Fault::Passing(_), Some(pause)) => tokio::time::sleep(pause).await,
                (fault, _) => return Err(fault),
            }
        }
    }

    /// One transaction; `outcomes` are decided before it is committed.
    async fn attempt(&self, batches: &[Batch], outcomes: &mut Vec<Outcome>) -> Result<(), Fault> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        let claim = transaction.prepare_cached(CLAIM_GROUP).await?;
        let id: &[u8] = &self.id;
        let claimed = transaction
            .execute(&claim, &[&SINGLE_SLICE, &id, &self.number])
            .await?;
        if claimed != 1 {
            return Err(StoreError::RingBehind.into());
        }
        if let Some(lease) = &self.lease {
            lease.check(&transaction).await?;
        }
        let locked = Locked::read(&transaction, batches, &self.digester).await?;
        let mut stage = Stage::over(&locked, &self.digester);
        outcomes.extend(batches.iter().map(|batch| stage.add(batch.clone())));
        let staged = stage.finish();
        if staged.rows.is_empty() {
            return Ok(transaction.rollback().await?);
        }
        group::write(&transaction, staged, &self.digester).await?;
        let committed = transaction.commit().await;
        committed.map_err(|error| Fault::of_commit(&error))
    }

    /// Whether the newest group is in the database, asked until the database says so.
    async fn was_kept(&self) -> Result<bool, Fault> {
        let mut pauses = pauses();
        loop {
            match (self.newest_kept().await, pauses.next()) {
                (Ok(Some(number)), _) => return Ok(number == self.number),
                // Struck out meanwhile: nobody can tell.
                (Ok(None), _) => return Err(Fault::Uncertain("its row is gone".to_owned())),
                (Err(Fault::Passing(_)), Some(pause)) => tokio::time::sleep(pause).await,
                (Err(fault), _) => return Err(fault),
            }
        }
    }

    async fn newest_kept(&self) -> Result<Option<i64>, Fault> {
        let client = self.pool.get().await?;
        let id: &[u8] = &self.id;
        let row = client.query_opt(READ_GROUP, &[&SINGLE_SLICE, &id]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}
