//! The folder of a sled store: whose it is, who holds it, and that its entries are on disk.
//!
//! ```text
//! store.lock      locked as long as a process has the store open
//! store.format    says that this is a creditmesh store on sled, whose creation came to its end
//! store.creating  stands in for it until then
//! store.mark      how many groups were acknowledged
//! sled/           sled's own files
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

const LOCK: &str = "store.lock";
const FORMAT: &str = "store.format";
const CREATING: &str = "store.creating";
const MARK: &str = "store.mark";
const SLED: &str = "sled";
const FORMAT_TEXT: &str = "creditmesh store\nengine sled 0.34\nfolder format 1\n";

/// What may be in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// A store; nothing is created.
    Existing,
    /// Nothing, or no folder at all; a store is created.
    New,
    /// Either.
    ExistingOrNew,
}

/// A store's folder, locked for this process until dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Nothing, or what is left of a creation that came to no end: nothing was ever acknowledged.
    Nothing,
    Store,
    Foreign,
}

impl Folder {
    /// Locks the folder and makes it a store's folder where `mode` allows that.
    pub(super) fn lock(path: &Path, mode: OpenMode) -> Result<Self, StoreError> {
        allow(path, mode)?;
        if mode != OpenMode::Existing {
            create(path)?;
        }
        let lock = lock_file(path)?;
        // Once more under the lock: another process may have been faster.
        if allow(path, mode)? == Content::Nothing {
            begin_creation(path)?;
        }
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        folder.remove_torn_snapshots()?;
        Ok(folder)
    }

    /// Whether the store in it is still being created.
    pub(super) fn is_new(&self) -> bool {
        !self.path.join(FORMAT).exists()
    }

    /// Says on disk that the store is created; without effect where it was before.
    pub(super) fn end_creation(&self) -> Result<(), StoreError> {
        if self.is_new() {
            let creating = self.path.join(CREATING);
            let renamed = fs::rename(&creating, self.path.join(FORMAT));
            renamed.map_err(failed("rename", &creating))?;
        }
        sync(&self.path)
    }

    /// Where the mark lies.
    pub(super) fn mark_path(&self) -> PathBuf {
        self.path.join(MARK)
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where sled keeps its files.
    pub(super) fn sled_path(&self) -> PathBuf {
        self.path.join(SLED)
    }

    /// sled's file of rows, opened for nothing but syncing it.
    ///
    /// It is a descriptor of our own, so that an error of writing back is reported to it even
    /// where sled's own sync has met the error before.
    pub(super) fn rows_file(&self) -> Result<File, StoreError> {
        let path = self.sled_path().join("db");
        File::open(&path).map_err(failed("open", &path))
    }

    /// Puts on disk what sled created and never syncs: its settings and the folders' entries.
    pub(super) fn sync_entries(&self) -> Result<(), StoreError> {
        let sled = self.sled_path();
        let entries = [
            sled.join("conf"),
            sled.join("blobs"),
            sled,
            self.path.clone(),
        ];
        entries.iter().try_for_each(|entry| sync(entry))
    }

    /// Removes what a crash left of a snapshot that sled was writing: sled would take it for the
    /// newest one and fail (sled issue 1527). The complete one before it is still there.
    fn remove_torn_snapshots(&self) -> Result<(), StoreError> {
        let sled = self.sled_path();
        let entries = match fs::read_dir(&sled) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("list", &sled)(error)),
            Ok(entries) => entries,
        };
        for entry in entries {
            let entry = entry.map_err(failed("list", &sled))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Whether `mode` allows what is in the folder.
fn allow(path: &Path, mode: OpenMode) -> Result<Content, StoreError> {
    let folder = path.to_owned();
    let content = content(path)?;
    match (content, mode) {
        (Content::Nothing, OpenMode::Existing) => Err(StoreError::NoStore { folder }),
        (Content::Store | Content::Foreign, OpenMode::New) => Err(StoreError::NotEmpty { folder }),
        (Content::Foreign, OpenMode::Existing | OpenMode::ExistingOrNew) => {
            Err(StoreError::ForeignFolder { folder })
        }
        (Content::Nothing, OpenMode::New | OpenMode::ExistingOrNew)
        | (Content::Store, OpenMode::Existing | OpenMode::ExistingOrNew) => Ok(content),
    }
}

fn content(path: &Path) -> Result<Content, StoreError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Nothing),
        Err(error) => return Err(failed("list", path)(error)),
        Ok(entries) => entries,
    };
    let (mut creating, mut foreign, mut left) = (false, false, false);
    for entry in entries {
        let name = entry.map_err(failed("list", path))?.file_name();
        if name == FORMAT {
            let text = fs::read(path.join(FORMAT)).map_err(failed("read", &path.join(FORMAT)))?;
            let ours = text == FORMAT_TEXT.as_bytes();
            return Ok(if ours {
                Content::Store
            } else {
                Content::Foreign
            });
        }
        creating |= name == CREATING;
        left |= name == MARK || name == SLED;
        foreign |= name != CREATING && name != LOCK && name != MARK && name != SLED;
    }
    let empty = !foreign && (creating || !left);
    Ok(if empty {
        Content::Nothing
    } else {
        Content::Foreign
    })
}

/// Creates the folder, for its owner only, and puts its entry on disk.
fn create(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;

    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(failed("create", path))?;
    match path.canonicalize().map_err(failed("open", path))?.parent() {
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}

fn lock_file(path: &Path) -> Result<File, StoreError> {
    let lock_path = path.join(LOCK);
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path);
    let file = file.map_err(failed("open", &lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            folder: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("lock", &lock_path)(error)),
    }
}

/// Notes that a store is being created, and clears away what an earlier attempt left.
fn begin_creation(path: &Path) -> Result<(), StoreError> {
    let creating = path.join(CREATING);
    let mut file = File::create(&creating).map_err(failed("create", &creating))?;
    file.write_all(FORMAT_TEXT.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed("write", &creating))?;
    sync(path)?;
    let sled = path.join(SLED);
    match fs::remove_dir_all(&sled) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed("remove", &sled)),
    }
}

/// Puts a file, or a folder's entries, on disk.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(failed("sync", path))
}

/// The error of a failed step on a file.
pub(super) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |error| StoreError::File {
        action,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
