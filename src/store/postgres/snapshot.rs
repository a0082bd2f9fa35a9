//! A snapshot of a store in a database: one transaction that reads at one moment.

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};

use crate::store::digest::Digester;
use crate::store::{BucketDigest, Row, Scan, Snapshot, StoreError, Table};

use super::fault::Fault;
use super::statements::{BEGIN_SNAPSHOT, READ_GENERATION, SINGLE_SLICE};
use super::{digests, page};

/// The connection that reads, with its transaction.
#[derive(Debug)]
pub(super) struct PostgresSnapshot {
    /// Nothing only while it is dropped.
    client: Option<Object>,
    digester: Digester,
}

impl PostgresSnapshot {
    pub(super) async fn begin(pool: &Pool, digester: &Digester) -> Result<Self, StoreError> {
        super::retried(|| async {
            let snapshot = Self {
                client: Some(pool.get().await?),
                digester: digester.clone(),
            };
            let client = snapshot.client()?;
            client.batch_execute(BEGIN_SNAPSHOT).await?;
            // The moment is that of the first statement.
            client.query_opt(READ_GENERATION, &[&SINGLE_SLICE]).await?;
            Ok(snapshot)
        })
        .await
    }

    fn client(&self) -> Result<&Object, Fault> {
        let client = self.client.as_ref();
        client.ok_or(Fault::Lasting(StoreError::Closed))
    }

    async fn read_page(&self, table: Table, scan: &Scan) -> Result<Page, Fault> {
        page(self.client()?, table, scan).await
    }
}

type Page = Vec<(Vec<u8>, Row)>;

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn scan(&self, table: Table, scan: &Scan) -> Result<Page, StoreError> {
        let page = self.read_page(table, scan).await;
        page.map_err(Fault::into_error)
    }

    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        let client = self.client().map_err(Fault::into_error)?;
        let digests = digests(client, table, &self.digester).await;
        digests.map_err(Fault::into_error)
    }
}

impl Drop for PostgresSnapshot {
    fn drop(&mut self) {
        // With its connection the transaction ends; the pool makes another.
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}
