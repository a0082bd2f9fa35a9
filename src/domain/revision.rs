//! What makes an earlier answer wrong in hindsight, and which records a summary rests on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ids::word_enum;
use super::{
    Body, Dispute, LoanState, Record, RecordId, RetractionReason, Signal, SignalKind, SummaryTerms,
    summarize,
};
use crate::limits::RESTING_TRIED_MAX;

/// How far a signal about a signal about a record is followed.
const SUBJECTS_MAX: usize = 4;

word_enum!(
    /// What happened to a record on which an answer had rested.
    RevisionKind {
        /// It was taken back: as if it had never been filed.
        Retracted = "retracted",
        /// A later version says that it had been wrong: a loan that was never paid out, a signal
        /// that ended earlier than it had said.
        Corrected = "corrected",
        /// The borrower disputes it: no automated use until the decision.
        Disputed = "disputed",
        /// A dispute of it ended by a decision, and the record stands.
        Decided = "decided",
    }
);

/// What the step from `held` to `next` withdraws, and of which record; `None` where it withdraws
/// nothing: payments, cures and other news were not untrue before.
#[must_use]
pub fn withdrawal(held: Option<&Record>, next: &Record) -> Option<(RecordId, RevisionKind)> {
    let own = next.head.record_id;
    let before = held.map(|held| &held.body);
    match (before, &next.body) {
        (Some(Body::Retracted(_)), _) => None,
        (_, Body::Retracted(end)) if end.reason == RetractionReason::DisputeDecided => {
            Some((own, RevisionKind::Decided))
        }
        // Also of a record that was deleted meanwhile, because its terms were over.
        (_, Body::Retracted(_)) => Some((own, RevisionKind::Retracted)),
        (Some(Body::Loan(before)), Body::Loan(after)) => {
            let void = |state| state == LoanState::Void;
            let open = |dispute| matches!(dispute, Dispute::Open);
            if void(after.state) && !void(before.state) {
                Some((own, RevisionKind::Corrected))
            } else {
                let opened = open(after.dispute) && !open(before.dispute);
                opened.then_some((own, RevisionKind::Disputed))
            }
        }
        (Some(Body::Signal(before)), Body::Signal(after)) => {
            let last = |signal: &Signal| signal.last_day();
            let earlier =
                last(after).is_some_and(|after| last(before).is_none_or(|before| after < before));
            earlier.then_some((own, RevisionKind::Corrected))
        }
        (None, Body::Signal(signal)) if signal.kind == SignalKind::Disputed => {
            signal.about.map(|about| (about, RevisionKind::Disputed))
        }
        (_, Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Signal(_)) => None,
    }
}

/// The records that the summary of `records` rests on: those that tell something by themselves,
/// with what they are about, and those without which the summary would be another.
#[must_use]
pub fn resting(records: &[Record], terms: &SummaryTerms<'_>) -> BTreeSet<RecordId> {
    let (gone, held): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|one| one.is_retracted());
    let by_id: BTreeMap<RecordId, &Record> =
        held.iter().map(|one| (one.head.record_id, *one)).collect();
    let subjects: BTreeSet<RecordId> = held.iter().filter_map(|one| one.subject()).collect();
    let tries_all = held.len() <= RESTING_TRIED_MAX;
    let mut resting = BTreeSet::new();
    for one in &held {
        let id = one.head.record_id;
        let context = context_of(one, &by_id);
        let subjects_of = context.iter().map(|subject| subject.head.record_id);
        let with = context.iter().chain(&gone).copied().collect::<Vec<_>>();
        if changes(one, &with, terms) {
            resting.extend(subjects_of);
            resting.insert(id);
        } else if tries_all || subjects.contains(&id) {
            let others = records.iter().filter(|other| other.head.record_id != id);
            if changes(one, &others.collect::<Vec<_>>(), terms) {
                resting.insert(id);
            }
        }
    }
    resting
}

/// What a record is about, and what that is about.
fn context_of<'a>(record: &Record, by_id: &BTreeMap<RecordId, &'a Record>) -> Vec<&'a Record> {
    let mut context: Vec<&Record> = Vec::new();
    let mut subject = record.subject();
    while let Some(next) = subject.and_then(|id| by_id.get(&id)) {
        let known = context
            .iter()
            .any(|one| one.head.record_id == next.head.record_id);
        if known || next.head.record_id == record.head.record_id || context.len() >= SUBJECTS_MAX {
            break;
        }
        context.push(next);
        subject = next.subject();
    }
    context
}

/// Whether the summary of `others` and this record would tell something else, were the record taken
/// back.
fn changes(record: &Record, others: &[&Record], terms: &SummaryTerms<'_>) -> bool {
    let mut with: Vec<Record> = others.iter().map(|one| (*one).clone()).collect();
    let mut without = with.clone();
    with.push(record.clone());
    // What is about it goes with it.
    without.push(record.retracted(RetractionReason::FurnisherError, terms.now));
    let told = summarize(&with, terms).summary;
    !told.tells_the_same(&summarize(&without, terms).summary)
}
