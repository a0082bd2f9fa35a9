//! How long the membership log was, kept apart from it: a log that is lost or put back to an
//! earlier day is not begun or continued as if nothing had been signed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::node::NodeError;
use crate::node::join::replace;

/// The note about one log. It is written a moment after the log itself, so it never names more than
/// the log had.
#[derive(Debug)]
pub(super) struct LogSeen {
    note: PathBuf,
    /// The operator's word that this log begins late.
    begin: PathBuf,
    noted: Mutex<u64>,
}

fn lost(folder: &Path, has: &str, seen: u64) -> NodeError {
    NodeError::Folder(format!(
        "{}: the membership log {has}, and it had {seen} entries: it was lost or put back to an \
         earlier day, and a registrar that went on would show two histories. Copy `entries` and \
         `checkpoint` of this log from the folder `log` of a member's node that followed to the \
         end",
        folder.display()
    ))
}

impl LogSeen {
    /// The note about the log `id` in the registrar's folder.
    pub(super) fn at(folder: &Path, id: &str) -> Self {
        let folder = folder.join("registrar");
        Self {
            note: folder.join(format!("log-{id}.size")),
            begin: folder.join(format!("log-{id}.begin")),
            noted: Mutex::new(0),
        }
    }

    fn seen(&self) -> Result<u64, NodeError> {
        let text = match std::fs::read_to_string(&self.note) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(NodeError::file(&self.note, &error)),
        };
        text.trim().parse().map_err(|_| {
            NodeError::Folder(format!(
                "{} is no number: compare the log with that of a member's node, then delete it",
                self.note.display()
            ))
        })
    }

    /// Goes on only where nothing was ever logged.
    pub(super) fn require_none(&self, log: &Path) -> Result<(), NodeError> {
        match self.seen()? {
            0 => Ok(()),
            seen => Err(lost(log, "is gone", seen)),
        }
    }

    /// Goes on only where the log has as many entries as it had.
    pub(super) fn require_within(&self, log: &Path, size: u64) -> Result<(), NodeError> {
        let seen = self.seen()?;
        if size < seen {
            return Err(lost(log, &format!("has {size} entries"), seen));
        }
        Ok(())
    }

    /// Goes on only where a log may begin: with the first list, or where the operator says so.
    pub(super) fn may_begin(&self, log: &Path, list_version: u32) -> Result<(), NodeError> {
        if list_version <= 1 || self.begin.exists() {
            return Ok(());
        }
        Err(NodeError::Folder(format!(
            "{}: there is no membership log, and member list {list_version} is in force. Where \
             this registrar kept one, it was lost, and a registrar that began another would show \
             two histories: copy `entries` and `checkpoint` from the folder `log` of a member's \
             node that followed to the end. Where its key never had one (the root names the key \
             newly, or the network is older than such logs), make an empty file {} and start \
             again",
            log.display(),
            self.begin.display()
        )))
    }

    /// Notes how long the log is. The operator's word is used up with the first entries.
    pub(super) fn note(&self, size: u64) -> Result<(), NodeError> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if size <= *noted {
            return Ok(());
        }
        replace(&self.note, format!("{size}\n").as_bytes())?;
        if self.begin.exists() {
            std::fs::remove_file(&self.begin)
                .map_err(|error| NodeError::file(&self.begin, &error))?;
        }
        *noted = size;
        Ok(())
    }
}
