//! The mark: how many groups were acknowledged, kept beside sled's log.
//!
//! Where a message in sled's log is damaged, sled may take that for the end of the log: the store
//! then opens in an earlier state, whole and consistent, and no digest can tell. So every group
//! carries its number, and once it is on disk the number is also written to a small file. A store
//! that opens at a lower number than its mark has lost what it had acknowledged.
//!
//! The mark is not synced: after a power cut it may be behind the store, which is harmless, but it
//! never runs ahead.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::crypto::labels;
use crate::store::StoreError;
use crate::store::digest::Digester;

use super::folder::failed;

/// Number (8, big-endian) and tag (16).
const BYTES: usize = 8 + 16;

/// A group's number as it is stored, in the mark and in the engine.
pub(super) fn encode(digester: &Digester, groups: u64) -> [u8; BYTES] {
    let number = groups.to_be_bytes();
    let mut bytes = [0; BYTES];
    let (head, tail) = bytes.split_at_mut(number.len());
    head.copy_from_slice(&number);
    tail.copy_from_slice(&digester.tag(labels::STORE_MARK, &[&number]));
    bytes
}

/// The number; nothing where the bytes are not what [`encode`] made.
pub(super) fn decode(digester: &Digester, bytes: &[u8]) -> Option<u64> {
    let (number, tag) = bytes.split_first_chunk::<8>()?;
    let tag = tag.try_into().ok()?;
    digester
        .verify_tag(labels::STORE_MARK, &[number], tag)
        .then_some(u64::from_be_bytes(*number))
}

/// The mark's file.
#[derive(Debug)]
pub(super) struct Mark(File);

impl Mark {
    /// Makes the mark of a new store.
    pub(super) fn create(path: &Path, digester: &Digester) -> Result<(), StoreError> {
        let file = File::create(path).map_err(failed("create", path))?;
        let written = file.write_all_at(&encode(digester, 0), 0);
        written
            .and_then(|()| file.sync_all())
            .map_err(failed("write", path))
    }

    /// Opens the mark and reads the number.
    pub(super) fn open(path: &Path, digester: &Digester) -> Result<(Self, u64), StoreError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(failed("open", path))?;
        let mut bytes = [0; BYTES];
        let read = file.read_exact_at(&mut bytes, 0);
        let groups = read.ok().and_then(|()| decode(digester, &bytes));
        let groups = groups.ok_or_else(|| StoreError::Damaged {
            what: "the mark of what was acknowledged is altered".to_owned(),
        })?;
        Ok((Self(file), groups))
    }

    /// Notes that `groups` groups are on disk.
    pub(super) fn write(&self, digester: &Digester, groups: u64) -> io::Result<()> {
        self.0.write_all_at(&encode(digester, groups), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;

    #[test]
    fn mark_reads_back_and_an_altered_one_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let digester = Digester::new(&Secret::from_bytes([1; 32]));
        Mark::create(&path, &digester).unwrap();
        let (mark, groups) = Mark::open(&path, &digester).unwrap();
        assert_eq!(groups, 0);
        mark.write(&digester, 258).unwrap();
        assert_eq!(Mark::open(&path, &digester).unwrap().1, 258);
        std::fs::write(&path, [0; BYTES]).unwrap();
        let altered = Mark::open(&path, &digester);
        assert!(matches!(altered, Err(StoreError::Damaged { .. })));
    }
}
