//! What must hold: the same answers as if the record had never been, and a revision notice for
//! everybody who was answered from it, and for nobody else.

use std::collections::{BTreeMap, BTreeSet};

use creditmesh::domain::{
    Body, LenderGroup, MemberId, NetworkId, QueryId, Record, RecordId, RetractionReason,
    RevisionKind, SummaryTerms, resting, summarize, withdrawal,
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

/// The newest versions of a borrower's records at a member, of all or of those with a phone number.
fn book(lived: &Lived, heard: &Heard, side: usize, by_phone: bool) -> Vec<Record> {
    let mut newest: BTreeMap<RecordId, Record> = BTreeMap::new();
    for version in &lived.versions[..heard.versions] {
        let own = version.side == side && version.borrower == heard.borrower;
        if own && (!by_phone || version.record.borrower.phone.is_some()) {
            newest.insert(version.record.head.record_id, version.record.clone());
        }
    }
    newest.into_values().collect()
}

/// How many revisions of each kind an answer should have from a member: at least, at most.
type Bounds = BTreeMap<RevisionKind, (usize, usize)>;

struct Expected {
    bounds: Bounds,
    /// Whether without what was retracted since, the member would have told something else.
    must: bool,
}

fn expected(lived: &Lived, heard: &Heard, side: usize) -> Expected {
    let (network, bands): (NetworkId, _) = ("retracting-net".parse().unwrap(), bands());
    let own_group: LenderGroup = MEMBERS[side].0.parse().unwrap();
    let terms = SummaryTerms {
        level: level(heard.side),
        network: &network,
        own_group: &own_group,
        bands: &bands,
        now: heard.at,
    };
    let mut events: Vec<(RecordId, RevisionKind)> = Vec::new();
    let mut known: BTreeMap<RecordId, Record> = BTreeMap::new();
    for (at, version) in lived.versions.iter().enumerate() {
        let record = &version.record;
        let before = known.get(&record.head.record_id);
        if at >= heard.versions
            && let Some((about, kind)) = withdrawal(before, record)
        {
            let gone = known.get(&about).is_none_or(Record::is_retracted);
            let day = record.head.reported_at.day();
            let later = matches!(&record.body, Body::Signal(signal) if signal.is_live(day));
            let is_silent = match kind {
                RevisionKind::Retracted => false,
                RevisionKind::Corrected => later,
                RevisionKind::Disputed => gone,
            };
            if !is_silent {
                events.push((about, kind));
            }
        }
        known.insert(record.head.record_id, record.clone());
    }
    let gone: BTreeSet<RecordId> = events
        .iter()
        .filter(|(_, kind)| *kind == RevisionKind::Retracted)
        .map(|(id, _)| *id)
        .collect();
    let (mut least, mut most) = (BTreeSet::new(), BTreeSet::new());
    let mut must = false;
    for by_phone in [false, true] {
        let held = book(lived, heard, side, by_phone);
        least.extend(resting(&held, &terms));
        // Whether a hold still lives the asker sees for itself; it was told when it was published.
        let holds = held.iter().filter(|one| matches!(one.body, Body::Hold(_)));
        most.extend(holds.map(|one| one.head.record_id));
        let mut without = held.clone();
        for one in &mut without {
            if gone.contains(&one.head.record_id) && !one.is_retracted() {
                *one = one.retracted(RetractionReason::FurnisherError, heard.at);
            }
        }
        let told = summarize(&held, &terms).summary;
        must |= !told.tells_the_same(&summarize(&without, &terms).summary);
    }
    most.extend(least.iter().copied());
    let count = |ids: &BTreeSet<RecordId>, kind: RevisionKind| {
        let of_kind = events.iter().filter(|(_, one)| *one == kind);
        of_kind.filter(|(id, _)| ids.contains(id)).count()
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
