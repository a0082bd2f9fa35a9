//! The byte scanner: looks for planted values in files and messages, in every form of leak.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aho_corasick::{AhoCorasick, BuildError};

use super::needles::{Needles, Origin, Planted};
use crate::crypto::Keyring;
use crate::domain::NetworkId;
use crate::net::Tap;

/// Bytes of a file that are looked at together.
const CHUNK_BYTES: usize = 1 << 20;

/// Why a scan cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// Too many values for one automaton.
    #[error("the scanner cannot look for so many values at once: plant fewer ({0})")]
    TooMany(#[from] BuildError),
    /// A file cannot be read, so nothing can be said about it.
    #[error("{path}: {error}; scan with the rights of the owner, while the nodes are stopped")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// A planted value that lies in the clear. It does not tell the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The file, or which message.
    pub place: String,
    /// Bytes from its beginning.
    pub offset: u64,
    /// Which value, in which form.
    pub origin: Origin,
}

/// How much was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Files and messages.
    pub places: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything found, in the order of the places.
    pub hits: Vec<Hit>,
}

impl Scan {
    /// Both scans together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.places += other.places;
        self.bytes += other.bytes;
        self.hits.extend(other.hits);
        self
    }
}

/// Looks for the needles of planted values.
#[derive(Debug)]
pub struct Scanner {
    automaton: AhoCorasick,
    origins: Vec<Origin>,
    longest: usize,
}

impl Scanner {
    /// A scanner for these values: identifiers, names, amounts, and every hash of an identifier
    /// that needs no secret key. `network` is a key that an outsider would try.
    ///
    /// # Errors
    /// [`ScanError::TooMany`] above some hundred thousand values.
    pub fn new(planted: &[Planted], network: &NetworkId) -> Result<Self, ScanError> {
        Self::over(Needles::of(planted, network))
    }

    /// A scanner for the hashes of the planted identifiers under the secret keys of one node. They
    /// name the rows of its own store, and must be nowhere else.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_keyed_hashes(planted: &[Planted], keys: &Keyring) -> Result<Self, ScanError> {
        let mut needles = Needles::default();
        for (value, planted) in planted.iter().enumerate() {
            match planted {
                Planted::Identifier(identifier) => needles.keyed(value, identifier, keys),
                Planted::Name(_) | Planted::Amount(_) | Planted::Text(_) => {}
            }
        }
        Self::over(needles)
    }

    fn over(needles: Needles) -> Result<Self, ScanError> {
        let (patterns, origins): (Vec<Vec<u8>>, Vec<Origin>) = needles.by_bytes.into_iter().unzip();
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(1);
        Ok(Self {
            automaton: AhoCorasick::new(&patterns)?,
            origins,
            longest,
        })
    }

    /// Every form of every value that is sought.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Looks through bytes.
    #[must_use]
    pub fn bytes(&self, place: &str, bytes: &[u8]) -> Scan {
        let mut scan = Scan {
            places: 1,
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            hits: Vec::new(),
        };
        self.look(place, bytes, (0, 0), &mut scan.hits);
        scan
    }

    /// Looks through a file, or every file below a folder, whatever it is called.
    ///
    /// # Errors
    /// [`ScanError::Unreadable`].
    pub fn tree(&self, path: &Path) -> Result<Scan, ScanError> {
        let unreadable = |error| ScanError::Unreadable {
            path: path.to_owned(),
            error,
        };
        let kind = fs::symlink_metadata(path).map_err(unreadable)?.file_type();
        let mut scan = Scan::default();
        // What a file is called is on disk too.
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let place = path.display().to_string();
        scan.hits = self.bytes(&format!("name of {place}"), name).hits;
        if kind.is_dir() {
            let mut entries = fs::read_dir(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(unreadable)?;
            entries.sort_by_key(fs::DirEntry::path);
            for entry in entries {
                scan = scan.and(self.tree(&entry.path())?);
            }
        } else if kind.is_file() {
            scan.places += 1;
            let mut file = fs::File::open(path).map_err(unreadable)?;
            scan.bytes = self
                .stream(&place, &mut file, &mut scan.hits)
                .map_err(unreadable)?;
        }
        Ok(scan)
    }

    fn stream(
        &self,
        place: &str,
        input: &mut impl Read,
        hits: &mut Vec<Hit>,
    ) -> std::io::Result<u64> {
        let mut window = Vec::with_capacity(CHUNK_BYTES + self.longest);
        let mut read = 0_u64;
        loop {
            // The end of the last chunk stays, so that what lies across the border is found.
            let kept = window.len().min(self.longest - 1);
            window.drain(..window.len() - kept);
            let chunk = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
            let come = input.by_ref().take(chunk).read_to_end(&mut window)?;
            if come == 0 {
                return Ok(read);
            }
            let begins = read - u64::try_from(kept).unwrap_or_default();
            self.look(place, &window, (begins, kept), hits);
            read += u64::try_from(come).unwrap_or_default();
        }
    }

    /// Notes what ends behind the first `seen` bytes, which were looked at before.
    fn look(&self, place: &str, bytes: &[u8], (begins, seen): (u64, usize), hits: &mut Vec<Hit>) {
        for found in self.automaton.find_overlapping_iter(bytes) {
            if found.end() <= seen {
                continue;
            }
            let Some(origin) = self.origins.get(found.pattern().as_usize()) else {
                continue;
            };
            hits.push(Hit {
                place: place.to_owned(),
                offset: begins + u64::try_from(found.start()).unwrap_or_default(),
                origin: origin.clone(),
            });
        }
    }
}

/// Keeps every message that nodes exchange, after TLS is taken off, to be scanned.
#[derive(Debug, Default)]
pub struct Capture {
    streams: Mutex<BTreeMap<u64, Vec<u8>>>,
}

impl Tap for Capture {
    fn hear(&self, stream: u64, bytes: &[u8]) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.entry(stream).or_default().extend_from_slice(bytes);
    }
}

impl Capture {
    /// Looks through everything that was heard.
    #[must_use]
    pub fn scan(&self, scanner: &Scanner) -> Scan {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let scans = streams
            .iter()
            .map(|(stream, bytes)| scanner.bytes(&format!("message {stream}"), bytes));
        scans.fold(Scan::default(), Scan::and)
    }

    /// Whether these bytes were heard: to know that there was something to hear.
    #[must_use]
    pub fn heard(&self, bytes: &[u8]) -> bool {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let mut heard = streams.values();
        heard.any(|stream| stream.windows(bytes.len().max(1)).any(|at| at == bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Identifier;

    fn scanner() -> Scanner {
        let planted = [
            Planted::Identifier(Identifier::parse("us-ssn:536-90-4399", None).unwrap()),
            Planted::Name("Zephyrine Quillfeather".to_owned()),
        ];
        Scanner::new(&planted, &"test-net".parse().unwrap()).unwrap()
    }

    #[test]
    fn every_form_is_found_across_the_border_of_two_chunks() {
        let scanner = scanner();
        let needles = Needles::of(
            &[Planted::Name("Zephyrine Quillfeather".to_owned())],
            &"test-net".parse().unwrap(),
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("haystack");
        for (needle, _) in needles.by_bytes.iter().step_by(5) {
            for before in [0, CHUNK_BYTES - 3, CHUNK_BYTES - needle.len()] {
                let bytes = [vec![0xA5; before], needle.clone(), vec![0xA5; 9]].concat();
                fs::write(&file, bytes).unwrap();
                let scan = scanner.tree(dir.path()).unwrap();
                let at = u64::try_from(before).unwrap();
                assert!(scan.hits.iter().any(|hit| hit.offset == at), "{before}");
                let mut once = scan.hits.clone();
                once.dedup();
                assert_eq!(once, scan.hits, "nothing is counted twice");
            }
        }
    }

    #[test]
    fn a_hit_names_value_and_form_and_never_the_value_itself() {
        let scanner = scanner();
        let scan = scanner.bytes("message 1", b"....v1|US-SSN|US|536904399....");
        let forms: Vec<&str> = scan.hits.iter().map(|hit| &*hit.origin.form).collect();
        assert!(forms.contains(&"canonical text raw"), "{forms:?}");
        assert!(forms.contains(&"value text raw"), "{forms:?}");
        assert!(!format!("{scan:?}").contains("536904399"));
    }
}
