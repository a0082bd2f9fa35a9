//! Which records stand at a moment: newest versions, neither retracted nor about what was, within
//! their retention.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::SummaryTerms;
use crate::domain::{
    ApplicationKind, Body, Day, Dispute, GroupCode, Loan, LoanRole, LoanState, Record, RecordId,
    Signal, SignalKind, Timestamp,
};
use crate::limits::{ADVERSE_MONTHS, HARD_INQUIRY_DAYS, SOFT_INQUIRY_DAYS};

const DAY: Duration = Duration::from_secs(86_400);

/// The records of one identifier as they stand at one moment.
pub(super) struct Standing<'a> {
    newest: BTreeMap<RecordId, &'a Record>,
    standing: BTreeSet<RecordId>,
    cured: BTreeSet<RecordId>,
    disputed: BTreeSet<RecordId>,
    ends: Ends,
}

/// The moments at which something ends by itself.
struct Ends {
    now: Timestamp,
    next: Option<Timestamp>,
}

impl Ends {
    /// Whether `end` is still to come; if so it is remembered.
    fn ahead(&mut self, end: Timestamp) -> bool {
        let ahead = self.now < end;
        if ahead {
            self.next = Some(self.next.map_or(end, |next| next.min(end)));
        }
        ahead
    }

    /// Whether `last` is not over; if so its end is remembered.
    fn through(&mut self, last: Day) -> bool {
        self.ahead(last.plus_days(1).start())
    }
}

impl<'a> Standing<'a> {
    pub(super) fn of(records: &'a [Record], now: Timestamp) -> Self {
        let mut newest: BTreeMap<RecordId, &Record> = BTreeMap::new();
        for record in records {
            let known = newest.entry(record.head.record_id).or_insert(record);
            if known.head.version.cmp(&record.head.version) == Ordering::Less {
                *known = record;
            }
        }
        let mut ends = Ends { now, next: None };
        let retracted = newest.iter().filter(|(_, record)| record.is_retracted());
        let retracted = retracted.map(|(id, _)| *id).collect();
        leave_out(&mut newest, retracted);
        let undecided = undecided_in_time(&newest, &mut ends);
        leave_out(&mut newest, undecided);
        let standing = newest
            .values()
            .filter(|record| stands(record, &mut ends))
            .map(|record| record.head.record_id)
            .collect();
        let mut this = Self {
            newest,
            standing,
            cured: BTreeSet::new(),
            disputed: BTreeSet::new(),
            ends,
        };
        // A cure outlives its own display: what it ended does not come back.
        this.cured = this.subjects(SignalKind::Cured, |_| true);
        this.disputed = this.subjects(SignalKind::Disputed, |id| this.standing.contains(&id));
        this
    }

    /// What the signals of this kind are about.
    fn subjects(&self, kind: SignalKind, counts: impl Fn(RecordId) -> bool) -> BTreeSet<RecordId> {
        self.newest
            .iter()
            .filter(|(id, _)| counts(**id))
            .filter_map(|(_, record)| match &record.body {
                Body::Signal(signal) if signal.kind == kind => signal.about,
                Body::Signal(_)
                | Body::Loan(_)
                | Body::Application(_)
                | Body::Hold(_)
                | Body::Retracted(_) => None,
            })
            .collect()
    }

    /// The records that stand, by id.
    pub(super) fn records(&self) -> impl Iterator<Item = &'a Record> {
        self.standing
            .iter()
            .filter_map(|id| self.newest.get(id).copied())
    }

    /// The loans that stand and that the borrower took.
    pub(super) fn loans(&self) -> impl Iterator<Item = (&'a Record, &'a Loan)> {
        self.records().filter_map(|record| match &record.body {
            Body::Loan(loan) if counts(loan) => Some((record, loan)),
            Body::Loan(_)
            | Body::Application(_)
            | Body::Hold(_)
            | Body::Signal(_)
            | Body::Retracted(_) => None,
        })
    }

    /// The signals that stand and were not cured.
    pub(super) fn signals(&self) -> impl Iterator<Item = (&'a Record, &'a Signal)> {
        self.records()
            .filter(|record| !self.cured.contains(&record.head.record_id))
            .filter_map(|record| match &record.body {
                Body::Signal(signal) => Some((record, signal)),
                Body::Loan(_) | Body::Application(_) | Body::Hold(_) | Body::Retracted(_) => None,
            })
    }

    /// The record, unless it was retracted or never filed.
    pub(super) fn record(&self, id: RecordId) -> Option<&'a Record> {
        self.newest.get(&id).copied()
    }

    pub(super) fn is_disputed(&self, record: &Record) -> bool {
        let open =
            matches!(&record.body, Body::Loan(loan) if matches!(loan.dispute, Dispute::Open));
        open || self.disputed.contains(&record.head.record_id) || self.is_about_disputed(record)
    }

    /// Whether an adverse signal, or a cure, is about a record that is disputed, also where it was
    /// filed since.
    fn is_about_disputed(&self, record: &Record) -> bool {
        let mut subject = match &record.body {
            Body::Signal(signal) if rests_on_subject(signal.kind) => signal.about,
            Body::Signal(_)
            | Body::Loan(_)
            | Body::Application(_)
            | Body::Hold(_)
            | Body::Retracted(_) => None,
        };
        // A cure is about a signal about a loan; a circle of signals ends here too.
        for _ in 0..4 {
            let Some(id) = subject else { return false };
            let held = self.record(id).map(|record| &record.body);
            let open =
                matches!(held, Some(Body::Loan(loan)) if matches!(loan.dispute, Dispute::Open));
            if open || self.disputed.contains(&id) {
                return true;
            }
            subject = match held {
                Some(Body::Signal(signal)) => signal.about,
                _ => None,
            };
        }
        false
    }

    /// The lender group of a record: its own, or that of what its signal is about.
    pub(super) fn group(&self, record: &Record, terms: &SummaryTerms<'_>) -> GroupCode {
        let mut subject = Some(record);
        // A signal about a signal about a loan; a circle of signals ends here too.
        for _ in 0..4 {
            match subject.map(|record| &record.body) {
                Some(Body::Loan(loan)) => return terms.code(loan.lender_group.as_ref()),
                Some(Body::Application(one)) => return terms.code(one.lender_group.as_ref()),
                Some(Body::Hold(hold)) => return terms.code(hold.lender_group.as_ref()),
                Some(Body::Signal(signal)) => {
                    subject = signal.about.and_then(|id| self.record(id));
                }
                Some(Body::Retracted(_)) | None => return GroupCode::OWN,
            }
        }
        GroupCode::OWN
    }

    /// Remembers that the summary changes at `end`; says whether that is still to come.
    pub(super) fn ahead(&mut self, end: Timestamp) -> bool {
        self.ends.ahead(end)
    }

    pub(super) const fn next_change(&self) -> Option<Timestamp> {
        self.ends.next
    }
}

/// The disputes that were not decided in time, and the records that they are about: these are
/// suppressed, as if they had been retracted, until the dispute is. A dispute that may no longer
/// be used is over too.
fn undecided_in_time(newest: &BTreeMap<RecordId, &Record>, ends: &mut Ends) -> BTreeSet<RecordId> {
    let mut undecided = BTreeSet::new();
    for (id, record) in newest {
        let Body::Signal(signal) = &record.body else {
            continue;
        };
        let last_days = [signal.last_day(), record.head.expires_on];
        let last_day = last_days.into_iter().flatten().min();
        if signal.kind == SignalKind::Disputed && last_day.is_some_and(|day| !ends.through(day)) {
            undecided.insert(*id);
            undecided.extend(signal.about);
        }
    }
    undecided
}

/// Leaves records out, and with them the signals about them, and the signals about those.
fn leave_out(newest: &mut BTreeMap<RecordId, &Record>, mut gone: BTreeSet<RecordId>) {
    while !gone.is_empty() {
        newest.retain(|id, _| !gone.contains(id));
        let about_gone = |record: &Record| {
            matches!(&record.body, Body::Signal(Signal { about: Some(about), .. })
                if gone.contains(about))
        };
        gone = newest
            .iter()
            .filter(|(_, record)| about_gone(record))
            .map(|(id, _)| *id)
            .collect();
    }
}

/// Whether what a signal tells stands and falls with what it is about.
fn rests_on_subject(kind: SignalKind) -> bool {
    kind.is_adverse() || kind == SignalKind::Cured
}

/// Whether a loan is the borrower's own and was paid out: a guarantee is another's loan.
pub(super) fn counts(loan: &Loan) -> bool {
    loan.role != LoanRole::Guarantor && loan.state != LoanState::Void
}

fn stands(record: &Record, ends: &mut Ends) -> bool {
    let usable = record.head.expires_on.is_none_or(|last| ends.through(last));
    usable
        && match &record.body {
            Body::Loan(loan) => loan_stands(loan, ends),
            Body::Application(application) => {
                let days = match application.kind {
                    ApplicationKind::Application => HARD_INQUIRY_DAYS,
                    ApplicationKind::Offer => SOFT_INQUIRY_DAYS,
                    ApplicationKind::Recheck
                    | ApplicationKind::Review
                    | ApplicationKind::Collection
                    | ApplicationKind::SelfAccess
                    | ApplicationKind::Fraud => return false,
                };
                let days = u32::try_from(days).unwrap_or(u32::MAX);
                ends.ahead(application.at.plus(DAY.saturating_mul(days)))
            }
            Body::Hold(_) => true,
            Body::Signal(signal) => signal.last_day().is_none_or(|last| ends.through(last)),
            Body::Retracted(_) => false,
        }
}

/// Whether a loan may still be told: one that is late stops counting when its clock runs out.
fn loan_stands(loan: &Loan, ends: &mut Ends) -> bool {
    let late = loan.dpd > 0 || loan.state == LoanState::ChargedOff;
    match loan.first_delinquency_on {
        Some(day) if late => ends.through(day.plus_months(ADVERSE_MONTHS)),
        Some(_) | None => true,
    }
}
