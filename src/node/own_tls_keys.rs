//! Which TLS keys this node made: each is noted before a certificate for it is asked for, so that a
//! certificate in the membership log which this node did not ask for is told apart.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::NodeError;

/// The file in a node's folder: one key on each line, as the SHA-256 of its public part.
const FILE: &str = "tls-keys.txt";

/// First line where the node had keys before it noted them.
const LATE: &str = "begun-late";

/// The file that notes the keys.
#[derive(Debug, Clone)]
pub(super) struct OwnTlsKeys(PathBuf);

/// What is noted.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) keys: BTreeSet<[u8; 32]>,
    /// Whether keys were made before the first one noted, so that what was certified until then
    /// says nothing.
    pub(super) is_late: bool,
}

impl OwnTlsKeys {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// Notes a key, through to the disk.
    pub(super) fn note(&self, spki_sha256: &[u8; 32]) -> Result<(), NodeError> {
        self.append(&HEXLOWER.encode(spki_sha256))
    }

    /// Where nothing is noted yet, notes the key in use, and that it may not be the first.
    pub(super) fn begin_late(&self, spki_sha256: &[u8; 32]) -> Result<(), NodeError> {
        if self.0.exists() {
            return Ok(());
        }
        self.append(&format!("{LATE}\n{}", HEXLOWER.encode(spki_sha256)))
    }

    fn append(&self, text: &str) -> Result<(), NodeError> {
        let file = OpenOptions::new().append(true).create(true).open(&self.0);
        // The newline first: a line that a crash tore does not spoil the next one.
        let written = file.and_then(|mut file| {
            file.write_all(format!("\n{text}\n").as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| NodeError::file(&self.0, &error))
    }

    pub(super) fn read(&self) -> Result<Known, NodeError> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(NodeError::file(&self.0, &error)),
        };
        let keys = text.lines().filter_map(|line| {
            let bytes = HEXLOWER.decode(line.as_bytes()).ok()?;
            bytes.try_into().ok()
        });
        Ok(Known {
            keys: keys.collect(),
            is_late: text.is_empty() || text.lines().any(|line| line == LATE),
        })
    }
}
