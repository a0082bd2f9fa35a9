//! What must hold: the same answers as if the record had never been, and a revision notice for
//! everybody who was answered from it, and for nobody else.

use std::collections::{BTreeMap, BTreeSet};

use creditmesh::config::built_in_retention;
use creditmesh::domain::{
    Body, LenderGroup, Level, MemberId, NetworkId, QueryId, Record, RecordId, RetractionReason,
    RevisionKind, SummaryTerms, Timestamp, expiry, resting, summarize, withdrawal,
};
use serde_json::Value;

use crate::history::level;
use crate::life::{Heard, Lived};
use crate::town::{MEMBERS, bands, member};

/// What the last answers must not differ in. Without the flag that says that an answer changed.
fn essence(heard: &Heard) -> BTreeMap<&'static str, Value> {
    let json = &heard.json;
    let mut told: BTreeMap<&'static str, Value> =
        ["counts", "outcome", "score", "bands", "coverage"]
            .map(|key| (key, json[key].clone()))
            .into();
    let flags = json["flags"].as_array().unwrap().iter();
    let flags = flags.filter(|flag| flag["code"] != "RV").cloned();
    told.insert("flags", flags.collect());
    told
}

/// In what the last answers differ from those of the world without.
pub(crate) fn differences(lived: &Lived, never: &Lived) -> Vec<String> {
    let mut broken = Vec::new();
    for (one, other) in lived.last.iter().zip(&never.last) {
        for (key, value) in essence(one) {
            let without = &essence(other)[key];
            if value != *without {
                let who = MEMBERS[one.side].0;
                broken.push(format!("{who} heard {key} {value} instead of {without}"));
            }
        }
    }
    if lived.last.len() != never.last.len() {
        broken.push("the worlds were not asked alike".to_owned());
    }
    broken
}

/// The newest of the first `versions` versions of a borrower's records at a member, of all or of
/// those with a phone number and the retracted ones that these are about.
fn book(lived: &Lived, whose: (usize, usize), versions: usize, by_phone: bool) -> Vec<Record> {
    let mut newest: BTreeMap<RecordId, Record> = BTreeMap::new();
    for version in &lived.versions[..versions] {
        if (version.side, version.borrower) == whose {
            newest.insert(version.record.head.record_id, version.record.clone());
        }
    }
    let has_phone = |record: &Record| !by_phone || record.borrower.phone.is_some();
    let told = newest.values().filter(|one| has_phone(one));
    let subjects: BTreeSet<RecordId> = told.filter_map(|one| one.subject()).collect();
    newest.retain(|id, one| has_phone(one) || one.is_retracted() && subjects.contains(id));
    newest.into_values().collect()
}

/// What was taken back, corrected or disputed after an answer.
struct Event {
    about: RecordId,
    kind: RevisionKind,
    /// Versions filed anywhere before it.
    versions: usize,
    at: Timestamp,
}

impl Event {
    /// Whether it is of this record, or takes it along: what is said about a retracted record goes
    /// with it.
    fn takes(&self, record: &Record) -> bool {
        let along = self.kind == RevisionKind::Retracted && record.subject() == Some(self.about);
        record.head.record_id == self.about || along
    }
}

/// Those of these records that may have been deleted by then: whose terms are over, and what is
/// about them.
fn fading(held: &[Record], now: Timestamp) -> BTreeSet<RecordId> {
    let policy = built_in_retention().unwrap();
    let is_over = |record: &&Record| {
        let end = expiry(record, &policy.terms(&record.borrower));
        end.is_some_and(|end| end.at <= now)
    };
    let over = held.iter().filter(is_over);
    let mut fading: BTreeSet<RecordId> = over.map(|one| one.head.record_id).collect();
    loop {
        let about = |one: &&Record| one.subject().is_some_and(|id| fading.contains(&id));
        let more = held.iter().filter(about).map(|one| one.head.record_id);
        let more: BTreeSet<RecordId> = more.filter(|id| !fading.contains(id)).collect();
        if more.is_empty() {
            return fading;
        }
        fading.extend(more);
    }
}

/// The events after an answer of which whoever was answered is to hear.
fn events(lived: &Lived, heard: &Heard) -> Vec<Event> {
    let mut events = Vec::new();
    let mut known: BTreeMap<RecordId, &Record> = BTreeMap::new();
    for (at, version) in lived.versions.iter().enumerate() {
        let record = &version.record;
        let before = known.get(&record.head.record_id).copied();
        if at >= heard.versions
            && let Some((about, kind)) = withdrawal(before, record)
        {
            let gone = known.get(&about).is_none_or(|one| one.is_retracted());
            let day = record.head.reported_at.day();
            let later = matches!(&record.body, Body::Signal(signal) if signal.is_live(day));
            let is_silent = match kind {
                RevisionKind::Retracted | RevisionKind::Decided => false,
                RevisionKind::Corrected => later,
                RevisionKind::Disputed => gone,
            };
            if !is_silent {
                events.push(Event {
                    about,
                    kind,
                    versions: at,
                    at: record.head.reported_at,
                });
            }
        }
        known.insert(record.head.record_id, record);
    }
    events
}

/// How many revisions of each kind an answer should have from a member: at least, at most.
type Bounds = BTreeMap<RevisionKind, (usize, usize)>;

struct Expected {
    bounds: Bounds,
    /// Whether without what was retracted since, the member would have told something else.
    must: bool,
}

/// How a member tells of a borrower at the level of whoever asks.
struct Teller<'a> {
    lived: &'a Lived,
    level: Level,
    side: usize,
    borrower: usize,
    by_phone: bool,
}

impl Teller<'_> {
    fn book(&self, versions: usize) -> Vec<Record> {
        let whose = (self.side, self.borrower);
        book(self.lived, whose, versions, self.by_phone)
    }

    fn under<T>(&self, now: Timestamp, of: impl FnOnce(&SummaryTerms<'_>) -> T) -> T {
        let (network, bands): (NetworkId, _) = ("retracting-net".parse().unwrap(), bands());
        let own_group: LenderGroup = MEMBERS[self.side].0.parse().unwrap();
        of(&SummaryTerms {
            level: self.level,
            network: &network,
            own_group: &own_group,
            bands: &bands,
            now,
        })
    }

    fn tells_the_same(&self, one: &[Record], other: &[Record], now: Timestamp) -> bool {
        self.under(now, |terms| {
            let told = summarize(one, terms).summary;
            told.tells_the_same(&summarize(other, terms).summary)
        })
    }

    /// A dispute or a correction after which the same is told as before revises nothing.
    fn shows(&self, event: &Event) -> bool {
        let (before, after) = (self.book(event.versions), self.book(event.versions + 1));
        event.kind == RevisionKind::Retracted || !self.tells_the_same(&before, &after, event.at)
    }
}

fn expected(lived: &Lived, heard: &Heard, side: usize) -> Expected {
    let events = events(lived, heard);
    let gone = events.iter();
    let gone = gone.filter(|one| one.kind == RevisionKind::Retracted);
    let gone: BTreeSet<RecordId> = gone.map(|one| one.about).collect();
    let (mut least, mut most) = (BTreeSet::new(), BTreeSet::new());
    let mut must = false;
    for by_phone in [false, true] {
        let teller = Teller {
            lived,
            level: level(heard.side),
            side,
            borrower: heard.borrower,
            by_phone,
        };
        let held = teller.book(heard.versions);
        let rests = teller.under(heard.at, |terms| resting(&held, terms));
        let fading = fading(&held, heard.at);
        // Whether a hold still lives the asker sees for itself; it was told when it was published.
        let holds = held.iter().filter(|one| matches!(one.body, Body::Hold(_)));
        let holds: BTreeSet<RecordId> = holds.map(|one| one.head.record_id).collect();
        for (number, event) in events.iter().enumerate() {
            let goes = |one: &Record| event.takes(one) && rests.contains(&one.head.record_id);
            let rested = held.iter().any(goes);
            let lasts = |one: &Record| goes(one) && !fading.contains(&one.head.record_id);
            if held.iter().any(lasts) && teller.shows(event) {
                least.insert(number);
            }
            if rested || holds.contains(&event.about) {
                most.insert(number);
            }
        }
        let lasts = held
            .iter()
            .filter(|one| !fading.contains(&one.head.record_id));
        let held: Vec<Record> = lasts.cloned().collect();
        let mut without = held.clone();
        for one in &mut without {
            let goes = one.subject().is_some_and(|about| gone.contains(&about));
            if (goes || gone.contains(&one.head.record_id)) && !one.is_retracted() {
                *one = one.retracted(RetractionReason::FurnisherError, heard.at);
            }
        }
        must |= !teller.tells_the_same(&held, &without, heard.at);
    }
    let count = |numbers: &BTreeSet<usize>, kind: RevisionKind| {
        let of_kind = numbers.iter().filter(|one| events[**one].kind == kind);
        of_kind.count()
    };
    let bounds = RevisionKind::ALL.iter().copied();
    Expected {
        bounds: bounds
            .map(|kind| (kind, (count(&least, kind), count(&most, kind))))
            .collect(),
        must,
    }
}

/// Who lacks a revision notice, and who has one too many.
pub(crate) fn misdirected(lived: &Lived) -> Vec<String> {
    let mut broken = Vec::new();
    let mut found: BTreeMap<(QueryId, MemberId), Vec<RevisionKind>> = BTreeMap::new();
    for (_, revision) in &lived.revisions {
        let place = (revision.query, revision.member.clone());
        found.entry(place).or_default().push(revision.kind);
    }
    for heard in lived.heard.iter().chain(&lived.last) {
        let mut all = 0;
        for (side, (name, _)) in MEMBERS.iter().enumerate() {
            let kinds = found.remove(&(heard.query, member(name)));
            let kinds = kinds.unwrap_or_default();
            all += kinds.len();
            if side == heard.side || heard.silent.contains(&member(name)) {
                if !kinds.is_empty() {
                    broken.push(format!("{name} told nothing, and revised {kinds:?}"));
                }
                continue;
            }
            let expected = expected(lived, heard, side);
            for (kind, (least, most)) in &expected.bounds {
                let count = kinds.iter().filter(|one| *one == kind).count();
                if !(*least..=*most).contains(&count) {
                    broken.push(format!(
                        "{}'s answer at {}: {count} of {name} {kind}, expected {least} to {most}",
                        MEMBERS[heard.side].0,
                        heard.at.to_rfc3339(),
                    ));
                }
            }
            if expected.must && !kinds.contains(&RevisionKind::Retracted) {
                broken.push(format!("{name} told of what is gone, and nothing says so"));
            }
        }
        if lived
            .shown
            .get(&heard.query)
            .is_some_and(|shown| *shown != all)
        {
            broken.push(format!("an answer with {all} revisions shows others"));
        }
    }
    if !found.is_empty() {
        broken.push(format!("{} revisions of no answer", found.len()));
    }
    broken
}
