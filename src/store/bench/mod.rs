//! What a store costs, beside its bare engine writing and reading the same rows in the same batches
//! with the same durability, in turns in the same run.

mod bare_postgres;

mod bare_sled;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use self::bare_postgres::BarePostgres;
use self::bare_sled::BareSled;
use super::layout::row_key;
use super::{
    Batch, Change, OpenMode, PostgresOptions, PostgresStore, Scan, SledOptions, SledStore, Store,
    StoreError, Table,
};
use crate::crypto::{Sealed, Secret, sha256};
use crate::env::Entropy;
use crate::limits::STORE_BATCH_ROWS_MAX;

/// Bytes of a sealed row, as a record of 120 bytes has them.
const SEALED_BYTES: usize = 160;

/// Writers at once in the row of many.
const WRITERS: usize = 64;

/// Turns of each side.
const ROUNDS: usize = 3;

/// The table that takes the rows.
const TABLE: Table = Table::Record;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreBenchRow {
    /// What was done.
    pub name: &'static str,
    /// Rows in one commit or page.
    pub batch: usize,
    /// Rows per second of this store, median over the rounds.
    pub per_second: f64,
    /// The same of the bare engine.
    pub ceiling_per_second: f64,
    /// User and system time of this process for each row, microseconds; what a database's server
    /// takes is not in it.
    pub cpu_us_per_element: f64,
    /// The same with the bare engine.
    pub ceiling_cpu_us_per_element: f64,
    /// Bytes on disk for each row, behind the load; 0 in the other rows.
    pub bytes_per_element: f64,
}

/// A key as the engine has it, and the content.
type Pair = (Vec<u8>, Vec<u8>);

/// Either side: this store, or the engine without it.
#[async_trait]
trait Side: Send + Sync {
    /// Writes new rows, durably, in one commit.
    async fn commit(&self, rows: Vec<Pair>) -> Result<(), StoreError>;

    /// Single rows, each durable when its own writer hears of it.
    async fn commit_each(&self, rows: Vec<Pair>) -> Result<(), StoreError>;

    async fn read(&self, key: &[u8]) -> Result<bool, StoreError>;

    /// A page of rows behind a key; gives their number and the last key.
    async fn page(&self, after: Option<Vec<u8>>) -> Result<(usize, Option<Vec<u8>>), StoreError>;

    /// Bytes on disk.
    async fn bytes(&self) -> Result<u64, StoreError>;

    async fn close(self: Box<Self>) -> Result<(), StoreError>;
}

/// Measures sled in an empty folder: each row for about `window` of each side.
///
/// # Errors
/// [`StoreError`].
pub async fn bench_folder(
    folder: &Path,
    rows: usize,
    window: Duration,
    entropy: &dyn Entropy,
) -> Result<Vec<StoreBenchRow>, StoreError> {
    let own = folder.join("store");
    let options = SledOptions::new(own.clone(), OpenMode::New);
    let store = SledStore::open(options, &digest_key(entropy)?).await?;
    let ours = Ours {
        store: Arc::new(store),
        place: Place::Folder(own),
    };
    let bare = BareSled::open(&folder.join("bare"))?;
    measure(Box::new(ours), Box::new(bare), rows, window).await
}

/// Measures an empty database, and leaves its tables behind.
///
/// # Errors
/// [`StoreError`].
pub async fn bench_database(
    options: PostgresOptions,
    rows: usize,
    window: Duration,
    entropy: &dyn Entropy,
) -> Result<Vec<StoreBenchRow>, StoreError> {
    let bare = BarePostgres::connect(&options).await?;
    let writer = Secret::<16>::random(entropy).map_err(no_entropy)?;
    let store = PostgresStore::open(options, &digest_key(entropy)?, *writer.expose()).await?;
    let ours = Ours {
        store: Arc::new(store),
        place: Place::Database(bare.sizes()),
    };
    measure(Box::new(ours), Box::new(bare), rows, window).await
}

fn digest_key(entropy: &dyn Entropy) -> Result<Secret<32>, StoreError> {
    Secret::random(entropy).map_err(no_entropy)
}

fn no_entropy(error: impl std::fmt::Display) -> StoreError {
    StoreError::ReadFailed {
        reason: error.to_string(),
    }
}

enum Place {
    Folder(std::path::PathBuf),
    Database(bare_postgres::Sizes),
}

struct Ours {
    store: Arc<dyn Store>,
    place: Place,
}

#[async_trait]
impl Side for Ours {
    async fn commit(&self, rows: Vec<Pair>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for (key, content) in rows {
            let sealed = Sealed::from_stored(content);
            let own = key.get(1..).unwrap_or_default();
            batch.push(
                TABLE,
                own,
                Change::Put {
                    revision: 1,
                    sealed,
                },
            );
        }
        self.store.commit(batch).await
    }

    async fn commit_each(&self, rows: Vec<Pair>) -> Result<(), StoreError> {
        let commits = rows.into_iter().map(|row| self.commit(vec![row]));
        try_join_all(commits).await.map(drop)
    }

    async fn read(&self, key: &[u8]) -> Result<bool, StoreError> {
        let row = self.store.read(TABLE, key.get(1..).unwrap_or_default());
        Ok(row.await?.is_some())
    }

    async fn page(&self, after: Option<Vec<u8>>) -> Result<(usize, Option<Vec<u8>>), StoreError> {
        let scan = Scan {
            prefix: Vec::new(),
            after,
            limit: STORE_BATCH_ROWS_MAX,
        };
        let mut page = self.store.scan(TABLE, &scan).await?;
        let last = page.pop().map(|(key, _)| key);
        Ok((page.len() + usize::from(last.is_some()), last))
    }

    async fn bytes(&self) -> Result<u64, StoreError> {
        match &self.place {
            Place::Folder(folder) => bare_sled::bytes_in(folder),
            Place::Database(sizes) => sizes.of("creditmesh_row").await,
        }
    }

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        self.store.close().await
    }
}

/// The row of a number, the same on both sides.
fn pair(number: usize) -> Pair {
    let key = row_key(TABLE, &sha256(&number.to_be_bytes()));
    let content = key.iter().copied().cycle().take(SEALED_BYTES).collect();
    (key, content)
}

/// What one turn of one side did: rows, wall time, processor time.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    rows: usize,
    wall: Duration,
    cpu: Duration,
}

struct Clock(Instant, Duration);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), processor_time())
    }

    fn stop(&self, rows: usize) -> Turn {
        Turn {
            rows,
            wall: self.0.elapsed(),
            cpu: processor_time().saturating_sub(self.1),
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Load,
    CommitOne,
    CommitMany,
    Read,
    Range,
}

impl Job {
    const ALL: [Self; 5] = [
        Self::Load,
        Self::CommitOne,
        Self::CommitMany,
        Self::Read,
        Self::Range,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Load => "bulk-load",
            Self::CommitOne => "commit-1-writer",
            Self::CommitMany => "commit-64-writers",
            Self::Read => "point-read",
            Self::Range => "range-read",
        }
    }

    const fn batch(self) -> usize {
        match self {
            Self::Load | Self::Range => STORE_BATCH_ROWS_MAX,
            Self::CommitOne | Self::CommitMany | Self::Read => 1,
        }
    }

    /// One turn: a share of the load, or as much as fits into the window. `next` numbers new rows.
    async fn turn(
        self,
        side: &dyn Side,
        next: &mut usize,
        (load, window): (usize, Duration),
    ) -> Result<Turn, StoreError> {
        let clock = Clock::start();
        let (first, mut rows, mut after) = (*next, 0, None);
        loop {
            let done = match self {
                Self::Load => rows >= load,
                Self::CommitOne | Self::CommitMany | Self::Read | Self::Range => {
                    clock.0.elapsed() >= window
                }
            };
            if done {
                *next = match self {
                    Self::Load | Self::CommitOne | Self::CommitMany => first + rows,
                    Self::Read | Self::Range => first,
                };
                return Ok(clock.stop(rows));
            }
            let fresh = |count: usize| (first + rows..first + rows + count).map(pair).collect();
            match self {
                Self::Load => {
                    let count = STORE_BATCH_ROWS_MAX.min(load - rows);
                    side.commit(fresh(count)).await?;
                    rows += count;
                }
                Self::CommitOne => {
                    side.commit(fresh(1)).await?;
                    rows += 1;
                }
                Self::CommitMany => {
                    side.commit_each(fresh(WRITERS)).await?;
                    rows += WRITERS;
                }
                Self::Read => {
                    // A step that shares no factor with the number of rows visits all.
                    let number = rows.wrapping_mul(7_919) % first.max(1);
                    if !side.read(&pair(number).0).await? {
                        return Err(lost());
                    }
                    rows += 1;
                }
                Self::Range => {
                    let (count, last) = side.page(after.take()).await?;
                    after = last.filter(|_| count == STORE_BATCH_ROWS_MAX);
                    rows += count;
                }
            }
        }
    }
}

fn lost() -> StoreError {
    StoreError::Damaged {
        what: "a row of the bench is missing".to_owned(),
    }
}

async fn measure(
    ours: Box<dyn Side>,
    bare: Box<dyn Side>,
    rows: usize,
    window: Duration,
) -> Result<Vec<StoreBenchRow>, StoreError> {
    let (mut next_own, mut next_bare) = (0, 0);
    let mut found = Vec::new();
    for job in Job::ALL {
        let (mut own, mut ceiling) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let size = (rows.div_ceil(ROUNDS), window / 3);
            own.push(job.turn(&*ours, &mut next_own, size).await?);
            ceiling.push(job.turn(&*bare, &mut next_bare, size).await?);
        }
        let bytes = match job {
            Job::Load => per(ours.bytes().await?, next_own),
            Job::CommitOne | Job::CommitMany | Job::Read | Job::Range => 0.0,
        };
        found.push(StoreBenchRow {
            name: job.name(),
            batch: job.batch(),
            per_second: median(&own, rate),
            ceiling_per_second: median(&ceiling, rate),
            cpu_us_per_element: median(&own, cpu_us),
            ceiling_cpu_us_per_element: median(&ceiling, cpu_us),
            bytes_per_element: bytes,
        });
    }
    ours.close().await?;
    bare.close().await?;
    Ok(found)
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are small")]
fn per(total: u64, rows: usize) -> f64 {
    total as f64 / rows.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are small")]
fn rate(turn: &Turn) -> f64 {
    turn.rows as f64 / turn.wall.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows are small")]
fn cpu_us(turn: &Turn) -> f64 {
    turn.cpu.as_secs_f64() * 1e6 / turn.rows.max(1) as f64
}

fn median(turns: &[Turn], figure: impl Fn(&Turn) -> f64) -> f64 {
    let mut figures: Vec<f64> = turns.iter().map(figure).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
