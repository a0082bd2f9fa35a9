//! The one thread that writes: it gathers waiting batches, writes them as one, syncs, and answers.
//!
//! sled's `flush` hands the log to the kernel without forcing it to the device, so a power cut can
//! take back what it reported. The committer therefore calls `fdatasync` on sled's file after each
//! flush and answers only then. A failed write or sync is final: the kernel may have dropped the
//! pages, so nothing is tried again, and only a restart finds out what is on disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use crate::limits::STORE_BATCH_ROWS_MAX;
use crate::store::digest::Digester;
use crate::store::layout::{GROUPS_KEY, encode_row, row_key, shelf_key};
use crate::store::stage::{Stage, Staged};
use crate::store::{Batch, StoreError};

use super::folder::Folder;
use super::mark::{self, Mark};
use super::space::{SpaceSource, Watermark};
use super::view::{Before, View, Written, engine_reason};

/// A batch that waits, and where its outcome goes.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<(), StoreError>>,
}

/// Why the committer writes no more.
#[derive(Debug, Clone)]
pub(super) enum Halt {
    /// The disk filled up in the middle of a write; what was durable can still be read.
    DiskFull,
    /// A write or a sync failed; nothing is certain.
    Failed(String),
}

impl Halt {
    /// What a write is told.
    pub(super) fn write_error(&self) -> StoreError {
        let reason = match self {
            Self::DiskFull => "the disk filled up in the middle of a write".to_owned(),
            Self::Failed(reason) => reason.clone(),
        };
        StoreError::Stopped { reason }
    }

    /// What a read is told, where it may not go on.
    pub(super) fn read_error(&self) -> Option<StoreError> {
        match self {
            Self::DiskFull => None,
            Self::Failed(_) => Some(self.write_error()),
        }
    }
}

/// What the committer and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The durable state; nothing once the store is closed.
    pub(super) view: RwLock<Option<View>>,
    pub(super) digester: Digester,
    pub(super) halt: OnceLock<Halt>,
}

/// How sled's file is put on disk; a test may make it fail.
pub(super) type SyncRows = Box<dyn Fn() -> io::Result<()> + Send>;

/// The state of the writing thread.
pub(super) struct Committer {
    pub(super) db: sled::Db,
    pub(super) folder: Arc<Folder>,
    pub(super) watermark: Watermark,
    pub(super) space: SpaceSource,
    /// Groups written so far.
    pub(super) groups: u64,
    pub(super) mark: Mark,
    pub(super) sync: SyncRows,
    pub(super) shared: Arc<Shared>,
}

impl Committer {
    /// Writes until the last sender is gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut first = queue.blocking_recv();
        while let Some(request) = first.take() {
            let mut rows = request.batch.len();
            let mut group = vec![request];
            while let Ok(next) = queue.try_recv() {
                rows += next.batch.len();
                if rows > STORE_BATCH_ROWS_MAX {
                    first = Some(next);
                    break;
                }
                group.push(next);
            }
            self.answer(group);
            if first.is_none() {
                first = queue.blocking_recv();
            }
        }
    }

    /// Writes a group and answers each of its batches.
    fn answer(&mut self, group: Vec<Request>) {
        let (batches, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|request| (request.batch, request.reply))
            .unzip();
        let count = batches.len();
        let written = catch_unwind(AssertUnwindSafe(|| self.write(batches)));
        let outcomes = written.unwrap_or_else(|_| {
            let halt = self.halt(Halt::Failed("sled gave up while writing".to_owned()));
            Err(halt.write_error())
        });
        let outcomes = outcomes.unwrap_or_else(|error| vec![Err(error); count]);
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // A caller that stopped waiting is no error.
            drop(reply.send(outcome));
        }
    }

    /// One outcome per batch, or one error for all.
    fn write(&mut self, batches: Vec<Batch>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if let Some(halt) = self.shared.halt.get() {
            return Err(halt.write_error());
        }
        let short = self.check_space()?;
        let written = Written {
            db: &self.db,
            digester: &self.shared.digester,
        };
        let mut stage = Stage::over(&written, &self.shared.digester);
        let outcomes = batches
            .into_iter()
            .map(|batch| match short {
                Some(free_mib) if gives_way(&batch) => Err(StoreError::DiskFull { free_mib }),
                Some(_) | None => stage.add(batch),
            })
            .collect();
        let staged = stage.finish();
        if !staged.rows.is_empty() {
            self.write_durably(&staged)?;
        }
        Ok(outcomes)
    }

    /// The free MiB where they are too few for what gives way.
    fn check_space(&self) -> Result<Option<u64>, StoreError> {
        let folder = self.folder.path();
        let space = self.space.space(folder).map_err(|error| StoreError::File {
            action: "measure the free space of",
            path: folder.to_owned(),
            reason: error.to_string(),
        })?;
        match self.watermark.breached_by(space) {
            Some(free_mib) => Err(StoreError::DiskFull { free_mib }),
            None => Ok(self.watermark.raised().breached_by(space)),
        }
    }

    fn write_durably(&mut self, staged: &Staged) -> Result<(), StoreError> {
        let (group, before) = self.encode(staged);
        self.on_view(|view| view.hide(before));
        let flushed = self.db.apply_batch(group).and_then(|()| self.db.flush());
        flushed.map_err(|error| self.halt(halt_of_engine(&error)).write_error())?;
        let groups = self.groups.wrapping_add(1);
        let synced = (self.sync)().and_then(|()| self.mark.write(&self.shared.digester, groups));
        synced.map_err(|error| {
            let reason = format!("its file could not be synced ({})", error.kind());
            self.halt(Halt::Failed(reason)).write_error()
        })?;
        self.groups = groups;
        self.on_view(View::show);
        Ok(())
    }

    /// The group as sled takes it, and what stood at its keys before.
    fn encode(&self, staged: &Staged) -> (sled::Batch, Before) {
        let digester = &self.shared.digester;
        let mut group = sled::Batch::default();
        let mut before = Before::new();
        for ((table, key), row) in &staged.rows {
            let full_key = row_key(*table, key);
            match &row.after {
                Some(after) => group.insert(full_key.as_slice(), encode_row(after)),
                None => group.remove(full_key.as_slice()),
            }
            before.insert(full_key, row.before.as_ref().map(encode_row));
        }
        for ((table, number), shelf) in &staged.shelves {
            let full_key = shelf_key(*table, *number);
            let after = digester.encode(*table, *number, &shelf.after);
            group.insert(full_key.as_slice(), after);
            let stood = digester.encode(*table, *number, &shelf.before);
            before.insert(full_key, Some(stood));
        }
        let groups = mark::encode(digester, self.groups.wrapping_add(1));
        group.insert(GROUPS_KEY, groups.as_slice());
        (group, before)
    }

    fn on_view(&self, step: impl FnOnce(&mut View)) {
        let mut view = self
            .shared
            .view
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = view.as_mut() {
            step(view);
        }
    }

    /// Stops all writing; the first reason stays.
    fn halt(&self, halt: Halt) -> &Halt {
        self.shared.halt.get_or_init(|| halt)
    }
}

fn gives_way(batch: &Batch) -> bool {
    batch.changes().iter().any(|row| row.table.gives_way())
}

fn halt_of_engine(error: &sled::Error) -> Halt {
    match error {
        sled::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => Halt::DiskFull,
        sled::Error::Io(_)
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => {
            Halt::Failed(format!("a write failed ({})", engine_reason(error)))
        }
    }
}
