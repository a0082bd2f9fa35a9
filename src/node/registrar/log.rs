//! The registrar's membership log: what is handed out is logged, on disk and signed, before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::desk::{Inner, Outcome, local};
use super::log_seen::LogSeen;
use super::log_writer::{Source, Writer};
use crate::crypto::Signs;
use crate::domain::{MemberId, Timestamp};
use crate::limits::{LOG_PAGE_BYTES_MAX, LOG_PAGE_ENTRIES_MAX};
use crate::membership::{
    CertificateStatement, History, KeyStatement, LogEvent, MemberState, NetworkRoot, Roster,
    log_id, log_origin,
};
use crate::merkle::Checkpoint;
use crate::node::NodeError;
use crate::node::log_file::LogPlace;
use crate::service::RegistrarRefusal;
use crate::wire::LogPage;

/// The log of one registrar key.
#[derive(Debug)]
pub(super) struct MembershipLog {
    source: Source,
    /// Held while entries are written; those that arrive meanwhile are written together.
    writer: Mutex<Writer>,
    queue: Mutex<Queue>,
    newest: Mutex<String>,
    seen: LogSeen,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: Vec<(u64, LogEvent)>,
    done: BTreeMap<u64, Outcome<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MembershipLog {
    /// Opens the log of `key` in the registrar's folder, or begins it where `roster` is the first
    /// list.
    pub(super) fn open(
        folder: &Path,
        root: &NetworkRoot,
        roster: &Roster,
        key: &dyn Signs,
        now: Timestamp,
    ) -> Result<Self, NodeError> {
        let id = log_id(&key.public());
        let origin = log_origin(root.network(), &key.public());
        let place = LogPlace::at(&folder.join("registrar/log").join(&id));
        let seen = LogSeen::at(folder, &id);
        let begun = place.checkpoint_text()?.is_some();
        if !begun {
            seen.require_none(place.folder())?;
            let empty = History::new(root.network().clone());
            let note = sign(&origin, &empty, key, now).map_err(NodeError::Folder)?;
            seen.may_begin(place.folder(), roster.version())?;
            place.begin(&note)?;
        }
        let source = Source {
            place,
            origin,
            key: key.public(),
            network: root.network().clone(),
        };
        let (writer, text) = Writer::open(&source)?;
        if writer.history.size() == 0 {
            seen.may_begin(source.place.folder(), roster.version())?;
        }
        seen.require_within(source.place.folder(), writer.history.size())?;
        Ok(Self {
            source,
            writer: Mutex::new(writer),
            queue: Mutex::default(),
            newest: Mutex::new(text),
            seen,
        })
    }

    /// Looks at what is on disk anew where nothing could be written; gives whether all is well.
    fn mend(&self) -> Result<(), NodeError> {
        let mut writer = locked(&self.writer);
        if writer.broken.is_none() {
            return Ok(());
        }
        let (fresh, text) = Writer::open(&self.source)?;
        *locked(&self.newest) = text;
        *writer = fresh;
        tracing::info!("the membership log is written again");
        Ok(())
    }

    /// Refuses documents in force that are older than those logged, or other ones.
    fn require_newest(&self, root: &NetworkRoot, roster: &Roster) -> Result<(), NodeError> {
        let writer = locked(&self.writer);
        let root = (root.version(), *root.fingerprint());
        let list = (roster.version(), *roster.digest());
        let is_behind = |held: Option<(u32, [u8; 32])>, own: (u32, [u8; 32])| {
            held.is_some_and(|held| held.0 > own.0 || (held.0 == own.0 && held.1 != own.1))
        };
        let told = |what: &str, held: Option<(u32, [u8; 32])>, own: u32, file: &str| {
            let held = held.map_or(0, |(version, _)| version);
            NodeError::Folder(format!(
                "{what} {own} is in force in this folder, and the membership log names {what} \
                 {held} already, which members have: an older file was put back, or another one, \
                 and a registrar that went on would publish a second {what} {}. Copy {file} from \
                 another registrar's folder or from the folder of a member's node that followed",
                held.max(own.saturating_add(1)),
            ))
        };
        if is_behind(writer.history.root(), root) {
            let file = "`network.json` and the folder `roots`";
            return Err(told("root", writer.history.root(), root.0, file));
        }
        if is_behind(writer.history.list(), list) {
            let held = writer.history.list();
            return Err(told(
                "member list",
                held,
                list.0,
                "the newest `members.json`",
            ));
        }
        Ok(())
    }

    /// Logs an event; it is on disk and signed for when this comes back. Events that wait for the
    /// disk at the same time share one write and one signature.
    fn log(&self, event: LogEvent, key: &dyn Signs, now: Timestamp) -> Outcome<()> {
        let ticket = {
            let mut queue = locked(&self.queue);
            queue.next += 1;
            let ticket = queue.next;
            queue.waiting.push((ticket, event));
            ticket
        };
        let mut writer = locked(&self.writer);
        let batch = {
            let mut queue = locked(&self.queue);
            if let Some(outcome) = queue.done.remove(&ticket) {
                return outcome;
            }
            std::mem::take(&mut queue.waiting)
        };
        let (tickets, events): (Vec<u64>, Vec<LogEvent>) = batch.into_iter().unzip();
        let outcomes = self.write(&mut writer, events, key, now);
        let mut own = Ok(());
        let mut queue = locked(&self.queue);
        for (of, outcome) in tickets.into_iter().zip(outcomes) {
            if of == ticket {
                own = outcome;
            } else {
                queue.done.insert(of, outcome);
            }
        }
        own
    }

    /// Logs the documents that are about to be handed out, where they are newer than those logged.
    fn log_documents(
        &self,
        (root, roster): (&NetworkRoot, &Roster),
        key: &dyn Signs,
        now: Timestamp,
    ) -> Outcome<()> {
        let mut writer = locked(&self.writer);
        let mut events = Vec::new();
        let is_newer =
            |held: Option<(u32, [u8; 32])>, version| held.is_none_or(|(held, _)| held < version);
        let other = writer
            .history
            .list()
            .filter(|(held, digest)| *held == roster.version() && digest != roster.digest());
        if let Some((version, _)) = other {
            return Err(RegistrarRefusal::NotNow(format!(
                "the membership log names another member list {version}: restart the registrar, \
                 which says what to copy"
            )));
        }
        if is_newer(writer.history.root(), root.version()) {
            events.push(LogEvent::Root {
                version: root.version(),
                digest: *root.fingerprint(),
            });
        }
        if is_newer(writer.history.list(), roster.version()) {
            events.push(writer.history.list_event(roster.list(), roster.digest()));
        }
        if events.is_empty() {
            return Ok(());
        }
        let outcomes = self.write(&mut writer, events, key, now);
        outcomes.into_iter().collect()
    }

    /// Writes what may follow, signs for it, and tells what became of each event.
    fn write(
        &self,
        writer: &mut Writer,
        events: Vec<LogEvent>,
        key: &dyn Signs,
        now: Timestamp,
    ) -> Vec<Outcome<()>> {
        let mut leaves = Vec::new();
        let outcomes: Vec<Outcome<()>> = events
            .into_iter()
            .map(|event| {
                leaves.extend(writer.admit(event, now)?);
                Ok(())
            })
            .collect();
        if leaves.is_empty() {
            return outcomes;
        }
        let written = writer
            .file
            .append(&leaves)
            .and_then(|()| writer.file.sync())
            .and_then(|()| {
                let note = sign(&self.source.origin, &writer.history, key, now);
                let note = note.map_err(NodeError::Folder)?;
                self.source.place.put_checkpoint(&note)?;
                Ok(note)
            });
        match written {
            Ok(note) => {
                *locked(&self.newest) = note;
                outcomes
            }
            Err(error) => {
                // What is on disk now is known only after a fresh look at it.
                let reason = format!("the membership log cannot be written: {error}");
                tracing::error!("{reason}; tried again once there is room");
                writer.broken = Some(reason.clone());
                let failed = |_| Err(RegistrarRefusal::Local(reason.clone()));
                outcomes
                    .into_iter()
                    .map(|one| one.and_then(failed))
                    .collect()
            }
        }
    }

    /// The newest signed checkpoint.
    pub(super) fn checkpoint(&self) -> String {
        locked(&self.newest).clone()
    }

    fn page(&self, origin: &str, from: u64, until: u64) -> Outcome<LogPage> {
        // Under the writer's lock every entry in the file is signed for.
        let writer = locked(&self.writer);
        let checkpoint = self.checkpoint();
        if origin != self.source.origin || writer.broken.is_some() {
            return Ok(LogPage {
                checkpoint,
                entries: Vec::new(),
            });
        }
        let bounds = (LOG_PAGE_ENTRIES_MAX, LOG_PAGE_BYTES_MAX);
        Ok(LogPage {
            entries: writer.file.page((from, until), bounds).map_err(local)?,
            checkpoint,
        })
    }
}

fn sign(
    origin: &str,
    history: &History,
    key: &dyn Signs,
    now: Timestamp,
) -> Result<String, String> {
    Checkpoint::new(origin, history.size(), history.tree_root(), now)
        .and_then(|checkpoint| checkpoint.sign(key))
        .map(|note| note.to_string())
        .map_err(|error| error.to_string())
}

impl Inner {
    /// The log with the key that signs for it, in networks that have one.
    fn signed_log(&self) -> Option<(&MembershipLog, &dyn Signs)> {
        let log = self.log.as_ref()?;
        Some((log, self.freshness_key.as_ref()?.key()))
    }

    fn log_event(&self, event: LogEvent) -> Outcome<()> {
        let Some((log, key)) = self.signed_log() else {
            return Ok(());
        };
        self.log_in_force()?;
        log.log(event, key, self.clock.now())
    }

    /// Logs root and list in force, where the log does not name them yet.
    pub(super) fn log_in_force(&self) -> Outcome<()> {
        self.log_list(&self.trust.roster())
    }

    /// Goes on after a fault: looks at the log anew, and publishes the list that waits. Gives
    /// whether all is well.
    pub(super) fn go_on(&self) -> bool {
        let gone_on = self.mend_log().and_then(|()| {
            let mut files = self.files();
            self.finish_publication(&mut files)
        });
        let logged = gone_on.and_then(|()| self.log_in_force());
        if let Err(error) = &logged {
            tracing::error!(%error, "cannot log the documents in force");
        }
        if let Some(log) = &self.log {
            let size = locked(&log.writer).signed_size();
            if let Err(error) = log.seen.note(size) {
                tracing::warn!(%error, "cannot note how long the membership log is");
            }
        }
        logged.is_ok()
    }

    /// Looks at the log anew where it could not be written.
    pub(super) fn mend_log(&self) -> Outcome<()> {
        self.log
            .as_ref()
            .map_or(Ok(()), |log| log.mend().map_err(local))
    }

    /// Goes on only where the log names no newer documents than those in force.
    pub(super) fn require_newest(&self) -> Result<(), NodeError> {
        let (root, roster) = (self.trust.root(), self.trust.roster());
        self.log
            .as_ref()
            .map_or(Ok(()), |log| log.require_newest(&root, &roster))
    }

    /// Logs a root that is about to be published.
    pub(super) fn log_root(&self, root: &NetworkRoot) -> Outcome<()> {
        let Some((log, key)) = self.signed_log() else {
            return Ok(());
        };
        log.log_documents((root, &self.trust.roster()), key, self.clock.now())
    }

    /// Logs a list that is about to be published.
    pub(super) fn log_list(&self, roster: &Roster) -> Outcome<()> {
        let Some((log, key)) = self.signed_log() else {
            return Ok(());
        };
        log.log_documents((&self.trust.root(), roster), key, self.clock.now())
    }

    /// Logs a certificate before it is handed out.
    pub(super) fn log_certificate(
        &self,
        member: &MemberId,
        spki_sha256: [u8; 32],
        statement: &CertificateStatement,
    ) -> Outcome<()> {
        self.log_event(LogEvent::Certificate {
            member: member.clone(),
            spki_sha256,
            statement: *statement,
        })
    }

    /// Logs that an invitation is spent.
    pub(super) fn log_spent(&self, invitation_id: [u8; 16], member: &MemberId) -> Outcome<()> {
        self.log_event(LogEvent::InvitationSpent {
            invitation_id,
            member: member.clone(),
        })
    }

    /// Logs an OPRF key that a member states, for a key epoch that is near.
    pub(super) fn file_statement(&self, statement: KeyStatement) -> Outcome<()> {
        if self.log.is_none() {
            return Err(RegistrarRefusal::NotNow(
                "this registrar keeps no membership log: its network names no freshness key"
                    .to_owned(),
            ));
        }
        let terms = &statement.terms;
        let (now, calendar) = (self.clock.now(), self.trust.root().calendar());
        let mut near = calendar
            .served(now)
            .into_iter()
            .chain(calendar.to_announce(now));
        if !near.any(|epoch| epoch == terms.epoch) {
            return Err(RegistrarRefusal::Document(
                "the key is for a key epoch that is over or not to be announced yet: compare the \
                 clocks"
                    .to_owned(),
            ));
        }
        let roster = self.trust.roster();
        let listed = roster.member(&terms.member);
        let listed = listed.filter(|member| member.state == MemberState::Active);
        let listed = listed.ok_or_else(|| {
            RegistrarRefusal::NotNow(format!("{} is not active on the member list", terms.member))
        })?;
        statement
            .check(roster.network(), &listed.identity_key, now)
            .map_err(|error| RegistrarRefusal::Document(error.to_string()))?;
        self.log_event(LogEvent::OprfKey(statement))
    }

    /// The newest checkpoint of the log.
    pub(super) fn log_checkpoint(&self) -> Option<String> {
        self.log.as_ref().map(MembershipLog::checkpoint)
    }

    /// A page of the log.
    pub(super) fn read_log(&self, origin: &str, from: u64, until: u64) -> Outcome<LogPage> {
        match &self.log {
            Some(log) => log.page(origin, from, until),
            None => Ok(LogPage::default()),
        }
    }
}
