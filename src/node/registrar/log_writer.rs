//! The files of the registrar's membership log as they are written: opened at the start, and
//! looked at anew after a fault.

use std::collections::BTreeMap;

use super::desk::{Outcome, local};
use crate::domain::{MemberId, NetworkId, Timestamp};
use crate::limits::CERTIFICATES_PER_MEMBER_DAY_MAX;
use crate::membership::{EntryFault, History, KeyStatement, LogEntry, LogEvent};
use crate::merkle::{Checkpoint, SignedNote};
use crate::node::NodeError;
use crate::node::log_file::{LogFile, LogPlace};
use crate::service::RegistrarRefusal;

const DAY_MS: i64 = 86_400_000;

/// Where a log lies, and who signs for it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) place: LogPlace,
    pub(super) origin: String,
    pub(super) key: [u8; 32],
    pub(super) network: NetworkId,
}

/// A log that is written.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: LogFile,
    pub(super) history: History,
    issued: Issued,
    /// Why nothing can be written until the files are looked at anew.
    pub(super) broken: Option<String>,
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

/// Checks that the entries are those that the checkpoint was signed for.
fn whole(history: &History, signed: &Checkpoint) -> Result<(), String> {
    if history.size() < signed.size() {
        return Err(format!(
            "the membership log has {} whole entries, and its checkpoint was signed for {}: \
             entries that members have seen are missing, and a registrar that went on would show \
             two histories. Copy `entries` and `checkpoint` of this log from the folder `log` of a \
             member's node that followed to the end",
            history.size(),
            signed.size()
        ));
    }
    if history.tree_root() != *signed.root() {
        return Err(
            "the entries of the membership log are not those that its checkpoint was signed for: \
             copy `entries` and `checkpoint` of this log from the folder `log` of a member's node"
                .to_owned(),
        );
    }
    Ok(())
}

impl Writer {
    /// Reads what lies on disk, cuts off what was never signed for, and gives the checkpoint too.
    pub(super) fn open(source: &Source) -> Result<(Self, String), NodeError> {
        let place = &source.place;
        let wrong = |why: String| NodeError::Folder(format!("{}: {why}", place.folder().display()));
        let text = place.checkpoint_text()?;
        let text = text.ok_or_else(|| wrong("its checkpoint is gone".to_owned()))?;
        let signed = SignedNote::parse(&text)
            .and_then(|note| Checkpoint::open(&note, &source.origin, &source.key))
            .map_err(|error| wrong(error.to_string()))?;
        let mut history = History::new(source.network.clone());
        let mut issued = Issued::default();
        let file = LogFile::open(place, signed.size(), |leaf| {
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
        whole(&history, &signed).map_err(wrong)?;
        let writer = Self {
            file,
            history,
            issued,
            broken: None,
        };
        Ok((writer, text))
    }

    /// Entries that a checkpoint was signed for; none where that is not known.
    pub(super) fn signed_size(&self) -> u64 {
        match self.broken {
            Some(_) => 0,
            None => self.history.size(),
        }
    }

    /// The leaf of an event that may follow; `None` where the log says the same already.
    pub(super) fn admit(&mut self, event: LogEvent, now: Timestamp) -> Outcome<Option<Vec<u8>>> {
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
        let refused = |fault: EntryFault| {
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
