//! A copy of the audit log as text: `index hash entry` on a line for each entry, and checkpoints
//! one behind the other.

use std::fmt;

use data_encoding::BASE64;

use crate::merkle::{Hash, leaf_hash};

/// One line of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedEntry<'a> {
    /// The position in the log, from 0.
    pub index: u64,
    /// The leaf hash, as it was when the copy was made.
    pub hash: Hash,
    /// The entry's text.
    pub line: &'a str,
}

impl<'a> CopiedEntry<'a> {
    /// The copy of an entry.
    #[must_use]
    pub fn of(index: u64, line: &'a str) -> Self {
        Self {
            index,
            hash: leaf_hash(line.as_bytes()),
            line,
        }
    }

    /// Reads a line without its end; `None` where it is none.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (index, rest) = text.split_once(' ')?;
        let (hash, line) = rest.split_once(' ')?;
        Some(Self {
            index: index.parse().ok()?,
            hash: BASE64.decode(hash.as_bytes()).ok()?.try_into().ok()?,
            line,
        })
    }
}

impl fmt::Display for CopiedEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, hash, line } = self;
        write!(f, "{index} {} {line}", BASE64.encode(hash))
    }
}

/// The notes of a text that holds several: a note ends with its last signature line.
pub fn split_notes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        let mut signed = false;
        for line in rest.split_inclusive('\n') {
            let is_signature = line.starts_with('\u{2014}');
            if signed && !is_signature {
                break;
            }
            signed |= is_signature;
            end += line.len();
        }
        let (note, behind) = rest.split_at(end);
        rest = behind;
        Some(note)
    })
}
