//! PostgreSQL alone: one connection, one statement for each batch, no digests and no revisions to
//! compare.

use async_trait::async_trait;
use deadpool_postgres::Pool;

use super::{Pair, Side};
use crate::limits::STORE_BATCH_ROWS_MAX;
use crate::store::postgres::{bare_pool, slice_of};
use crate::store::{PostgresOptions, StoreError};

const CREATE: &str = "create table creditmesh_bare (\
     slice int4 not null, key bytea not null, revision int8 not null, sealed bytea not null, \
     primary key (slice, key))";

const INSERT: &str = "insert into creditmesh_bare (slice, key, revision, sealed) \
     select w.slice, w.key, 1, w.sealed \
     from unnest($1::int4[], $2::bytea[], $3::bytea[]) as w (slice, key, sealed)";

const READ: &str = "select revision, sealed from creditmesh_bare where slice = $1 and key = $2";

const PAGE: &str = "select key, revision, sealed from creditmesh_bare \
     where (slice, key) > ($1, $2) order by slice, key limit $3";

const SIZE: &str = "select pg_total_relation_size($1::text::regclass)";

/// Asks a database how large its tables are.
#[derive(Clone)]
pub(super) struct Sizes(Pool);

impl Sizes {
    pub(super) async fn of(&self, table: &str) -> Result<u64, StoreError> {
        let client = self.0.get().await.map_err(failed)?;
        let row = client.query_one(SIZE, &[&table]).await.map_err(failed)?;
        let bytes: i64 = row.try_get(0).map_err(failed)?;
        Ok(bytes.unsigned_abs())
    }
}

pub(super) struct BarePostgres(Pool);

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreachable {
        reason: error.to_string(),
    }
}

impl BarePostgres {
    pub(super) async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let pool = bare_pool(options)?;
        let client = pool.get().await.map_err(failed)?;
        client.batch_execute(CREATE).await.map_err(failed)?;
        drop(client);
        Ok(Self(pool))
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes(self.0.clone())
    }
}

#[async_trait]
impl Side for BarePostgres {
    async fn commit(&self, rows: Vec<Pair>) -> Result<(), StoreError> {
        let client = self.0.get().await.map_err(failed)?;
        let insert = client.prepare_cached(INSERT).await.map_err(failed)?;
        let slices: Vec<i32> = rows.iter().map(|(key, _)| slice_of(key)).collect();
        let (keys, sealed): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let written = client.execute(&insert, &[&slices, &keys, &sealed]).await;
        written.map(drop).map_err(failed)
    }

    /// As an ideal group commit would: all that wait, at once.
    async fn commit_each(&self, rows: Vec<Pair>) -> Result<(), StoreError> {
        self.commit(rows).await
    }

    async fn read(&self, key: &[u8]) -> Result<bool, StoreError> {
        let client = self.0.get().await.map_err(failed)?;
        let read = client.prepare_cached(READ).await.map_err(failed)?;
        let row = client.query_opt(&read, &[&slice_of(key), &key]).await;
        let row = row.map_err(failed)?;
        Ok(row.is_some_and(|row| row.try_get::<_, Vec<u8>>(1).is_ok()))
    }

    async fn page(&self, after: Option<Vec<u8>>) -> Result<(usize, Option<Vec<u8>>), StoreError> {
        let client = self.0.get().await.map_err(failed)?;
        let page = client.prepare_cached(PAGE).await.map_err(failed)?;
        let after = after.unwrap_or_default();
        let limit = i64::try_from(STORE_BATCH_ROWS_MAX).unwrap_or(i64::MAX);
        let rows = client
            .query(&page, &[&slice_of(&after), &after, &limit])
            .await
            .map_err(failed)?;
        let pairs = rows.iter().map(|row| {
            let sealed: Vec<u8> = row.try_get(2)?;
            Ok((row.try_get(0)?, sealed))
        });
        let pairs: Result<Vec<Pair>, tokio_postgres::Error> = pairs.collect();
        let mut pairs = pairs.map_err(failed)?;
        let count = pairs.len();
        Ok((count, pairs.pop().map(|(key, _)| key)))
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        self.sizes().of("creditmesh_bare").await
    }

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        self.0.close();
        Ok(())
    }
}
