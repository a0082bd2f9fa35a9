//! The membership logs that a node keeps: what it read, what it found, and the contradictions that it
//! holds the proof of. Nothing of it is in a backup, so no restore takes it back.
//!
//! ```text
//! log/<id>/entries, checkpoint       the log as read, and the newest checkpoint it was checked by
//! log/<id>/findings.json             what was found wrong with it
//! log/<id>/contradiction-N.held|other  two signed checkpoints that cannot both be true
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::NodeError;
use super::join::replace;
use super::log_file::{Leaves, LogFile, LogPlace};
use super::log_findings::{LogFinding, LogNotes};
use super::own_tls_keys::OwnTlsKeys;
use crate::domain::{MemberId, NetworkId, Timestamp};
use crate::limits::{LOG_LATE_AFTER, LOG_NOTE_BYTES_MAX, LOG_PROOFS_MAX, LOGS_MAX};
use crate::membership::{
    EntryFault, History, KeyTerms, LogEntry, LogEvent, NetworkRoot, Roster, log_id, log_origin,
};
use crate::merkle::{Checkpoint, Frontier, Hash, SignedNote, leaf_hash};

/// Checkpoints ahead of what was read that are remembered for each log.
const AHEAD_MAX: usize = 8;

/// A checkpoint whose signature was checked.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) note: String,
    pub(super) checkpoint: Checkpoint,
}

impl Signed {
    /// Reads a note that one of the root's freshness keys must have signed for its own log.
    pub(super) fn open(root: &NetworkRoot, note: &str) -> Option<(Self, [u8; 32])> {
        if note.len() > LOG_NOTE_BYTES_MAX {
            return None;
        }
        let parsed = SignedNote::parse(note).ok()?;
        let opened = |key: &[u8; 32]| {
            let origin = log_origin(root.network(), key);
            let checkpoint = Checkpoint::open(&parsed, &origin, key).ok()?;
            let note = note.to_owned();
            Some((Self { note, checkpoint }, *key))
        };
        root.freshness_keys().iter().find_map(opened)
    }
}

/// What entries are judged by beside the log itself.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) member: MemberId,
    pub(super) roster: Arc<Roster>,
    pub(super) now: Timestamp,
}

/// What a registrar's newest checkpoint asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: it is the one held, or was found wrong.
    Nothing,
    /// Entries of this log from this index on.
    From(u64),
}

/// An OPRF key that was logged, still to be compared with those that were used.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    pub(super) index: u64,
    pub(super) terms: KeyTerms,
}

/// One log.
#[derive(Debug)]
struct KeptLog {
    place: LogPlace,
    file: LogFile,
    history: History,
    held: Option<Signed>,
    /// History and bytes at the checkpoint held, while entries beyond it are read.
    base: Option<(History, u64)>,
    notes: LogNotes,
    /// Found in entries that no checkpoint covers yet.
    fresh: Vec<LogFinding>,
    stated: Vec<Stated>,
    /// Checkpoints beyond what was read, and who told them.
    ahead: Vec<(Signed, String)>,
    /// Those of them that were told before the reading that is under way began.
    due: Vec<(Signed, String)>,
    apart_since: Option<Timestamp>,
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
        signed: Signed,
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
        if log.agrees(&signed, "the registrar", now)? && offered < held {
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

impl KeptLog {
    fn open(
        place: LogPlace,
        network: &NetworkId,
        (origin, key): (&str, &[u8; 32]),
    ) -> Result<Self, NodeError> {
        let folder = place.folder();
        std::fs::create_dir_all(folder).map_err(|error| NodeError::file(folder, &error))?;
        let mut notes = LogNotes::read(folder)?;
        let held = place.checkpoint_if_any().and_then(|note| {
            let parsed = SignedNote::parse(&note).ok()?;
            let checkpoint = Checkpoint::open(&parsed, origin, key).ok()?;
            Some(Signed { note, checkpoint })
        });
        let signed_for = held.as_ref().map_or(0, |held| held.checkpoint.size());
        let mut history = History::new(network.clone());
        let mut file = LogFile::open(&place, signed_for, |leaf| {
            let taken = history.take_again(leaf);
            taken
                .map(drop)
                .map_err(|error| NodeError::Folder(error.to_string()))
        })?;
        let fits = |held: &Signed| {
            let (size, root) = (held.checkpoint.size(), held.checkpoint.root());
            history.size() == size && history.tree_root() == *root
        };
        if held.as_ref().is_some_and(|held| !fits(held)) {
            let says = "this node's own copy of the log was cut short or altered; it is read again, \
                        and must lead to the checkpoint held";
            notes.add(LogFinding::new("copy-damaged", None, says.to_owned(), None));
            notes.write(place.folder())?;
            tracing::error!(origin, "{says}");
            place.set_aside()?;
            history = History::new(network.clone());
            file = LogFile::open(&place, 0, |_| Ok(()))?;
        }
        Ok(Self {
            place,
            file,
            history,
            held,
            base: None,
            notes,
            fresh: Vec::new(),
            stated: Vec::new(),
            ahead: Vec::new(),
            due: Vec::new(),
            apart_since: None,
        })
    }

    fn found(
        &mut self,
        kind: &'static str,
        index: Option<u64>,
        says: String,
        now: Timestamp,
    ) -> Result<(), NodeError> {
        let finding = LogFinding::new(kind, index, says, Some(now));
        if self.notes.add(finding.clone()) {
            tracing::error!(kind, index, "membership log: {}", finding.says);
            self.notes.write(self.place.folder())?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        leaves: &[Vec<u8>],
        target: &Signed,
        judge: &Judge,
        own: &super::own_tls_keys::Known,
    ) -> Result<bool, NodeError> {
        if self.base.is_none() {
            self.base = Some((self.history.clone(), self.file.bytes()));
        }
        let room = target.checkpoint.size().saturating_sub(self.history.size());
        let leaves = leaves.get(
            ..leaves
                .len()
                .min(usize::try_from(room).unwrap_or(usize::MAX)),
        );
        let leaves = leaves.unwrap_or_default();
        self.file.append(leaves)?;
        for leaf in leaves {
            let index = self.history.size();
            let taken = self.history.take(leaf);
            let taken = taken.map_err(|error| NodeError::Folder(error.to_string()))?;
            self.look(index, taken, judge, own);
            let held = self.held.clone();
            let passed = held.filter(|held| held.checkpoint.size() == self.history.size());
            if let Some(held) =
                passed.filter(|held| *held.checkpoint.root() != self.history.tree_root())
            {
                return self.contradicted(&held, judge.now);
            }
        }
        if self.history.size() < target.checkpoint.size() {
            return Ok(false);
        }
        if self.history.tree_root() != *target.checkpoint.root() {
            return self.contradicted(target, judge.now);
        }
        self.file.sync()?;
        self.place.put_checkpoint(&target.note)?;
        self.held = Some(target.clone());
        self.base = None;
        if self.notes.own_from.is_none() {
            let judged_from = if own.is_late { self.history.size() } else { 0 };
            self.notes.own_from = Some(judged_from);
            self.notes.write(self.place.folder())?;
        }
        for finding in std::mem::take(&mut self.fresh) {
            self.found(finding.kind_word(), finding.entry, finding.says, judge.now)?;
        }
        Ok(true)
    }

    /// The entries shown do not lead to a checkpoint that was signed: both notes are kept, and the
    /// log goes back to where it was.
    fn contradicted(&mut self, other: &Signed, now: Timestamp) -> Result<bool, NodeError> {
        let says = format!(
            "the registrar shows two histories: the entries that it shows do not lead to the \
             checkpoint of {} entries that it signed; both checkpoints are kept in {}; tell the \
             administrators",
            other.checkpoint.size(),
            self.place.folder().display()
        );
        self.keep_proof(other)?;
        if let Some((history, bytes)) = self.base.take() {
            self.file.cut_to(history.size(), bytes)?;
            self.history = history;
        }
        (self.fresh, self.stated) = (Vec::new(), Vec::new());
        self.found("two-histories", None, says, now)?;
        Ok(true)
    }

    /// Looks at one entry beyond what the log's own rules say.
    fn look(
        &mut self,
        index: u64,
        taken: Result<LogEntry, EntryFault>,
        judge: &Judge,
        own: &super::own_tls_keys::Known,
    ) {
        let first_read = self.notes.own_from.is_none();
        let judged = self.notes.own_from.unwrap_or(0) <= index && !(first_read && own.is_late);
        let mut wrong: Vec<(&'static str, String)> = Vec::new();
        match taken {
            Err(fault) => wrong.push(("entry", fault.to_string())),
            Ok(entry) => match entry.event {
                LogEvent::Certificate {
                    member,
                    spki_sha256,
                    ..
                } if member == judge.member && judged && !own.keys.contains(&spki_sha256) => {
                    let says = "a certificate was issued for this member whose key this node never \
                                made: somebody has the identity key, or asked in this node's name; \
                                tell the administrators, and change the identity key";
                    wrong.push(("own-certificate", says.to_owned()));
                }
                LogEvent::List { .. } => wrong.extend(list_faults(&entry, &self.history, judge)),
                LogEvent::OprfKey(statement) => self.stated.push(Stated {
                    index,
                    terms: statement.terms,
                }),
                LogEvent::Root { .. }
                | LogEvent::Certificate { .. }
                | LogEvent::InvitationSpent { .. } => {}
            },
        }
        let finding = |(kind, says)| LogFinding::new(kind, Some(index), says, Some(judge.now));
        self.fresh.extend(wrong.into_iter().map(finding));
    }

    /// The tree's root at an earlier size.
    fn root_at(&self, size: u64) -> Result<Option<Hash>, NodeError> {
        if size == self.history.size() {
            return Ok(Some(self.history.tree_root()));
        }
        let mut log = Frontier::new();
        let count = usize::try_from(size).unwrap_or(usize::MAX);
        for leaf in Leaves::open(&self.place)?.take(count) {
            let grown = log.append(leaf_hash(&leaf?));
            grown.map_err(|error| NodeError::Folder(error.to_string()))?;
        }
        Ok((log.size() == size).then(|| log.root()))
    }

    /// Whether a checkpoint of what was read already is one of the same history.
    fn agrees(&mut self, other: &Signed, from: &str, now: Timestamp) -> Result<bool, NodeError> {
        let size = other.checkpoint.size();
        let same = self
            .held
            .as_ref()
            .is_some_and(|held| held.note == other.note);
        if same
            || self
                .root_at(size)?
                .is_none_or(|root| root == *other.checkpoint.root())
        {
            return Ok(true);
        }
        let says = format!(
            "the registrar shows two histories: {from} has a checkpoint of {size} entries that does \
             not fit those which this node read; both checkpoints are kept in {}; tell the \
             administrators",
            self.place.folder().display()
        );
        self.keep_proof(other)?;
        self.found("two-histories", None, says, now)?;
        Ok(false)
    }

    /// Keeps two checkpoints that cannot both be true.
    fn keep_proof(&self, other: &Signed) -> Result<(), NodeError> {
        let folder = self.place.folder();
        for number in 1..=LOG_PROOFS_MAX {
            let path = |which| folder.join(format!("contradiction-{number}.{which}"));
            match std::fs::read_to_string(path("other")) {
                Ok(kept) if kept == other.note => return Ok(()),
                Ok(_) => {}
                Err(_) => {
                    let held = self.held.as_ref().map_or("", |held| held.note.as_str());
                    replace(&path("held"), held.as_bytes())?;
                    return replace(&path("other"), other.note.as_bytes());
                }
            }
        }
        Ok(())
    }

    /// List and log may differ for as long as one of them is on its way, and no longer.
    fn compare_lists(&mut self, judge: &Judge) -> Result<(), NodeError> {
        let in_force = judge.roster.version();
        let logged = self.history.list().map_or(0, |(version, _)| version);
        if logged == in_force {
            self.apart_since = None;
            let same = self.history.list() == Some((in_force, *judge.roster.digest()))
                && self.history.pins_as(judge.roster.list());
            if !same {
                let says = format!(
                    "member list {in_force} in the log is not the list with that version that is in \
                     force here; tell the administrators"
                );
                self.found("list", None, says, judge.now)?;
            }
            return Ok(());
        }
        let since = *self.apart_since.get_or_insert(judge.now);
        if judge.now.since(since) < LOG_LATE_AFTER {
            return Ok(());
        }
        let says = if logged > in_force {
            format!("member list {logged} is in the log, and this node never got it; fetch it")
        } else {
            format!("member list {in_force} is in force here and not in the log")
        };
        self.found("list", None, says, judge.now)
    }
}

/// What is wrong with a list's entry by the list that is in force here.
fn list_faults(entry: &LogEntry, history: &History, judge: &Judge) -> Vec<(&'static str, String)> {
    let LogEvent::List {
        version,
        digest,
        previous,
        pins,
        ..
    } = &entry.event
    else {
        return Vec::new();
    };
    let list = judge.roster.list();
    let fits = if *version == list.version {
        digest == judge.roster.digest() && *previous == list.previous && history.pins_as(list)
    } else {
        version.checked_add(1) != Some(list.version) || list.previous == Some(*digest)
    };
    let mut wrong = Vec::new();
    if !fits {
        let says = format!(
            "member list {version} in the log is another one than this node has had: there are two; \
             tell the administrators"
        );
        wrong.push(("list", says));
    }
    let own = judge.roster.member(&judge.member);
    let own_keys: BTreeSet<[u8; 32]> = own
        .iter()
        .flat_map(|own| own.former_identity_keys.iter().map(|former| former.key))
        .chain(own.map(|own| own.identity_key))
        .collect();
    let pinned = pins.iter().find(|pin| pin.member == judge.member);
    if pinned.is_some_and(|pin| !own_keys.is_empty() && !own_keys.contains(&pin.identity_key)) {
        let says =
            format!("member list {version} in the log pins an identity key that is not ours");
        wrong.push(("own-identity", says));
    }
    wrong
}
