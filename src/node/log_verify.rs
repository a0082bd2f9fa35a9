//! Checks a membership log from its files alone: for members, and for auditors who have nothing but
//! the log and the network's root.

use std::path::{Path, PathBuf};

use super::log_file::{Leaves, LogPlace};
use super::log_findings::LogNotes;
use super::{Folder, NodeError};
use crate::domain::Timestamp;
use crate::limits::LOGS_MAX;
use crate::membership::{History, LogEntry, NetworkRoot, Roster, log_origin};
use crate::merkle::{Checkpoint, SignedNote};

/// A log to be checked, and what it is checked by.
#[derive(Debug)]
pub struct LogSource {
    /// The folder with `entries` and `checkpoint`.
    pub folder: PathBuf,
    /// Roots of the network, of which one names the key that signed the checkpoint.
    pub roots: Vec<NetworkRoot>,
    /// A member list in force, if there is one.
    pub roster: Option<Roster>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// Origin of the log.
    pub origin: String,
    /// Entries that the checkpoint covers.
    pub size: u64,
    /// When the checkpoint was signed.
    pub signed_at: Option<Timestamp>,
    /// What is wrong: the entry's index, where it is about one, and why.
    pub faults: Vec<(Option<u64>, String)>,
}

impl LogReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Folder {
    /// The logs that this node keeps, with the roots and the list that it has.
    ///
    /// # Errors
    /// [`NodeError`] where the folder is no node's, or keeps no log.
    pub fn logs(&self, now: Timestamp) -> Result<Vec<LogSource>, NodeError> {
        let root = self.root(now)?;
        let kept = self.path().join("log");
        let entries = std::fs::read_dir(&kept).into_iter().flatten();
        let mut folders: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|folder| folder.join("checkpoint").exists())
            .take(LOGS_MAX)
            .collect();
        folders.sort();
        if folders.is_empty() {
            return Err(NodeError::Folder(format!(
                "{} keeps no membership log yet: a node reads it from its registrar once it runs, \
                 and networks without a registrar have none",
                kept.display()
            )));
        }
        let sources = folders.into_iter().map(|folder| {
            let roster = self.text(&self.members()).ok();
            let roster = roster.and_then(|text| Roster::verify_kept(&root, &text, now).ok());
            LogSource {
                folder,
                roots: self.all_roots(&root, now),
                roster,
            }
        });
        Ok(sources.collect())
    }

    /// The root in force, and those before it that the folder keeps.
    fn all_roots(&self, root: &NetworkRoot, now: Timestamp) -> Vec<NetworkRoot> {
        let former = (1..root.version()).rev().filter_map(|version| {
            let path = self.roots().join(format!("{version}.json"));
            let text = std::fs::read_to_string(path).ok()?;
            NetworkRoot::verify_kept(&text, now).ok()
        });
        std::iter::once(root.clone()).chain(former).collect()
    }
}

/// Reads a log from its first entry to the last one that its checkpoint covers, and checks every
/// signature; gives each entry to `seen`.
///
/// # Errors
/// [`NodeError`] where the files cannot be read, or no root names who signed the checkpoint.
pub fn verify_log(
    source: &LogSource,
    mut seen: impl FnMut(u64, &LogEntry),
) -> Result<LogReport, NodeError> {
    let place = LogPlace::at(&source.folder);
    let wrong = |why: String| NodeError::Folder(format!("{}: {why}", source.folder.display()));
    let text = place.checkpoint_text()?;
    let text = text.ok_or_else(|| wrong("there is no checkpoint here".to_owned()))?;
    let note = SignedNote::parse(&text).map_err(|error| wrong(error.to_string()))?;
    let signed = source.roots.iter().find_map(|root| {
        root.freshness_keys().iter().find_map(|key| {
            let origin = log_origin(root.network(), key);
            let checkpoint = Checkpoint::open(&note, &origin, key).ok()?;
            Some((root, checkpoint))
        })
    });
    let (root, signed) = signed.ok_or_else(|| {
        wrong(
            "no freshness key of the network root signed the checkpoint: it was altered, or is of \
             another network, or an earlier root is needed"
                .to_owned(),
        )
    })?;
    let mut history = History::new(root.network().clone());
    let mut faults = Vec::new();
    let count = usize::try_from(signed.size()).unwrap_or(usize::MAX);
    for leaf in Leaves::open(&place)?.take(count) {
        let leaf = leaf?;
        let index = history.size();
        match history
            .take(&leaf)
            .map_err(|error| wrong(error.to_string()))?
        {
            Ok(entry) => seen(index, &entry),
            Err(fault) => faults.push((Some(index), fault.to_string())),
        }
    }
    faults.extend(whole_faults(source, &history, &signed));
    let kept = LogNotes::read(&source.folder)?.findings.into_iter();
    // What is wrong with an entry was found just now, again.
    let kept = kept.filter(|one| one.kind != "entry");
    faults.extend(kept.map(|one| (one.entry, one.says)));
    Ok(LogReport {
        origin: signed.origin().to_owned(),
        size: signed.size(),
        signed_at: signed.signed_at(),
        faults,
    })
}

/// What is wrong with the log as a whole.
fn whole_faults(
    source: &LogSource,
    history: &History,
    signed: &Checkpoint,
) -> Vec<(Option<u64>, String)> {
    let mut faults = Vec::new();
    if history.size() < signed.size() {
        let (held, size) = (history.size(), signed.size());
        faults.push(format!(
            "only {held} of the {size} entries that were signed are here"
        ));
    } else if history.tree_root() != *signed.root() {
        faults.push("the entries are not those that the checkpoint was signed for".to_owned());
    }
    for root in &source.roots {
        let logged = history.root();
        let is_other =
            |(version, digest)| version == root.version() && digest != *root.fingerprint();
        if logged.is_some_and(is_other) {
            let version = root.version();
            faults.push(format!(
                "root {version} in the log is not the one that is given here"
            ));
        }
    }
    if let Some(roster) = &source.roster {
        let version = roster.version();
        let is_same = history.list() == Some((version, *roster.digest()));
        let is_named = history.list().is_some_and(|(logged, _)| logged == version);
        if is_named && !(is_same && history.pins_as(roster.list())) {
            faults.push(format!(
                "member list {version} in the log is not the one that is given here"
            ));
        }
    }
    faults.into_iter().map(|why| (None, why)).collect()
}

impl LogSource {
    /// A log in a folder of its own, checked by a root document and, where it is given, a list.
    ///
    /// # Errors
    /// [`NodeError`] where one of the files cannot be read, or does not hold.
    pub fn from_files(
        folder: &Path,
        root: &Path,
        list: Option<&Path>,
        now: Timestamp,
    ) -> Result<Self, NodeError> {
        let text = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| NodeError::file(path, &error))
        };
        let root = NetworkRoot::verify_kept(&text(root)?, now)?;
        let roster = match list {
            Some(list) => Some(Roster::verify_kept(&root, &text(list)?, now)?),
            None => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            roots: vec![root],
            roster,
        })
    }
}
