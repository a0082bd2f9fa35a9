//! The registrar's membership log: what is handed out is logged, on disk and signed, before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::desk::{Inner, Outcome, local};
use crate::crypto::Signs;
use crate::domain::{MemberId, Timestamp};
use crate::limits::{CERTIFICATES_PER_MEMBER_DAY_MAX, LOG_PAGE_BYTES_MAX, LOG_PAGE_ENTRIES_MAX};
use crate::membership::{
    CertificateStatement, History, KeyStatement, LogEntry, LogEvent, MemberState, NetworkRoot,
    Roster, log_id, log_origin,
};
use crate::merkle::{Checkpoint, SignedNote};
use crate::node::NodeError;
use crate::node::log_file::{LogFile, LogPlace};
use crate::service::RegistrarRefusal;
use crate::wire::LogPage;

const DAY_MS: i64 = 86_400_000;

/// The log of one registrar key.
#[derive(Debug)]
pub(super) struct MembershipLog {
    origin: String,
    /// Held while entries are written; those that arrive meanwhile are written together.
    writer: Mutex<Writer>,
    queue: Mutex<Queue>,
    newest: Mutex<String>,
}

#[derive(Debug)]
struct Writer {
    place: LogPlace,
    file: LogFile,
    history: History,
    issued: Issued,
    /// Why nothing can be written any more.
    broken: Option<String>,
}

/// Certificates logged of each member on the last day on which it got one.
#[derive(Debug, Default)]
struct Issued(BTreeMap<MemberId, (i64, u32)>);

impl Issued {
    /// How many a member got on the day of this moment.
    fn on_day(&self, member: &MemberId, at: Timestamp) -> u32 {
        let of_day = self.0.get(member).filter(|(on, _)| *on == day_of(at));
        of_day.map_or(0, |(_, count)| *count)
    }

    fn note(&mut self, member: &MemberId, at: Timestamp) {
        let count = self.on_day(member, at).saturating_add(1);
        self.0.insert(member.clone(), (day_of(at), count));
    }
}

fn day_of(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(DAY_MS)
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
    /// Opens the log of `key` in the registrar's folder, or begins it.
    pub(super) fn open(
        folder: &Path,
        root: &NetworkRoot,
        key: &dyn Signs,
        now: Timestamp,
    ) -> Result<Self, NodeError> {
        let origin = log_origin(root.network(), &key.public());
        let place = LogPlace::at(&folder.join("registrar/log").join(log_id(&key.public())));
        let wrong = |why: String| NodeError::Folder(format!("{}: {why}", place.folder().display()));
        let text = if let Some(text) = place.checkpoint_text()? {
            text
        } else {
            let empty = History::new(root.network().clone());
            let note = sign(&origin, &empty, key, now).map_err(wrong)?;
            place.begin(&note)?;
            note
        };
        let signed = SignedNote::parse(&text)
            .and_then(|note| Checkpoint::open(&note, &origin, &key.public()))
            .map_err(|error| wrong(error.to_string()))?;
        let mut history = History::new(root.network().clone());
        let mut issued = Issued::default();
        let file = LogFile::open(&place, signed.size(), |leaf| {
            // Whatever is wrong with an entry was signed long ago; readers say what they find.
            let taken = history.take_again(leaf);
            let taken = taken.map_err(|error| NodeError::Folder(error.to_string()))?;
            if let Ok(LogEntry {
                at,
                event: LogEvent::Certificate { member, .. },
            }) = &taken
            {
                issued.note(member, *at);
            }
            Ok(())
        })?;
        if history.size() < signed.size() {
            return Err(wrong(format!(
                "the membership log has {} whole entries, and its checkpoint was signed for {}: \
                 entries that members have seen are missing, and a registrar that went on would \
                 show two histories. Copy `entries` and `checkpoint` of this log from the folder \
                 `log` of a member's node that followed to the end",
                history.size(),
                signed.size()
            )));
        }
        if history.tree_root() != *signed.root() {
            return Err(wrong(
                "the entries of the membership log are not those that its checkpoint was signed \
                 for: copy `entries` and `checkpoint` of this log from the folder `log` of a \
                 member's node"
                    .to_owned(),
            ));
        }
        let writer = Writer {
            place,
            file,
            history,
            issued,
            broken: None,
        };
        Ok(Self {
            origin,
            writer: Mutex::new(writer),
            queue: Mutex::default(),
            newest: Mutex::new(text),
        })
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
                let note = sign(&self.origin, &writer.history, key, now);
                let note = note.map_err(NodeError::Folder)?;
                writer.place.put_checkpoint(&note)?;
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
                tracing::error!("{reason}; restart the registrar once there is room again");
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
        if origin != self.origin || writer.broken.is_some() {
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

impl Writer {
    /// The leaf of an event that may follow; `None` where the log says the same already.
    fn admit(&mut self, event: LogEvent, now: Timestamp) -> Outcome<Option<Vec<u8>>> {
        if let Some(reason) = &self.broken {
            return Err(RegistrarRefusal::Local(reason.clone()));
        }
        if let LogEvent::OprfKey(KeyStatement { terms, .. }) = &event {
            let held = self
                .history
                .oprf_key(&terms.member, terms.level, terms.epoch);
            if held == Some(terms.public_key) {
                return Ok(None);
            }
        }
        if let LogEvent::Certificate { member, .. } = &event {
            if self.issued.on_day(member, now) >= CERTIFICATES_PER_MEMBER_DAY_MAX {
                return Err(RegistrarRefusal::Full(
                    "this member had 288 certificates today: use the newest one",
                ));
            }
            self.issued.note(member, now);
        }
        let leaf = LogEntry { at: now, event }.encode().map_err(local)?;
        let refused = |fault: crate::membership::EntryFault| {
            RegistrarRefusal::NotNow(format!("the membership log does not take it: {fault}"))
        };
        self.history.judge(&leaf).map_err(refused)?;
        self.history
            .take_again(&leaf)
            .map_err(local)?
            .map_err(refused)?;
        Ok(Some(leaf))
    }
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
