//! The membership logs that a node keeps: what it read, what it found, and the contradictions that
//! it holds the proof of. Nothing of it is in a backup, so no restore takes it back.
//!
//! ```text
//! log/<id>/entries, checkpoint       the log as read, and the newest checkpoint it was checked by
//! log/<id>/findings.json             what was found wrong with it
//! log/<id>/contradiction-N.held|other  two signed checkpoints that cannot both be true
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::NodeError;
use super::log_file::LogPlace;
use super::log_findings::LogFinding;
use super::log_kept::{Judge, KeptLog, Signed, Stated};
use super::own_tls_keys::OwnTlsKeys;
use crate::domain::{NetworkId, Timestamp};
use crate::limits::LOGS_MAX;
use crate::membership::{KeyTerms, NetworkRoot, log_id, log_origin};

/// Checkpoints ahead of what was read that are remembered for each log.
const AHEAD_MAX: usize = 8;

/// What a registrar's newest checkpoint asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: it is the one held, or was found wrong.
    Nothing,
    /// Entries of this log from this index on.
    From(u64),
}

/// What one log looks like from here.
#[derive(Debug, Clone)]
pub(super) struct LogState {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) signed_at: Option<Timestamp>,
    pub(super) findings: Vec<LogFinding>,
}

/// All logs of one node. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct LogBook(Arc<Mutex<Logs>>);

#[derive(Debug)]
struct Logs {
    folder: PathBuf,
    network: NetworkId,
    own_keys: OwnTlsKeys,
    kept: BTreeMap<String, KeptLog>,
}

impl LogBook {
    /// For a node without a registrar, whose network has no logs.
    pub(super) fn empty(folder: &Path, root: &NetworkRoot, own_keys: OwnTlsKeys) -> Self {
        Self(Arc::new(Mutex::new(Logs {
            folder: folder.join("log"),
            network: root.network().clone(),
            own_keys,
            kept: BTreeMap::new(),
        })))
    }

    /// Opens what the node in `folder` keeps.
    pub(super) fn open(
        folder: &Path,
        root: &NetworkRoot,
        own_keys: OwnTlsKeys,
    ) -> Result<Self, NodeError> {
        let book = Self::empty(folder, root, own_keys);
        let mut logs = book.lock();
        for key in root.freshness_keys() {
            logs.open_log(key)?;
        }
        drop(logs);
        Ok(book)
    }

    fn lock(&self) -> MutexGuard<'_, Logs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reading begins: what was told until now must be there at its end.
    pub(super) fn begin_reading(&self) {
        for log in self.lock().kept.values_mut() {
            let ahead = std::mem::take(&mut log.ahead);
            log.due.extend(ahead);
        }
    }

    /// Takes the newest checkpoint of the registrar itself, and says what to read.
    pub(super) fn offered(
        &self,
        signed: &Signed,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Wanted, NodeError> {
        let mut logs = self.lock();
        let log = logs.open_log(key)?;
        let held = log.held.as_ref().map_or(0, |held| held.checkpoint.size());
        let offered = signed.checkpoint.size();
        if offered > held || (offered == held && log.held.is_none()) {
            return Ok(Wanted::From(log.history.size()));
        }
        if log.agrees(signed, "the registrar", now)? && offered < held {
            let says = format!(
                "the registrar shows only {offered} entries of a log of which {held} were signed: \
                 it was put back to an earlier day; tell the administrators before it signs others"
            );
            log.found("rolled-back", None, says, now)?;
        }
        Ok(Wanted::Nothing)
    }

    /// Takes consecutive entries; whether all that `target` covers are read and checked.
    pub(super) fn take(
        &self,
        key: &[u8; 32],
        leaves: &[Vec<u8>],
        target: &Signed,
        judge: &Judge,
    ) -> Result<bool, NodeError> {
        let mut logs = self.lock();
        let own = logs.own_keys.read()?;
        let log = logs.open_log(key)?;
        log.take(leaves, target, judge, &own)
    }

    /// Where to read on.
    pub(super) fn size(&self, key: &[u8; 32]) -> Result<u64, NodeError> {
        Ok(self.lock().open_log(key)?.history.size())
    }

    /// Compares a checkpoint that somebody else saw.
    pub(super) fn heard(
        &self,
        (signed, key): (Signed, [u8; 32]),
        from: &str,
        now: Timestamp,
    ) -> Result<(), NodeError> {
        let mut logs = self.lock();
        let log = logs.open_log(&key)?;
        let held = log.held.as_ref().map_or(0, |held| held.checkpoint.size());
        if signed.checkpoint.size() <= held {
            log.agrees(&signed, from, now)?;
        } else if log.ahead.len() + log.due.len() < AHEAD_MAX {
            log.ahead.push((signed, from.to_owned()));
        }
        Ok(())
    }

    /// After all that a registrar showed was read: what others saw of it must be there by now, and
    /// list and log must say the same before long.
    pub(super) fn settle(&self, key: &[u8; 32], judge: &Judge) -> Result<Vec<Stated>, NodeError> {
        let mut logs = self.lock();
        let log = logs.open_log(key)?;
        let held = log.held.as_ref().map_or(0, |held| held.checkpoint.size());
        for (signed, from) in std::mem::take(&mut log.due) {
            let size = signed.checkpoint.size();
            if size <= held {
                log.agrees(&signed, &from, judge.now)?;
                continue;
            }
            let says = format!(
                "{from} saw {size} entries of this log, the registrar shows this node {held}: it \
                 keeps entries back; tell the administrators"
            );
            log.keep_proof(&signed)?;
            log.found("kept-back", None, says, judge.now)?;
        }
        log.compare_lists(judge)?;
        Ok(std::mem::take(&mut log.stated))
    }

    /// Notes something that was found out about an entry elsewhere.
    pub(super) fn note(
        &self,
        key: &[u8; 32],
        finding: (&'static str, u64, String),
        now: Timestamp,
    ) -> Result<(), NodeError> {
        let (kind, index, says) = finding;
        self.lock()
            .open_log(key)?
            .found(kind, Some(index), says, now)
    }

    /// Whether the log holds this OPRF key.
    pub(super) fn holds(&self, key: &[u8; 32], terms: &KeyTerms) -> Result<bool, NodeError> {
        let mut logs = self.lock();
        let history = &logs.open_log(key)?.history;
        let held = history.oprf_key(&terms.member, terms.level, terms.epoch);
        Ok(held == Some(terms.public_key))
    }

    /// The newest checkpoints, for peers.
    pub(super) fn checkpoints(&self) -> Vec<String> {
        let logs = self.lock();
        let held = logs.kept.values().filter_map(|log| log.held.as_ref());
        held.map(|held| held.note.clone()).collect()
    }

    /// Every log as it is.
    pub(super) fn states(&self) -> Vec<LogState> {
        let logs = self.lock();
        let state = |(origin, log): (&String, &KeptLog)| {
            let held = log.held.as_ref();
            LogState {
                origin: origin.clone(),
                size: held.map_or(0, |held| held.checkpoint.size()),
                signed_at: held.and_then(|held| held.checkpoint.signed_at()),
                findings: log.notes.findings.clone(),
            }
        };
        logs.kept.iter().map(state).collect()
    }
}

impl Logs {
    fn open_log(&mut self, key: &[u8; 32]) -> Result<&mut KeptLog, NodeError> {
        let origin = log_origin(&self.network, key);
        if !self.kept.contains_key(&origin) {
            if self.kept.len() >= LOGS_MAX {
                return Err(NodeError::Folder(
                    "this node keeps sixteen membership logs already: remove those of registrars \
                     that are gone from its folder `log`"
                        .to_owned(),
                ));
            }
            let place = LogPlace::at(&self.folder.join(log_id(key)));
            let log = KeptLog::open(place, &self.network, (&origin, key))?;
            self.kept.insert(origin.clone(), log);
        }
        let missing = || NodeError::Folder("a membership log is not open".to_owned());
        self.kept.get_mut(&origin).ok_or_else(missing)
    }
}
