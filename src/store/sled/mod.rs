//! The store on disk: sled 0.34 with what it lacks around it.
//!
//! One tree; keys begin with the table's code. One thread writes ([`committer`]). Reads go straight
//! to sled, which mostly answers from memory: a read of one row costs less than handing it to
//! another thread and runs in place; a scan may take milliseconds and runs on a blocking thread.

mod committer;

mod creation;

mod folder;

mod mark;

mod snapshot;

mod space;

mod view;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::crypto::Secret;

use self::committer::{Committer, Request, Shared, SyncRows};
use self::creation::Opened;
use self::folder::Folder;
use self::snapshot::SledSnapshot;
use self::view::View;
use super::{Batch, BucketDigest, Digester, Row, Scan, Snapshot, Store, StoreError, Table};

pub use self::folder::OpenMode;
pub use self::space::{Space, SpaceSource, Watermark};

/// Batches that may wait for the committer; later callers wait for a place.
const QUEUE_BATCHES: usize = 1_024;

/// How often, and after which pause, a folder is tried again that an earlier handle of this very
/// process has not quite let go: sled's own threads drop its file a little after its owner.
const LINGER_TRIES: u32 = 100;
const LINGER_PAUSE: Duration = Duration::from_millis(20);

/// Where a store lies and how much it may take.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// The store's folder.
    pub folder: PathBuf,
    /// What may be in the folder.
    pub mode: OpenMode,
    /// Bytes of sled's page cache.
    pub cache_bytes: u64,
    /// Free space below which writes are refused.
    pub watermark: Watermark,
    /// Where the figure of free space comes from.
    pub space: SpaceSource,
}

impl SledOptions {
    /// A store in `folder` with a cache of 256 MiB and the default watermark.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, mode: OpenMode) -> Self {
        Self {
            folder: folder.into(),
            mode,
            cache_bytes: 256 << 20,
            watermark: Watermark::default(),
            space: SpaceSource::default(),
        }
    }
}

/// A store on disk. Dropping it waits for writes under way; [`Store::close`] also tells failures.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    folder: Mutex<Option<Arc<Folder>>>,
}

impl SledStore {
    /// Opens or creates a store whose digests are under `digest_key`.
    ///
    /// # Errors
    /// [`StoreError::NoStore`], [`StoreError::NotEmpty`] or [`StoreError::ForeignFolder`] by mode;
    /// [`StoreError::Locked`]; [`StoreError::LayoutVersion`], [`StoreError::NewerTable`];
    /// [`StoreError::ForeignKeys`]; [`StoreError::Damaged`]; [`StoreError::File`].
    pub async fn open(options: SledOptions, digest_key: &Secret<32>) -> Result<Self, StoreError> {
        Self::open_synced_by(options, digest_key, None).await
    }

    async fn open_synced_by(
        options: SledOptions,
        digest_key: &Secret<32>,
        sync: Option<SyncRows>,
    ) -> Result<Self, StoreError> {
        let digester = Digester::new(digest_key);
        let (folder, mode) = (options.folder.clone(), options.mode);
        let folder = blocking(move || Folder::lock(&folder, mode)).await?;
        let folder = Arc::new(folder);
        let mut tries = 0;
        let opened = loop {
            let (folder, cache_bytes) = (Arc::clone(&folder), options.cache_bytes);
            let digester = digester.clone();
            let opening = move || creation::open(&folder, cache_bytes, &digester);
            match blocking(opening).await? {
                Some(opened) => break opened,
                None if tries < LINGER_TRIES => tries += 1,
                None => {
                    return Err(StoreError::Locked {
                        folder: options.folder,
                    });
                }
            }
            tokio::time::sleep(LINGER_PAUSE).await;
        };
        Self::serve(opened, folder, options, digester, sync)
    }

    fn serve(
        opened: Opened,
        folder: Arc<Folder>,
        options: SledOptions,
        digester: Digester,
        sync: Option<SyncRows>,
    ) -> Result<Self, StoreError> {
        let rows_file = folder.rows_file()?;
        let Opened { db, groups, mark } = opened;
        let shared = Arc::new(Shared {
            view: RwLock::new(Some(View::new(db.clone()))),
            digester,
            halt: OnceLock::new(),
        });
        let committer = Committer {
            db,
            folder: Arc::clone(&folder),
            watermark: options.watermark,
            space: options.space,
            groups,
            mark,
            sync: sync.unwrap_or_else(|| Box::new(move || rows_file.sync_data())),
            shared: Arc::clone(&shared),
        };
        let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
        let thread = std::thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn(move || committer.run(receiver))
            .map_err(|error| StoreError::Stopped {
                reason: format!("its writing thread did not start ({})", error.kind()),
            })?;
        Ok(Self {
            shared,
            queue: Mutex::new(Some(sender)),
            committer: Mutex::new(Some(thread)),
            folder: Mutex::new(Some(folder)),
        })
    }

    /// Ends the queue and returns what waits for the committer and then lets everything go.
    fn closing(&self) -> impl FnOnce() -> Result<(), StoreError> + Send + 'static {
        drop(taken(&self.queue));
        let committer = taken(&self.committer);
        let folder = taken(&self.folder);
        let shared = Arc::clone(&self.shared);
        move || {
            let joined = committer.map_or(Ok(()), JoinHandle::join);
            let view = shared
                .view
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            drop(view);
            drop(folder);
            joined.map_err(|_| StoreError::Stopped {
                reason: "its writing thread ended".to_owned(),
            })
        }
    }
}

fn taken<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Runs a step of opening on a thread that may block.
async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(step).await;
    // sled answers some kinds of damage with a panic.
    done.unwrap_or_else(|_| {
        Err(StoreError::Damaged {
            what: "sled gave up while opening it".to_owned(),
        })
    })
}

impl Shared {
    /// Runs a reading step on the durable state.
    fn reading<T>(
        &self,
        step: impl FnOnce(&View) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(error) = self.halt.get().and_then(committer::Halt::read_error) {
            return Err(error);
        }
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        step(view.as_ref().ok_or(StoreError::Closed)?)
    }

    /// The same on a thread that may block.
    async fn reading_apart<T: Send + 'static>(
        self: &Arc<Self>,
        step: impl FnOnce(&View, &Digester) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            shared.reading(|view| step(view, &shared.digester))
        });
        reading.await.map_err(|_| StoreError::ReadFailed {
            reason: "the reading thread ended".to_owned(),
        })?
    }
}

#[async_trait]
impl Store for SledStore {
    async fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.shared.reading(|view| view.row(table, key))
    }

    async fn scan(&self, table: Table, scan: &Scan) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        let scan = scan.clone();
        let step = move |view: &View, _: &Digester| view.page(table, &scan);
        self.shared.reading_apart(step).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check_bounds()?;
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let queue = queue.ok_or(StoreError::Closed)?;
        if let Some(halt) = self.shared.halt.get() {
            return Err(halt.write_error());
        }
        let (reply, outcome) = oneshot::channel();
        let request = Request { batch, reply };
        queue.send(request).await.map_err(|_| StoreError::Closed)?;
        drop(queue);
        outcome.await.unwrap_or_else(|_| {
            Err(StoreError::Stopped {
                reason: "its writing thread ended".to_owned(),
            })
        })
    }

    async fn digests(&self, table: Table) -> Result<Vec<Option<BucketDigest>>, StoreError> {
        let step = move |view: &View, digester: &Digester| view.digests(table, digester);
        self.shared.reading_apart(step).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(SledSnapshot::begin(&self.shared)?))
    }

    async fn close(&self) -> Result<(), StoreError> {
        let closing = self.closing();
        let closed = tokio::task::spawn_blocking(closing).await;
        closed.unwrap_or_else(|_| {
            Err(StoreError::Stopped {
                reason: "sled gave up while closing".to_owned(),
            })
        })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // A failure was told to the writes that it concerns.
        drop(self.closing()());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::crypto::Sealed;
    use crate::store::Change;

    fn put(revision: u64) -> Batch {
        let sealed = Sealed::from_stored(vec![7; 40]);
        let mut batch = Batch::new();
        batch.push(Table::Record, b"a", Change::Put { revision, sealed });
        batch
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn failed_sync_is_final_until_the_store_is_opened_again() {
        let place = tempfile::tempdir().unwrap();
        let key = Secret::from_bytes([1; 32]);
        let options = SledOptions::new(place.path().join("store"), OpenMode::ExistingOrNew);
        let failing = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&failing);
        let sync: SyncRows = Box::new(move || match told.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is gone")),
            false => Ok(()),
        });
        let opened = SledStore::open_synced_by(options.clone(), &key, Some(sync)).await;
        let store = opened.unwrap();
        store.commit(put(1)).await.unwrap();
        failing.store(true, Ordering::SeqCst);
        let refused = store.commit(put(2)).await;
        assert!(matches!(refused, Err(StoreError::Stopped { .. })));

        // That the disk is back changes nothing: what it dropped is not known.
        failing.store(false, Ordering::SeqCst);
        let refused = store.commit(put(3)).await;
        assert!(matches!(refused, Err(StoreError::Stopped { .. })));
        let refused = store.read(Table::Record, b"a").await;
        assert!(matches!(refused, Err(StoreError::Stopped { .. })));
        store.close().await.unwrap();

        let store = SledStore::open(options, &key).await.unwrap();
        let row = store.read(Table::Record, b"a").await.unwrap().unwrap();
        assert!((1..=2).contains(&row.revision));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn reader_sees_nothing_before_it_is_durable() {
        let place = tempfile::tempdir().unwrap();
        let key = Secret::from_bytes([1; 32]);
        let options = SledOptions::new(place.path().join("store"), OpenMode::New);
        let (entered, syncing) = std::sync::mpsc::channel::<()>();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let sync: SyncRows = Box::new(move || {
            entered.send(()).ok();
            released.recv().map_err(io::Error::other)
        });
        let opened = SledStore::open_synced_by(options, &key, Some(sync)).await;
        let store = Arc::new(opened.unwrap());
        let writing = Arc::clone(&store);
        let commit = tokio::spawn(async move { writing.commit(put(1)).await });
        tokio::task::spawn_blocking(move || syncing.recv().unwrap())
            .await
            .unwrap();
        let digests = store.digests(Table::Record).await.unwrap();
        assert!(digests.iter().all(|digest| digest.unwrap().rows == 0));
        assert_eq!(store.read(Table::Record, b"a").await, Ok(None));
        let scan = Scan::all(10);
        assert_eq!(store.scan(Table::Record, &scan).await, Ok(Vec::new()));
        release.send(()).unwrap();
        commit.await.unwrap().unwrap();
        assert!(store.read(Table::Record, b"a").await.unwrap().is_some());
        assert_eq!(store.scan(Table::Record, &scan).await.unwrap().len(), 1);
        drop(release);
    }
}
