//! What the suite runs on: a store that can be opened again, and rows to put into it.

use std::sync::Arc;

use async_trait::async_trait;
use creditmesh::crypto::{Sealed, Secret};
use creditmesh::store::{
    Batch, Change, Holding, MemoryStore, OpenMode, PostgresOptions, PostgresStore, Row,
    SledOptions, SledStore, Store, StoreError, Table,
};

/// An engine under test.
#[async_trait]
pub(crate) trait Bed: Send + Sync {
    /// An empty bed.
    async fn make() -> Self
    where
        Self: Sized;

    /// The store; a second call gives the same rows after the first handle is gone.
    async fn open(&self) -> Arc<dyn Store>;
}

/// The key of the digests of all stores under test.
pub(crate) fn digest_key() -> Secret<32> {
    Secret::from_bytes([42; 32])
}

/// A bed on the memory engine.
pub(crate) struct MemoryBed(MemoryStore);

#[async_trait]
impl Bed for MemoryBed {
    async fn make() -> Self {
        Self(MemoryStore::new(&digest_key()))
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.reopened())
    }
}

/// A bed on sled in a temporary folder.
pub(crate) struct SledBed(tempfile::TempDir);

impl SledBed {
    /// Options for the bed's folder with a small cache and without a watermark.
    pub(crate) fn options(&self) -> SledOptions {
        sled_options(self.0.path().join("store"))
    }
}

/// Options with a small cache and without a watermark.
pub(crate) fn sled_options(folder: std::path::PathBuf) -> SledOptions {
    let mut options = SledOptions::new(folder, OpenMode::ExistingOrNew);
    options.cache_bytes = 16 << 20;
    options.watermark.free_bytes_min = 0;
    options.watermark.free_percent_min = 0;
    options
}

#[async_trait]
impl Bed for SledBed {
    async fn make() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    async fn open(&self) -> Arc<dyn Store> {
        let store = SledStore::open(self.options(), &digest_key()).await;
        Arc::new(store.expect("the store opens"))
    }
}

/// A bed on a database of its own in the server that `CREDITMESH_TEST_POSTGRES` names.
pub(crate) struct PostgresBed {
    config: tokio_postgres::Config,
}

/// The server under test, as `tests/run` starts it.
#[expect(clippy::disallowed_methods, reason = "the server comes from outside")]
fn server() -> tokio_postgres::Config {
    let server = std::env::var("CREDITMESH_TEST_POSTGRES").expect(
        "CREDITMESH_TEST_POSTGRES names no PostgreSQL server; tests/run starts one and sets it",
    );
    server.parse().expect("a connection string")
}

impl PostgresBed {
    /// A further replica over the same rows.
    pub(crate) async fn replica(&self, mode: OpenMode) -> Result<PostgresStore, StoreError> {
        let options = PostgresOptions {
            config: self.config.clone(),
            tls: None,
            mode,
            connections: 4,
            holding: Holding::Replica,
            folder: None,
        };
        PostgresStore::open(options, &digest_key(), rand::random()).await
    }
}

#[async_trait]
impl Bed for PostgresBed {
    async fn make() -> Self {
        let mut config = server();
        let (client, connection) = config
            .connect(tokio_postgres::NoTls)
            .await
            .expect("a server");
        let connection = tokio::spawn(connection);
        let name = format!("bed_{:032x}", rand::random::<u128>());
        let create = client
            .batch_execute(&format!("create database {name}"))
            .await;
        create.expect("a database of its own");
        drop(client);
        let ended = connection.await.expect("the connection's task ends");
        ended.expect("the connection ends well");
        config.dbname(&name);
        Self { config }
    }

    async fn open(&self) -> Arc<dyn Store> {
        let store = self.replica(OpenMode::ExistingOrNew).await;
        Arc::new(store.expect("the store opens"))
    }
}

/// Content that stands in for a sealed row.
pub(crate) fn sealed(text: &str) -> Sealed {
    Sealed::from_stored(text.as_bytes().to_vec())
}

/// A batch of one change.
pub(crate) fn one(table: Table, key: &[u8], change: Change) -> Batch {
    let mut batch = Batch::new();
    batch.push(table, key, change);
    batch
}

/// A put.
pub(crate) fn put(revision: u64, text: &str) -> Change {
    Change::Put {
        revision,
        sealed: sealed(text),
    }
}

/// A row as it reads back.
pub(crate) fn row(revision: u64, text: &str) -> Option<Row> {
    Some(Row {
        revision,
        sealed: sealed(text),
    })
}

/// The outcome of a lost race.
pub(crate) fn conflict(table: Table) -> Result<(), StoreError> {
    Err(StoreError::Conflict { table })
}
