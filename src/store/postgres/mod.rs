//! The store in a database that speaks PostgreSQL's wire protocol, shared by a node's replicas.
//!
//! Each replica writes through one task ([`writer`]), which groups what waits into one transaction;
//! what two replicas do to one row is decided by row locks and revisions, as between two callers in
//! one process. Each also looks what the others wrote ([`replica`]). Reads go to the primary, over
//! a pool. Tables and faults: `docs/storage.md`.

mod connect;

mod fault;

mod folder;

mod group;

mod layout;

mod lease;

mod replica;

mod ring;

mod snapshot;

mod statements;

mod writer;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::Config;
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::crypto::{Sealed, Secret};
use crate::limits::{STORE_CONNECTIONS_DEFAULT, STORE_SCAN_ROWS_MAX};

use super::digest::{SHELVES, Shelf};
use super::layout::row_key;
use super::{
    Batch, BucketDigest, Digester, OpenMode, Replicas, Row, Scan, SharedRing, Snapshot, Store,
    StoreError, Table,
};

use self::fault::Fault;
use self::folder::Folder;
pub use self::lease::Holding;
use self::lease::Lease;
use self::replica::Replica;
use self::snapshot::PostgresSnapshot;
pub(in crate::store) use self::statements::slice_of;
use self::statements::{READ_ROW, READ_SHELVES, SCAN_SLICE, SCAN_SLICES, shelf_slice};
use self::writer::{Request, Writer, pauses};

/// Batches that may wait for the writer; later callers wait for a place.
const QUEUE_BATCHES: usize = 1_024;

/// Which database, and how to reach it.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Hosts, database, user: as in a connection string.
    pub config: Config,
    /// TLS with the database's root certificates; without it only a database on this machine is
    /// reached.
    pub tls: Option<MakeRustlsConnect>,
    /// What may be in the database.
    pub mode: OpenMode,
    /// Most connections, 2 to `limits::STORE_CONNECTIONS_MAX`.
    pub connections: usize,
    /// Whether other processes may use the store meanwhile.
    pub holding: Holding,
    /// The folder of the process, which no other one uses meanwhile.
    pub folder: Option<PathBuf>,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `Config` leaves its password out.
        f.debug_struct("PostgresOptions")
            .field("config", &self.config)
            .field("tls", &self.tls.is_some())
            .field("mode", &self.mode)
            .field("connections", &self.connections)
            .field("holding", &self.holding)
            .finish()
    }
}

impl PostgresOptions {
    /// The database of a connection string, without TLS and with a password only where
    /// [`Self::set_password`] sets one.
    ///
    /// # Errors
    /// [`StoreError::ConnectionText`].
    pub fn reached_by(connection: &str, mode: OpenMode) -> Result<Self, StoreError> {
        let config: Config = connection.parse().map_err(|error: tokio_postgres::Error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let reason = source.unwrap_or_else(|| error.to_string());
            StoreError::ConnectionText { reason }
        })?;
        if config.get_password().is_some() {
            let reason = "it holds a password, which belongs into a file of its own".to_owned();
            return Err(StoreError::ConnectionText { reason });
        }
        Ok(Self {
            config,
            tls: None,
            mode,
            connections: STORE_CONNECTIONS_DEFAULT,
            holding: Holding::Alone,
            folder: None,
        })
    }

    /// What the database asks the user for.
    pub fn set_password(&mut self, password: &str) {
        self.config.password(password);
    }

    /// Whether the database is reached by a Unix socket or the loopback interface only: then it
    /// needs no TLS.
    #[must_use]
    pub fn stays_on_this_machine(&self) -> bool {
        connect::stays_on_this_machine(&self.config)
    }
}

/// A store in a database.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    digester: Digester,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    id: [u8; 16],
    /// What keeps others away, where this process is alone.
    lease: Option<Lease>,
    replicas: Replicas,
    keeping: JoinHandle<()>,
    folder: Mutex<Option<Folder>>,
}

impl PostgresStore {
    /// Connects, and creates or checks the tables; the digests are under `digest_key`.
    /// `writer_id` is random and never used by another start of a node.
    ///
    /// # Errors
    /// [`StoreError::DatabaseNeedsTls`]; [`StoreError::Unreachable`]; by mode
    /// [`StoreError::DatabaseEmpty`] or [`StoreError::DatabaseUsed`];
    /// [`StoreError::LayoutVersion`], [`StoreError::NewerTable`]; [`StoreError::ForeignKeys`];
    /// [`StoreError::HeldElsewhere`];
    /// [`StoreError::DatabaseRefused`].
    pub async fn open(
        options: PostgresOptions,
        digest_key: &Secret<32>,
        writer_id: [u8; 16],
    ) -> Result<Self, StoreError> {
        let digester = Digester::new(digest_key);
        let mut folder = options.folder.as_deref().map(Folder::lock).transpose()?;
        let pool = connect::pool(&options)?;
        let mode = options.mode;
        let settled = retried(|| layout::settle(&pool, mode, &digester)).await;
        settled?;
        let lease = match options.holding {
            Holding::Alone => Some(Lease::take(&pool, writer_id).await?),
            Holding::Replica => {
                lease::wait_for_the_one_alone(&pool).await?;
                None
            }
        };
        let generation = ring::enter(&pool, writer_id, None).await?;
        let earlier = folder.as_mut().and_then(|own| own.note_writer(writer_id));
        if let Some(earlier) = earlier {
            ring::leave(&pool, earlier).await?;
        }
        let (keeping, replicas) = match lease.clone() {
            Some(lease) => (tokio::spawn(lease.keep(pool.clone())), Replicas::alone()),
            None => {
                let (replica, seen) = Replica::new(pool.clone(), writer_id, generation);
                (tokio::spawn(replica.run()), seen)
            }
        };
        let writer = Writer {
            pool: pool.clone(),
            lease: lease.clone(),
            digester: digester.clone(),
            id: writer_id,
            number: 0,
        };
        let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
        let task = tokio::spawn(writer.run(receiver));
        Ok(Self {
            pool,
            digester,
            queue: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(task)),
            id: writer_id,
            lease,
            replicas,
            keeping,
            folder: Mutex::new(folder),
        })
    }

    fn sender(&self) -> Result<mpsc::Sender<Request>, StoreError> {
        if let Some(lease) = &self.lease {
            lease.check_held()?;
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clone().ok_or(StoreError::Closed)
    }

    /// Rows that a statement finds, tried again while the database is away for a moment.
    async fn query(
        &self,
        statement: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        retried(|| async {
            let client = self.pool.get().await?;
            let prepared = client.prepare_cached(statement).await?;
            Ok(client.query(&prepared, parameters).await?)
        })
        .await
    }
}

/// Connections to a database, for the bench that uses it without the store.
pub(super) fn bare_pool(options: &PostgresOptions) -> Result<Pool, StoreError> {
    connect::pool(options)
}

/// Runs a step again while it fails for a moment, with growing pauses.
async fn retried<T, F>(mut step: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut pauses = pauses();
    loop {
        match (step().await, pauses.next()) {
            (Ok(value), _) => return Ok(value),
            (Err(Fault::Passing(_)), Some(pause)) => tokio::time::sleep(pause).await,
            (Err(fault), _) => return Err(fault.into_error()),
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.sender()?;
        let full_key = row_key(table, key);
        let slice = slice_of(&full_key);
        let rows = self.query(READ_ROW, &[&slice, &full_key]).await?;
        let row = rows.first().map(|row| read_row(row, 0));
        row.transpose().map_err(Fault::into_error)
    }

    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        self.sender()?;
        retried(|| async { page(&self.pool.get().await?, table, scan).await }).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check_bounds()?;
        let (reply, outcome) = oneshot::channel();
        let sent = self.sender()?.send(Request { batch, reply }).await;
        sent.map_err(|_| StoreError::Closed)?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        self.sender()?;
        retried(|| async { digests(&self.pool.get().await?, table, &self.digester).await }).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.sender()?;
        let snapshot = PostgresSnapshot::begin(&self.pool, &self.digester).await?;
        Ok(Box::new(snapshot))
    }

    fn replicas(&self) -> Replicas {
        self.replicas.clone()
    }

    async fn shared_ring(&self) -> Result<Option<SharedRing>, StoreError> {
        ring::read(&self.pool).await
    }

    async fn share_ring(&self, text: &str, before: u64) -> Result<u64, StoreError> {
        ring::write(&self.pool, text, before).await
    }

    async fn took_ring(&self, generation: u64) -> Result<(), StoreError> {
        let entered = ring::enter(&self.pool, self.id, Some(generation)).await;
        entered.map(drop)
    }

    async fn settle_ring(&self, generation: u64, patience: Duration) -> Result<u64, StoreError> {
        ring::settle(&self.pool, generation, patience).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.keeping.abort();
        drop(taken(&self.queue));
        let writer = taken(&self.writer);
        let ended = match writer {
            Some(task) => task.await,
            None => Ok(()),
        };
        if self.lease.is_none() {
            replica::step_back(&self.pool, self.id).await;
        }
        self.pool.close();
        drop(taken(&self.folder));
        ended.map_err(|_| StoreError::Stopped {
            reason: "its writing task ended".to_owned(),
        })
    }
}

/// A page of rows, in the order of their keys.
async fn page(client: &Object, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, Fault> {
    let limit = i64::try_from(scan.limit.min(STORE_SCAN_ROWS_MAX)).unwrap_or(i64::MAX);
    let from = first_key(table, scan);
    let rows = if scan.prefix.is_empty() {
        let last = slice_of(&[table.code(), u8::MAX]);
        let parameters: [&(dyn ToSql + Sync); 4] = [&slice_of(&from), &from, &last, &limit];
        let prepared = client.prepare_cached(SCAN_SLICES).await?;
        client.query(&prepared, &parameters).await?
    } else {
        let slice = slice_of(&row_key(table, &scan.prefix));
        let behind = behind_prefix(&row_key(table, &scan.prefix));
        let parameters: [&(dyn ToSql + Sync); 4] = [&slice, &from, &behind, &limit];
        let prepared = client.prepare_cached(SCAN_SLICE).await?;
        client.query(&prepared, &parameters).await?
    };
    let pairs = rows.iter().map(|row| {
        let (mut key, row) = full_row(row)?;
        key.remove(0);
        Ok((key, row))
    });
    pairs.collect()
}

/// The digests of a table's buckets.
async fn digests(
    client: &Object,
    table: Table,
    digester: &Digester,
) -> Result<Vec<Option<BucketDigest>>, Fault> {
    let prepared = client.prepare_cached(READ_SHELVES).await?;
    let mut shelves = vec![None; SHELVES];
    for row in &client.query(&prepared, &[&shelf_slice(table)]).await? {
        let (number, digests) = read_shelf(row)?;
        if let Some(shelf) = shelves.get_mut(usize::from(number)) {
            *shelf = digester.decode(table, number, &digests);
        }
    }
    Ok(shelves.into_iter().flat_map(Shelf::digests).collect())
}

fn taken<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The least key that a page may hold.
fn first_key(table: Table, scan: &Scan) -> Vec<u8> {
    match &scan.after {
        Some(after) if *after >= scan.prefix => {
            let mut next = row_key(table, after);
            next.push(0);
            next
        }
        Some(_) | None => row_key(table, &scan.prefix),
    }
}

/// The least key behind all keys that begin so; the table's code never is 255.
fn behind_prefix(full_prefix: &[u8]) -> Vec<u8> {
    let mut behind = full_prefix.to_vec();
    while behind.last() == Some(&u8::MAX) {
        behind.pop();
    }
    if let Some(last) = behind.last_mut() {
        *last += 1;
    }
    behind
}

/// The revision as the database's signed number, bit for bit.
fn stored_revision(revision: u64) -> i64 {
    revision.cast_signed()
}

fn read_row(row: &tokio_postgres::Row, at: usize) -> Result<Row, Fault> {
    let revision: i64 = row.try_get(at)?;
    let sealed: Vec<u8> = row.try_get(at + 1)?;
    Ok(Row {
        revision: revision.cast_unsigned(),
        sealed: Sealed::from_stored(sealed),
    })
}

/// A row with its full key.
fn full_row(row: &tokio_postgres::Row) -> Result<(Vec<u8>, Row), Fault> {
    Ok((row.try_get(0)?, read_row(row, 1)?))
}

fn read_shelf(row: &tokio_postgres::Row) -> Result<(u8, Vec<u8>), Fault> {
    let number: i16 = row.try_get(0)?;
    Ok((u8::try_from(number).unwrap_or(u8::MAX), row.try_get(1)?))
}
