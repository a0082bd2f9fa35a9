//! The store in PostgreSQL under what happens to databases: replicas that race, connections that
//! are lost in the middle of a commit, a primary that is killed while it is written to, and a whole
//! node of three replicas.
//!
//! Each test starts servers of its own, in temporary folders, on Unix sockets.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where its ground gives way"
)]

#[path = "postgres/cutting.rs"]
mod cutting;
#[path = "postgres/failover.rs"]
mod failover;
#[path = "postgres/lease.rs"]
mod lease;
#[path = "postgres/races.rs"]
mod races;
#[path = "postgres/replicas.rs"]
mod replicas;
#[path = "postgres/secured.rs"]
mod secured;
#[path = "postgres/server.rs"]
mod server;

use creditmesh::crypto::{Sealed, Secret};
use creditmesh::store::{
    Batch, Change, Holding, OpenMode, PostgresOptions, PostgresStore, StoreError, Table,
};

/// A store over the database that `config` names.
pub(crate) async fn store(config: tokio_postgres::Config) -> Result<PostgresStore, StoreError> {
    let options = PostgresOptions {
        config,
        tls: None,
        mode: OpenMode::ExistingOrNew,
        connections: 8,
        holding: Holding::Replica,
        folder: None,
    };
    PostgresStore::open(options, &Secret::from_bytes([7; 32]), rand::random()).await
}

/// A batch that writes `key` at `revision`.
pub(crate) fn put(key: &[u8], revision: u64) -> Batch {
    let mut batch = Batch::new();
    let sealed = Sealed::from_stored(revision.to_be_bytes().to_vec());
    batch.push(Table::Quota, key, Change::Put { revision, sealed });
    batch
}
