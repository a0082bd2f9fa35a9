//! What a node found wrong with a membership log, kept beside the log until somebody looks into it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::NodeError;
use super::join::replace;
use crate::domain::Timestamp;
use crate::limits::LOG_FINDINGS_MAX;

const FILE: &str = "findings.json";

/// Kinds of findings, as they stand in files and in `--json`.
const KINDS: [&str; 9] = [
    "entry",
    "own-certificate",
    "own-identity",
    "own-oprf-key",
    "peer-oprf-key",
    "list",
    "rolled-back",
    "kept-back",
    "two-histories",
];

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogFinding {
    /// A word for programs, such as `two-histories`.
    pub kind: String,
    /// Index of the entry that it is about.
    pub entry: Option<u64>,
    /// What was found, and what to do.
    pub says: String,
    /// When, milliseconds since 1970 by this machine's clock.
    pub found_unix_ms: Option<i64>,
}

impl LogFinding {
    pub(super) fn new(
        kind: &'static str,
        entry: Option<u64>,
        says: String,
        at: Option<Timestamp>,
    ) -> Self {
        Self {
            kind: kind.to_owned(),
            entry,
            says,
            found_unix_ms: at.map(Timestamp::unix_ms),
        }
    }

    pub(super) fn kind_word(&self) -> &'static str {
        let known = KINDS.iter().find(|kind| **kind == self.kind);
        known.copied().unwrap_or("entry")
    }
}

/// What is kept beside one log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogNotes {
    /// From which entry on certificates for this member are compared with the keys it made; nothing
    /// before the log was read for the first time.
    pub(super) own_from: Option<u64>,
    pub(super) findings: Vec<LogFinding>,
}

impl LogNotes {
    pub(super) fn read(folder: &Path) -> Result<Self, NodeError> {
        let path = folder.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                NodeError::Folder(format!("{}: {error}; move it aside", path.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(NodeError::file(&path, &error)),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), NodeError> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| NodeError::Folder(format!("{}: {error}", path.display())))?;
        replace(&path, text.as_bytes())
    }

    /// Adds a finding; whether it is a new one. The first ones stay: they say how it began.
    pub(super) fn add(&mut self, finding: LogFinding) -> bool {
        let same = |one: &LogFinding| {
            one.kind == finding.kind && one.entry == finding.entry && one.says == finding.says
        };
        if self.findings.iter().any(same) || self.findings.len() >= LOG_FINDINGS_MAX {
            return false;
        }
        self.findings.push(finding);
        true
    }
}
