//! The wrapped key ring beside the rows, and which writers seal with which generation of it.
//!
//! A re-keying destroys the older keys only when nobody seals with them any more: every writer's
//! row says which generation it took, and a writer that is behind for too long is struck out, after
//! which none of its transactions is committed.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::time::{Instant, sleep};

use crate::limits::REPLICA_LOOK;
use crate::store::{SharedRing, StoreError, Table};

use super::fault::Fault;
use super::retried;
use super::statements::{
    ENTER_WRITER, FIRST_RING, FORGET_WRITER, LOCK_RING, READ_BEHIND, READ_RING, SINGLE_SLICE,
    STRIKE_BEHIND, WRITE_RING,
};

/// The ring.
pub(super) async fn read(pool: &Pool) -> Result<Option<SharedRing>, StoreError> {
    retried(|| async {
        let client = pool.get().await?;
        let row = client.query_opt(READ_RING, &[&SINGLE_SLICE]).await?;
        let read = |row: tokio_postgres::Row| {
            let generation: i64 = row.try_get(0)?;
            Ok(SharedRing {
                generation: generation.cast_unsigned(),
                text: row.try_get(1)?,
            })
        };
        row.map(read).transpose()
    })
    .await
}

/// Writes the ring in the place of generation `before`.
pub(super) async fn write(pool: &Pool, text: &str, before: u64) -> Result<u64, StoreError> {
    let wrote = retried(|| async {
        let client = pool.get().await?;
        let generation = before.cast_signed();
        let replaced = client
            .execute(WRITE_RING, &[&SINGLE_SLICE, &text, &generation])
            .await?;
        if replaced == 1 || before > 0 {
            return Ok(replaced);
        }
        Ok(client.execute(FIRST_RING, &[&SINGLE_SLICE, &text]).await?)
    });
    if wrote.await? == 1 {
        return Ok(before + 1);
    }
    // A connection that was lost while this was written may have hidden that it was.
    let is_ours = |ring: SharedRing| ring.text == text && ring.generation == before + 1;
    if read(pool).await?.is_some_and(is_ours) {
        return Ok(before + 1);
    }
    Err(StoreError::Conflict { table: Table::Key })
}

/// Enters a writer under the generation of the ring that stands there; gives it. The ring stays as
/// it is meanwhile, so that whoever writes the next one finds the writer entered.
///
/// # Errors
/// [`StoreError::RingBehind`] where another generation is wanted.
pub(super) async fn enter(
    pool: &Pool,
    id: [u8; 16],
    wanted: Option<u64>,
) -> Result<u64, StoreError> {
    retried(|| async {
        let mut client = pool.get().await?;
        let transaction = client.transaction().await?;
        let row = transaction.query_opt(LOCK_RING, &[&SINGLE_SLICE]).await?;
        let generation: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
        let found = generation.cast_unsigned();
        if wanted.is_some_and(|wanted| wanted != found) {
            return Err(StoreError::RingBehind.into());
        }
        let id: &[u8] = &id;
        transaction
            .execute(ENTER_WRITER, &[&SINGLE_SLICE, &id, &generation])
            .await?;
        transaction.commit().await?;
        Ok(found)
    })
    .await
}

/// Strikes a writer out that is gone.
pub(super) async fn leave(pool: &Pool, id: [u8; 16]) -> Result<(), StoreError> {
    retried(|| async {
        let client = pool.get().await?;
        let id: &[u8] = &id;
        client.execute(FORGET_WRITER, &[&SINGLE_SLICE, &id]).await?;
        Ok(())
    })
    .await
}

/// Waits until no writer is behind, and strikes out those that stay so.
pub(super) async fn settle(
    pool: &Pool,
    generation: u64,
    patience: Duration,
) -> Result<u64, StoreError> {
    let since = Instant::now();
    let generation = generation.cast_signed();
    while since.elapsed() < patience {
        let behind = retried(|| async {
            let client = pool.get().await?;
            let rows = client
                .query(READ_BEHIND, &[&SINGLE_SLICE, &generation])
                .await?;
            Ok::<_, Fault>(rows.len())
        });
        if behind.await? == 0 {
            return Ok(0);
        }
        sleep(REPLICA_LOOK).await;
    }
    retried(|| async {
        let client = pool.get().await?;
        let struck = client
            .execute(STRIKE_BEHIND, &[&SINGLE_SLICE, &generation])
            .await?;
        Ok(struck)
    })
    .await
}
