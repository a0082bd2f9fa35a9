//! The folder of a process that uses a database: locked, and with the name under which it writes.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use data_encoding::HEXLOWER;

use crate::store::StoreError;

/// Name of the locked file.
const FILE: &str = "node.lock";

/// A folder that no other process uses meanwhile.
#[derive(Debug)]
pub(super) struct Folder(File);

impl Folder {
    /// Locks a folder.
    pub(super) fn lock(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let failed = |error: &io::Error| StoreError::File {
            action: "lock",
            path: path.clone(),
            reason: error.to_string(),
        };
        let mut options = File::options();
        let options = options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&path).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
                folder: folder.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// Notes the name under which this process writes; gives that of the one before it, which is
    /// gone, so that nobody waits for it. Where it cannot be noted that takes a little longer.
    pub(super) fn note_writer(&mut self, id: [u8; 16]) -> Option<[u8; 16]> {
        let earlier = self.exchanged(id);
        earlier.unwrap_or_else(|error| {
            tracing::warn!(%error, "{FILE} cannot be written");
            None
        })
    }

    fn exchanged(&mut self, id: [u8; 16]) -> io::Result<Option<[u8; 16]>> {
        let Self(file) = self;
        let mut text = String::new();
        file.rewind()?;
        file.take(100).read_to_string(&mut text)?;
        // In a copy of the folder it is another process's name.
        let own = format!("{} ", file.metadata()?.ino());
        let earlier = text.strip_prefix(&own).map(str::trim_end);
        let earlier = earlier.and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(format!("{own}{}\n", HEXLOWER.encode(&id)).as_bytes())?;
        Ok(earlier.and_then(|bytes| bytes.try_into().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_before_is_told_and_that_of_a_copied_folder_is_not() {
        let (here, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut first = Folder::lock(here.path()).unwrap();
        assert!(matches!(
            Folder::lock(here.path()),
            Err(StoreError::Locked { .. })
        ));
        assert_eq!(first.note_writer([1; 16]), None);
        drop(first);
        let mut second = Folder::lock(here.path()).unwrap();
        assert_eq!(second.note_writer([2; 16]), Some([1; 16]));
        std::fs::copy(here.path().join(FILE), copy.path().join(FILE)).unwrap();
        let mut copied = Folder::lock(copy.path()).unwrap();
        assert_eq!(copied.note_writer([3; 16]), None);
    }
}
