//! The list of erased identifiers, beside the store: it survives a restore, so that an older backup
//! does not bring a borrower back, and an erasure that was cut short is done to its end.
//!
//! It names each by a keyed hash, which only this node's key ring computes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::join::replace;
use super::{Folder, NodeError};
use crate::domain::Timestamp;
use crate::limits::ERASED_LIST_MAX;

const FORMAT: &str = "creditmesh/erased/1";

/// The keyed hash of an erased identifier.
pub(super) type Name = [u8; 32];

/// How far an erasure came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// Rows may still be there.
    Begun,
    /// The rows are deleted; the key that sealed them is not destroyed yet.
    Deleted,
    /// Nobody opens what is left of them.
    Unreadable,
}

/// One erased identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Keyed hash of the identifier, lower-case hexadecimal.
    name: String,
    /// When it was erased, milliseconds since 1970.
    at_unix_ms: i64,
    pub(super) stage: Stage,
}

impl Entry {
    /// The keyed hash; `None` where the file was altered.
    pub(super) fn name(&self) -> Option<Name> {
        let bytes = HEXLOWER.decode(self.name.as_bytes()).ok()?;
        bytes.try_into().ok()
    }

    pub(super) const fn at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.at_unix_ms)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErasedFile {
    format: String,
    erased: Vec<Entry>,
}

/// The list in a node's folder.
#[derive(Debug)]
pub(super) struct ErasedList {
    path: PathBuf,
    writing: Mutex<()>,
}

impl ErasedList {
    pub(super) fn at(folder: &Folder) -> Self {
        Self {
            path: folder.path().join("erased.json"),
            writing: Mutex::default(),
        }
    }

    /// Every entry.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, NodeError> {
        read(&self.path).map(Option::unwrap_or_default)
    }

    /// What was erased after a moment, and when.
    pub(super) fn since(&self, moment: Timestamp) -> Result<Vec<(Name, Timestamp)>, NodeError> {
        let entries = self.entries()?.into_iter();
        let later = entries.filter(|entry| entry.at() >= moment);
        Ok(later
            .filter_map(|entry| Some((entry.name()?, entry.at())))
            .collect())
    }

    /// Identifiers whose rows are deleted and may still be opened.
    pub(super) fn deleted(&self) -> Result<Vec<Name>, NodeError> {
        let entries = self.entries()?.into_iter();
        let deleted = entries.filter(|entry| entry.stage == Stage::Deleted);
        Ok(deleted.filter_map(|entry| entry.name()).collect())
    }

    /// Notes identifiers that are about to be erased; one that was erased before counts anew.
    pub(super) fn note(&self, names: &[Name], at: Timestamp) -> Result<(), NodeError> {
        let _one = self.one_writer();
        let mut entries = self.entries()?;
        for name in names {
            let name = HEXLOWER.encode(name);
            entries.retain(|entry| entry.name != name);
            entries.push(Entry {
                name,
                at_unix_ms: at.unix_ms(),
                stage: Stage::Begun,
            });
        }
        if entries.len() > ERASED_LIST_MAX {
            return Err(NodeError::Folder(format!(
                "{} holds {ERASED_LIST_MAX} identifiers: move it to where the backups are kept \
                 that are older than its newest entry (`node restore --erased` reads it there), \
                 and erase again",
                self.path.display()
            )));
        }
        self.write(entries)
    }

    /// The rows of these are deleted.
    pub(super) fn deleted_now(&self, names: &[Name]) -> Result<(), NodeError> {
        self.advance(names, Stage::Deleted)
    }

    /// What is left of the rows of these is opened by nobody.
    pub(super) fn unreadable(&self, names: &[Name]) -> Result<(), NodeError> {
        self.advance(names, Stage::Unreadable)
    }

    /// Takes the entries of another list; of two about one identifier the later one counts.
    pub(super) fn join(&self, others: Vec<Entry>) -> Result<(), NodeError> {
        if others.is_empty() {
            return Ok(());
        }
        let _one = self.one_writer();
        let mut entries = self.entries()?;
        for other in others {
            let later =
                |entry: &Entry| entry.name == other.name && entry.at_unix_ms >= other.at_unix_ms;
            if !entries.iter().any(later) {
                entries.retain(|entry| entry.name != other.name);
                entries.push(other);
            }
        }
        self.write(entries)
    }

    fn advance(&self, names: &[Name], stage: Stage) -> Result<(), NodeError> {
        if names.is_empty() {
            return Ok(());
        }
        let _one = self.one_writer();
        let mut entries = self.entries()?;
        for entry in &mut entries {
            if entry.name().is_some_and(|name| names.contains(&name)) {
                entry.stage = stage;
            }
        }
        self.write(entries)
    }

    fn one_writer(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, erased: Vec<Entry>) -> Result<(), NodeError> {
        let format = FORMAT.to_owned();
        let text = serde_json::to_string(&ErasedFile { format, erased });
        let text = text.map_err(|error| NodeError::Folder(error.to_string()))?;
        replace(&self.path, text.as_bytes())
    }
}

/// The entries of a list; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<Entry>>, NodeError> {
    let text = match super::read_text(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(NodeError::file(path, &error)),
        Ok(text) => text,
    };
    let wrong = || {
        let place = path.display();
        NodeError::Folder(format!(
            "{place} is not a list of erased identifiers: restore it, or name the right file"
        ))
    };
    let file: ErasedFile = serde_json::from_str(&text).map_err(|_| wrong())?;
    if file.format != FORMAT || file.erased.iter().any(|entry| entry.name().is_none()) {
        return Err(wrong());
    }
    Ok(Some(file.erased))
}
