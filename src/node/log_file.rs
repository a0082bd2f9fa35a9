//! A membership log on disk, at a registrar and at a node alike.
//!
//! ```text
//! entries      each entry: its length (4 bytes, network byte order), then its bytes
//! checkpoint   the newest signed checkpoint; what lies in `entries` beyond it counts for nothing
//! ```
//! Entries are on disk before the checkpoint that covers them, and that is before anybody hears of
//! them. So whatever a crash leaves behind the checkpoint's last entry is cut off.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::NodeError;
use super::join::replace;
use crate::limits::{LOG_BYTES_MAX, LOG_ENTRIES_MAX, LOG_ENTRY_BYTES_MAX};

/// Entries between two places that are remembered, so that a page is found without reading all.
const MARK_EVERY: u64 = 256;

/// Bytes of an entry's length.
const LENGTH_BYTES: u64 = 4;

/// The files of one log.
#[derive(Debug, Clone)]
pub(super) struct LogPlace(PathBuf);

impl LogPlace {
    pub(super) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    fn entries(&self) -> PathBuf {
        self.0.join("entries")
    }

    fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// The newest signed checkpoint; `None` where there is no log yet.
    pub(super) fn checkpoint_text(&self) -> Result<Option<String>, NodeError> {
        let path = self.checkpoint();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.entries().exists() {
                    return Err(NodeError::Folder(format!(
                        "{} is missing beside its entries: copy both back together, from a backup \
                         or from a member's folder `log`",
                        path.display()
                    )));
                }
                Ok(None)
            }
            Err(error) => Err(NodeError::file(&path, &error)),
        }
    }

    /// The newest checkpoint, if there is a readable one: a node can fetch its copy again.
    pub(super) fn checkpoint_if_any(&self) -> Option<String> {
        std::fs::read_to_string(self.checkpoint()).ok()
    }

    /// Replaces the checkpoint, through to the disk.
    pub(super) fn put_checkpoint(&self, text: &str) -> Result<(), NodeError> {
        replace(&self.checkpoint(), text.as_bytes())
    }

    /// Makes an empty log with its first checkpoint.
    pub(super) fn begin(&self, checkpoint: &str) -> Result<(), NodeError> {
        std::fs::create_dir_all(&self.0).map_err(|error| NodeError::file(&self.0, &error))?;
        // The checkpoint first: entries without one are a fault, a checkpoint of nothing is not.
        self.put_checkpoint(checkpoint)?;
        let entries = self.entries();
        File::create(&entries)
            .and_then(|file| file.sync_all())
            .and_then(|()| File::open(&self.0)?.sync_all())
            .map_err(|error| NodeError::file(&entries, &error))
    }

    /// Puts entries that do not fit their checkpoint aside, and begins again without any.
    pub(super) fn set_aside(&self) -> Result<(), NodeError> {
        let (entries, aside) = (self.entries(), self.0.join("entries.damaged"));
        if entries.exists() {
            std::fs::rename(&entries, aside).map_err(|error| NodeError::file(&entries, &error))?;
        }
        File::create(&entries)
            .map(drop)
            .map_err(|error| NodeError::file(&entries, &error))
    }
}

/// The entries of one log, open for appending.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    bytes: u64,
    marks: Vec<u64>,
}

impl LogFile {
    /// Reads the first `most` entries, gives each to `taken`, and cuts off whatever follows.
    pub(super) fn open(
        place: &LogPlace,
        most: u64,
        mut taken: impl FnMut(&[u8]) -> Result<(), NodeError>,
    ) -> Result<Self, NodeError> {
        let path = place.entries();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|error| NodeError::file(&path, &error))?;
        let mut log = Self {
            file,
            size: 0,
            bytes: 0,
            marks: Vec::new(),
            path,
        };
        for leaf in Leaves::open(place)?.take(usize::try_from(most).unwrap_or(usize::MAX)) {
            let leaf = leaf?;
            log.count(&leaf);
            taken(&leaf)?;
        }
        log.cut_to(log.size, log.bytes)?;
        Ok(log)
    }

    fn fault(&self, error: &std::io::Error) -> NodeError {
        NodeError::file(&self.path, error)
    }

    fn count(&mut self, leaf: &[u8]) {
        if self.size.is_multiple_of(MARK_EVERY) {
            self.marks.push(self.bytes);
        }
        self.size += 1;
        let length = u64::try_from(leaf.len()).unwrap_or(u64::MAX);
        self.bytes = self
            .bytes
            .saturating_add(LENGTH_BYTES)
            .saturating_add(length);
    }

    /// Bytes of the file.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends entries; they are on disk once [`Self::sync`] came back.
    pub(super) fn append<L: AsRef<[u8]>>(&mut self, leaves: &[L]) -> Result<(), NodeError> {
        let mut out = Vec::new();
        for leaf in leaves {
            let leaf = leaf.as_ref();
            let length = u32::try_from(leaf.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(leaf);
        }
        let grown = u64::try_from(out.len()).unwrap_or(u64::MAX);
        let entries = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        let is_full = self.bytes.saturating_add(grown) > LOG_BYTES_MAX
            || self.size.saturating_add(entries) > LOG_ENTRIES_MAX;
        if is_full {
            return Err(NodeError::Folder(format!(
                "{} is full: let the administrators name a new freshness key, which begins a new \
                 log",
                self.path.display()
            )));
        }
        (&self.file)
            .write_all(&out)
            .map_err(|error| self.fault(&error))?;
        for leaf in leaves {
            self.count(leaf.as_ref());
        }
        Ok(())
    }

    /// Waits until what was appended is on disk.
    pub(super) fn sync(&self) -> Result<(), NodeError> {
        self.file.sync_data().map_err(|error| self.fault(&error))
    }

    /// Cuts the file back to an earlier size.
    pub(super) fn cut_to(&mut self, size: u64, bytes: u64) -> Result<(), NodeError> {
        let held = self.file.metadata().map_err(|error| self.fault(&error))?;
        if held.len() != bytes {
            self.file
                .set_len(bytes)
                .and_then(|()| self.file.sync_all())
                .map_err(|error| self.fault(&error))?;
        }
        (self.size, self.bytes) = (size, bytes);
        let marks = usize::try_from(size.div_ceil(MARK_EVERY)).unwrap_or(usize::MAX);
        self.marks.truncate(marks);
        Ok(())
    }

    /// Entries from `from` on and before `until`, as many as fit the bounds; the first always does.
    pub(super) fn page(
        &self,
        (from, until): (u64, u64),
        (entries_max, bytes_max): (usize, usize),
    ) -> Result<Vec<Vec<u8>>, NodeError> {
        let until = until.min(self.size);
        let mark = usize::try_from(from / MARK_EVERY).unwrap_or(usize::MAX);
        let Some(start) = self.marks.get(mark).filter(|_| from < until) else {
            return Ok(Vec::new());
        };
        let skip = usize::try_from(from % MARK_EVERY).unwrap_or(0);
        let wanted = usize::try_from(until - from).unwrap_or(usize::MAX);
        let (mut page, mut bytes) = (Vec::new(), 0);
        for leaf in Leaves::open_at(&self.path, *start)?.skip(skip).take(wanted) {
            let leaf = leaf?;
            bytes += leaf.len();
            if !page.is_empty() && (bytes > bytes_max || page.len() >= entries_max) {
                break;
            }
            page.push(leaf);
        }
        Ok(page)
    }
}

/// The entries of a log in their order; ends at the first that is not whole.
#[derive(Debug)]
pub(super) struct Leaves {
    path: PathBuf,
    file: BufReader<File>,
}

impl Leaves {
    pub(super) fn open(place: &LogPlace) -> Result<Self, NodeError> {
        Self::open_at(&place.entries(), 0)
    }

    fn open_at(path: &Path, start: u64) -> Result<Self, NodeError> {
        let fault = |error: std::io::Error| NodeError::file(path, &error);
        let mut file = File::open(path).map_err(fault)?;
        file.seek(SeekFrom::Start(start)).map_err(fault)?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::new(file),
        })
    }

    fn read(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        if !filled(&mut self.file, &mut length)? {
            return Ok(None);
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > LOG_ENTRY_BYTES_MAX {
            return Ok(None);
        }
        let mut leaf = vec![0; length];
        Ok(filled(&mut self.file, &mut leaf)?.then_some(leaf))
    }
}

/// Whether there was enough to fill `bytes`.
fn filled(file: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Iterator for Leaves {
    type Item = Result<Vec<u8>, NodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read()
            .map_err(|error| NodeError::file(&self.path, &error))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Vec<u8>> {
        (0..count)
            .map(|at| format!("entry {at}").into_bytes())
            .collect()
    }

    fn reopened(place: &LogPlace, most: u64) -> (LogFile, Vec<Vec<u8>>) {
        let mut read = Vec::new();
        let file = LogFile::open(place, most, |leaf| {
            read.push(leaf.to_vec());
            Ok(())
        });
        (file.unwrap(), read)
    }

    #[test]
    fn pages_are_found_wherever_they_begin_and_a_torn_tail_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let place = LogPlace::at(&dir.path().join("log"));
        assert_eq!(place.checkpoint_text().unwrap(), None);
        place.begin("first\n").unwrap();
        let (mut file, _) = reopened(&place, 0);
        let all = leaves(1_000);
        file.append(&all).unwrap();
        file.sync().unwrap();
        for from in [0, 1, 255, 256, 257, 999] {
            let page = file.page((from, 1_000), (300, usize::MAX)).unwrap();
            let from = usize::try_from(from).unwrap();
            assert_eq!(page, all[from..(from + 300).min(1_000)]);
        }
        assert_eq!(file.page((5, 9), (300, 1)).unwrap(), all[5..6]);
        assert!(file.page((1_000, 1_000), (9, 9)).unwrap().is_empty());

        // Every cut of the last entries gives the whole ones before it, and no more.
        let bytes = std::fs::read(place.entries()).unwrap();
        for cut in (bytes.len() - 40..bytes.len()).rev() {
            std::fs::write(place.entries(), &bytes[..cut]).unwrap();
            let (file, read) = reopened(&place, u64::MAX);
            assert_eq!(read, all[..read.len()]);
            assert!(read.len() >= 996, "{cut}");
            assert_eq!(
                file.bytes(),
                std::fs::metadata(place.entries()).unwrap().len()
            );
        }
        // Entries beyond the checkpoint go, too, and the log goes on from there.
        let (mut file, read) = reopened(&place, 500);
        assert_eq!((read.len(), file.size), (500, 500));
        file.append(&all[500..600]).unwrap();
        assert_eq!(reopened(&place, u64::MAX).1, all[..600]);
        std::fs::remove_file(place.checkpoint()).unwrap();
        assert!(place.checkpoint_text().is_err());
    }
}
