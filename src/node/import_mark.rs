//! How far an import came, so that an interrupted one goes on.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Folder, NodeError};
use crate::crypto::sha256;

/// The mark of one input file: its last row that is durably imported. It holds no more than a
/// number.
#[derive(Debug, Clone)]
pub struct ImportMark {
    path: PathBuf,
    line: u64,
}

impl Folder {
    /// The mark of `input`, which is another one when the file's size or time of change is another.
    ///
    /// # Errors
    /// [`NodeError`] where the input cannot be read.
    pub fn import_mark(&self, input: &Path) -> Result<ImportMark, NodeError> {
        let full = input
            .canonicalize()
            .map_err(|error| NodeError::file(input, &error))?;
        let meta = full
            .metadata()
            .map_err(|error| NodeError::file(input, &error))?;
        let name = format!(
            "{} {} {:?}",
            full.display(),
            meta.len(),
            meta.modified().ok()
        );
        let digest = data_encoding::HEXLOWER.encode(&sha256(name.as_bytes()));
        let path = self.path().join("imports").join(digest);
        let line = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Ok(ImportMark {
            path,
            line: line.unwrap_or(0),
        })
    }
}

impl ImportMark {
    /// The last line that was imported; 0 where none was.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Keeps `line` as the last one.
    ///
    /// # Errors
    /// [`NodeError`] where the mark cannot be written.
    pub fn keep(&self, line: u64) -> Result<(), NodeError> {
        let written = self
            .path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| {
                let next = self.path.with_extension("next");
                let mut file = std::fs::File::create(&next)?;
                write!(file, "{line}")?;
                std::fs::rename(&next, &self.path)
            });
        written.map_err(|error| NodeError::file(&self.path, &error))
    }

    /// Forgets the mark: the import came to its end.
    ///
    /// # Errors
    /// [`NodeError`] where the mark cannot be removed.
    pub fn clear(&self) -> Result<(), NodeError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(NodeError::file(&self.path, &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
