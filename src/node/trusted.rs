//! What a node's folder keeps of trust: the root in force and those before it, the member list, and
//! apart from both the note of the newest ones that were ever in force.
//!
//! New roots come in as files: `roots/2.json`, `roots/3.json` and so on, each checked by the one
//! before. A backup carries a copy of `seen.json`, and restoring one never lowers what the folder
//! has noted.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::join::replace;
use super::{Folder, NodeError};
use crate::domain::{NetworkId, Timestamp};
use crate::limits::{DEPARTURES_MAX, ROOTS_SENT_MAX};
use crate::membership::{
    Departures, ListError, MemberList, NetworkRoot, RootDocument, RootError, Roster, Seen, Signed,
};
use crate::net::{Memory, TrustHandle};

/// Most root versions that are walked at once.
const WALK_MAX: u32 = 256;

/// What a node begins with.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) root: NetworkRoot,
    pub(super) roster: Roster,
    pub(super) seen: Seen,
    pub(super) departures: Departures,
}

/// The file in which a node notes what it has seen.
#[derive(Debug)]
pub(super) struct SeenFile {
    seen: PathBuf,
    departures: PathBuf,
}

impl Memory for SeenFile {
    fn note(&self, seen: &Seen) -> Result<(), String> {
        let text = seen.to_text().map_err(|error| error.to_string())?;
        replace(&self.seen, text.as_bytes())
            .and_then(|()| through_to_disk(&self.seen))
            .map_err(|error| error.to_string())
    }

    fn note_departures(&self, departures: &Departures) -> Result<(), String> {
        write_departures(&self.departures, &departures.texts()).map_err(|error| error.to_string())
    }
}

fn write_departures(path: &Path, texts: &[String]) -> Result<(), NodeError> {
    let text = serde_json::to_string_pretty(texts);
    let text = text.map_err(|error| NodeError::Folder(error.to_string()))?;
    replace(path, text.as_bytes())?;
    through_to_disk(path)
}

/// A replaced file is found again after a power cut only once its folder is on the disk.
fn through_to_disk(path: &Path) -> Result<(), NodeError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| NodeError::file(folder, &error))
}

impl Folder {
    /// Root documents after the one with which the node joined, each in a file named for its
    /// version.
    #[must_use]
    pub fn roots(&self) -> PathBuf {
        self.path().join("roots")
    }

    fn root_file(&self, version: u32) -> PathBuf {
        self.roots().join(format!("{version}.json"))
    }

    /// The note of what this node has had in force.
    pub(super) fn seen_file(&self) -> PathBuf {
        self.path().join("seen.json")
    }

    pub(super) fn memory(&self) -> SeenFile {
        SeenFile {
            seen: self.seen_file(),
            departures: self.departures_file(),
        }
    }

    /// The departures that this node knows and that no list says yet.
    pub(super) fn departures_file(&self) -> PathBuf {
        self.path().join("departures.json")
    }

    /// The departures that this node has kept: what is damaged stops it, because without them it
    /// would admit who left.
    pub(super) fn departures(&self, network: &NetworkId) -> Result<Departures, NodeError> {
        let texts = self.departures_text()?;
        let kept = Departures::kept(network, &texts);
        if kept.texts().len() == texts.len() {
            Ok(kept)
        } else {
            Err(self.damaged_departures())
        }
    }

    fn damaged_departures(&self) -> NodeError {
        NodeError::Folder(format!(
            "{} is damaged: remove it; the node hears again who left from a registrar or a peer",
            self.departures_file().display()
        ))
    }

    /// The departures that this node has kept, unread.
    pub(super) fn departures_text(&self) -> Result<Vec<String>, NodeError> {
        let path = self.departures_file();
        match super::read_text(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| self.damaged_departures()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(NodeError::file(&path, &error)),
        }
    }

    /// Keeps departures besides those that are kept: a restore forgets none.
    pub(super) fn keep_departures_too(&self, texts: &[String]) -> Result<(), NodeError> {
        let mut all = self.departures_text()?;
        let new = texts.iter().filter(|text| !all.contains(text));
        let new: Vec<String> = new.cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        all.extend(new);
        all.truncate(DEPARTURES_MAX);
        write_departures(&self.departures_file(), &all)
    }

    /// What this node has noted as seen; `None` before it began for the first time.
    pub(super) fn seen(&self) -> Result<Option<Seen>, NodeError> {
        let path = self.seen_file();
        match super::read_text(&path) {
            Ok(text) => Ok(Some(Seen::parse(&text)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NodeError::file(&path, &error)),
        }
    }

    /// The network's root: `network.json`, and from there every version in `roots` that follows.
    ///
    /// # Errors
    /// [`NodeError::Root`] where it does not hold, [`NodeError::Folder`] before joining.
    pub fn root(&self, now: Timestamp) -> Result<NetworkRoot, NodeError> {
        let mut root = NetworkRoot::verify_kept(&self.text(&self.network())?, now)?;
        for text in self.later_roots(root.version()) {
            match NetworkRoot::succeed_kept(&root, &text, now) {
                Ok(next) => root = next,
                Err(error) => {
                    let version = root.version() + 1;
                    tracing::error!(%error, version, "a file in `roots` is refused");
                    break;
                }
            }
        }
        root.require_unexpired(now)?;
        Ok(root)
    }

    /// The texts of the roots that lie in `roots` without a gap from the version after `held`.
    fn later_roots(&self, held: u32) -> Vec<String> {
        (1..=WALK_MAX)
            .filter_map(|step| held.checked_add(step))
            .map_while(|version| super::read_text(&self.root_file(version)).ok())
            .collect()
    }

    /// Keeps a root beside those before it, and as the one in force.
    fn keep_root(&self, root: &NetworkRoot) -> Result<(), NodeError> {
        let wrong = |error| NodeError::Folder(format!("network.json: {error}"));
        let text = root.signed().to_text().map_err(wrong)?;
        self.keep_former_root(root.version(), &text)?;
        replace(&self.network(), text.as_bytes())?;
        through_to_disk(&self.network())
    }

    fn keep_former_root(&self, version: u32, text: &str) -> Result<(), NodeError> {
        let folder = self.roots();
        std::fs::create_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        let file = self.root_file(version);
        if file.exists() {
            return Ok(());
        }
        replace(&file, text.as_bytes())
    }

    /// What the node begins with: the newest root that follows from the one it joined with, and the
    /// member list, neither older than what it has had in force.
    ///
    /// # Errors
    /// [`NodeError::Root`], [`NodeError::List`] or [`NodeError::Seen`].
    pub(super) fn trusted(&self, now: Timestamp) -> Result<Trusted, NodeError> {
        let root = self.root(now)?;
        let seen = self.seen()?;
        let roster = match self.staged_list(&root, seen.as_ref(), now) {
            Some(staged) => staged,
            None => self.kept_list(&root, seen.as_ref(), now)?,
        };
        let next = match &seen {
            None => {
                tracing::info!("notes the root and member list in force in seen.json");
                Seen::first(&root, &roster)
            }
            Some(seen) => {
                let walked = self.walked_from(seen, &root, now)?;
                walked.check_list(&roster)?;
                walked.with_list(&roster)
            }
        };
        if seen.as_ref() != Some(&next) {
            let noted = self.memory().note(&next);
            noted.map_err(|reason| NodeError::Folder(format!("seen.json: {reason}")))?;
        }
        self.keep_root(&root)?;
        let departures = self.departures(root.network())?;
        Ok(Trusted {
            root,
            roster,
            seen: next,
            departures,
        })
    }

    /// A member list on its way in: it is noted as seen before it takes the place of the one before,
    /// and a node may be killed in between.
    fn staged(&self) -> PathBuf {
        self.path().join("staged.json")
    }

    /// Keeps a list beside the one in force, before it is noted as seen.
    pub(super) fn stage_list(&self, text: &str) -> Result<(), NodeError> {
        replace(&self.staged(), text.as_bytes())
    }

    /// The list that was on its way in when the node was killed, if it is the one noted as seen and
    /// the one in the folder is not. It takes that one's place.
    fn staged_list(
        &self,
        root: &NetworkRoot,
        seen: Option<&Seen>,
        now: Timestamp,
    ) -> Option<Roster> {
        let seen = seen?;
        let is_seen = |text: &String| {
            let roster = Roster::verify_kept(root, text, now).ok()?;
            seen.is_list(&roster).then_some(roster)
        };
        let held = self.text(&self.members()).ok();
        if held.as_ref().is_some_and(|text| is_seen(text).is_some()) {
            return None;
        }
        let text = super::read_text(&self.staged()).ok()?;
        let staged = is_seen(&text)?;
        self.replace_list(&text).ok()?;
        Some(staged)
    }

    /// What is seen with the root that was just walked to, where `network.json` is the one noted or
    /// one that it grew from.
    fn walked_from(
        &self,
        seen: &Seen,
        root: &NetworkRoot,
        now: Timestamp,
    ) -> Result<Seen, NodeError> {
        if root.version() <= seen.root_version() {
            seen.check_root(root)?;
            return Ok(seen.clone());
        }
        // A newer one counts only if the walk passed the one noted.
        let mut at = NetworkRoot::verify_kept(&self.text(&self.network())?, now)?;
        for text in self.later_roots(at.version()) {
            if at.version() == seen.root_version() {
                break;
            }
            at = NetworkRoot::succeed_kept(&at, &text, now)?;
        }
        seen.check_root(&at)?;
        Ok(seen.with_root(root))
    }

    /// The list in the folder. One that was in force under an earlier root stays in force until the
    /// administrators have published one under the newest, though some who signed it are gone.
    fn kept_list(
        &self,
        root: &NetworkRoot,
        seen: Option<&Seen>,
        now: Timestamp,
    ) -> Result<Roster, NodeError> {
        let text = self.text(&self.members())?;
        let refused = match Roster::verify_kept(root, &text, now) {
            Ok(roster) => return Ok(roster),
            Err(refused @ ListError::Document(_)) => refused,
            Err(refused) => return Err(refused.into()),
        };
        let former = Signed::<MemberList>::parse(&text)
            .ok()
            .map(|list| list.document().root_version)
            .filter(|version| *version < root.version())
            .and_then(|version| super::read_text(&self.root_file(version)).ok())
            .and_then(|text| NetworkRoot::verify_kept(&text, now).ok())
            .and_then(|former| Roster::verify_kept(&former, &text, now).ok());
        match (former, seen) {
            (Some(roster), Some(seen)) if seen.is_list(&roster) => Ok(roster),
            _ => Err(refused.into()),
        }
    }

    /// Keeps root documents that somebody sent, as far as they follow `held`; gives how many are
    /// newer. Files in `roots` that do not follow give way to those that do.
    ///
    /// # Errors
    /// [`NodeError::Root`] where they do not follow: none is kept then.
    pub(super) fn keep_sent_roots(
        &self,
        held: &NetworkRoot,
        texts: &[String],
        now: Timestamp,
    ) -> Result<usize, NodeError> {
        let mut newer = Vec::new();
        for text in texts.iter().take(ROOTS_SENT_MAX) {
            let root = Signed::<RootDocument>::parse(text).map_err(RootError::Document)?;
            if root.document().version > held.version() {
                newer.push(text.clone());
            }
        }
        let walked = NetworkRoot::walk(held, &newer, now)?;
        for (root, text) in walked.iter().zip(&newer) {
            let file = self.root_file(root.version());
            if std::fs::read_to_string(&file).is_ok_and(|kept| kept == *text) {
                continue;
            }
            let folder = self.roots();
            std::fs::create_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
            replace(&file, text.as_bytes())?;
        }
        Ok(walked.len())
    }

    /// Lets `trust` hand on the roots before the one in force.
    pub(super) fn remember_former_roots(&self, trust: &TrustHandle) {
        super::root_files::remember_former(self.path(), trust);
    }

    /// Takes the roots that lie in `roots` after the one in force: as many as follow.
    ///
    /// # Errors
    /// [`NodeError::Root`] for the first that does not follow; those before it are in force then.
    pub(super) fn take_roots(&self, trust: &TrustHandle) -> Result<(), NodeError> {
        let mut texts = self.later_roots(trust.root().version());
        let mut refused = None;
        while !texts.is_empty() {
            match trust.install_roots(&texts) {
                Ok(installed) => {
                    tracing::info!(?installed, "network root taken");
                    self.keep_root(&trust.root())?;
                    break;
                }
                // Somebody else took them meanwhile: from a file, or from a registrar.
                Err(RootError::RolledBack { held, offered }) if held >= offered => break,
                Err(error) => {
                    refused.get_or_insert(error);
                    texts.pop();
                }
            }
        }
        refused.map_or(Ok(()), |error: RootError| Err(error.into()))
    }

    /// What changes when files arrive in `roots`.
    pub(super) fn roots_mark(&self, held: u32) -> Vec<(i64, i64, u64)> {
        (1..=WALK_MAX)
            .filter_map(|step| held.checked_add(step))
            .map_while(|version| self.root_file(version).metadata().ok())
            .map(|found| (found.mtime(), found.mtime_nsec(), found.len()))
            .collect()
    }
}
