//! A view of the next bytes of a file, of bounded size.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// Bytes that were read and are still needed, and what was read ahead.
pub(super) struct Window<R> {
    read: R,
    bytes: Zeroizing<Vec<u8>>,
    passed: usize,
    offset: u64,
    is_ended: bool,
}

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

impl<R: Read> Window<R> {
    pub(super) fn new(read: R) -> Self {
        Self {
            read,
            bytes: Zeroizing::new(Vec::new()),
            passed: 0,
            offset: 0,
            is_ended: false,
        }
    }

    /// Bytes of the file that were passed over.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes: at least `count`, unless the file ends before.
    pub(super) fn view(&mut self, count: usize) -> io::Result<&[u8]> {
        if !self.is_ended && self.bytes.len() - self.passed < count {
            self.bytes.drain(..self.passed);
            self.passed = 0;
            self.fill(count + PIECE)?;
        }
        Ok(self.bytes.get(self.passed..).unwrap_or_default())
    }

    fn fill(&mut self, until: usize) -> io::Result<()> {
        while !self.is_ended && self.bytes.len() < until {
            let held = self.bytes.len();
            self.bytes.resize(until, 0);
            let free = self.bytes.get_mut(held..).unwrap_or_default();
            let count = match self.read.read(free) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.bytes.truncate(held);
                    continue;
                }
                Err(error) => {
                    self.bytes.truncate(held);
                    return Err(error);
                }
            };
            self.bytes.truncate(held + count);
            self.is_ended = count == 0;
        }
        Ok(())
    }

    /// Passes over `count` bytes that [`Self::view`] showed.
    pub(super) fn pass(&mut self, count: usize) {
        let count = count.min(self.bytes.len() - self.passed);
        self.passed += count;
        self.offset += u64::try_from(count).unwrap_or(0);
    }
}

impl<R> std::fmt::Debug for Window<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
