//! Lines of a file, one at a time, each of bounded length.

use std::io::{self, BufRead, BufReader, Read};

use zeroize::Zeroizing;

use crate::limits::ROW_BYTES_MAX;

/// One line of a file.
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Bytes from the start of the file to the end of this line, line end included.
    pub(super) end_offset: u64,
    /// Its bytes without the line end, or nothing where it is longer than allowed.
    pub(super) bytes: Option<Zeroizing<Vec<u8>>>,
}

/// Reads lines that end in LF or CRLF; a line that is too long is passed over in constant memory.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    number: u64,
    offset: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(read: R) -> Self {
        Self {
            reader: BufReader::new(read),
            number: 0,
            offset: 0,
        }
    }

    /// Number of the line that was read last; 0 before the first.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1_024));
        let mut too_long = false;
        let mut seen = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            seen = true;
            let line_end = buffer.iter().position(|byte| *byte == b'\n');
            let piece = buffer.get(..line_end.unwrap_or(buffer.len()));
            let piece = piece.unwrap_or_default();
            // One byte more than allowed may be the CR of the line end.
            if bytes.len() + piece.len() > ROW_BYTES_MAX + 1 {
                too_long = true;
            }
            if !too_long {
                bytes.extend_from_slice(piece);
            }
            let used = line_end.map_or(buffer.len(), |at| at + 1);
            self.reader.consume(used);
            self.offset += u64::try_from(used).unwrap_or(0);
            if line_end.is_some() {
                break;
            }
        }
        if !seen {
            return Ok(None);
        }
        self.number += 1;
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if self.number == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        too_long |= bytes.len() > ROW_BYTES_MAX;
        Ok(Some(Line {
            number: self.number,
            end_offset: self.offset,
            bytes: (!too_long).then_some(bytes),
        }))
    }
}
